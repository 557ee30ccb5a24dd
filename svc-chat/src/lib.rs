//! Channels and their timelines.
//!
//! To be read in this order: [`model`] are the values; [`channels`], [`messages`], [`reads`], [`arrivals`] and [`feed`] are the
//! rules; [`spaces`] is what chat does when it hears of a change in a space, [`peers`] whom it asks; [`store`] is what is kept and
//! how; [`event`] is what is told; `grpc` is how it is called; [`build`] puts it together.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use guildhall_kernel::{ChannelId, Clock, Ids};
use guildhall_mesh::{
    Bus, Feed, Link, Tasks,
    access::Access,
    guard::{Guard, Guarded},
    outbox::{Journal, relay},
    rules::Rules,
};
use guildhall_proto::chat::v1::{
    channel_service_server::ChannelServiceServer, feed_service_server::FeedServiceServer,
    message_service_server::MessageServiceServer,
};
use guildhall_store::{
    Home,
    postgres::{self, Schema},
};
use tonic::service::Routes;
use tracing::{info, warn};

mod answer;
pub mod arrivals;
pub mod channels;
pub mod config;
pub mod error;
pub mod event;
pub mod feed;
mod grpc;
pub mod messages;
mod migrations;
pub mod model;
pub mod peers;
pub mod reads;
pub mod spaces;
pub mod store;

use arrivals::{Arrivals, Turns};
use channels::Channels;
use config::ChatSettings;
use grpc::{ChannelPlaces, ChannelRpcs, FeedRpcs, MessageRpcs};
use messages::Messages;
use peers::Auth;
use reads::Reads;
use spaces::Spaces;
use store::{
    ChannelJournal, ChannelStore, TimelineHome,
    home::{Around, Engine},
};

/// Under what name the database of its channels stands: the file `chat.db`, or a schema that ends in `_chat`.
pub const NAME: &str = "chat";
/// How often events that nobody will ask for again are forgotten.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// What chat is built from.
pub struct Parts {
    /// Where channels are kept. A file stands in a data folder that this process has locked.
    pub home: Home,
    /// Where timelines are kept.
    pub timeline: TimelineHome,
    /// The present instant.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// Where every task of chat is tracked.
    pub tasks: Tasks,
    /// Where chat tells.
    pub bus: Arc<dyn Bus>,
    /// Who may what.
    pub access: Access,
    /// The options of the protos.
    pub rules: Arc<Rules>,
    /// The link from `chat` to auth.
    pub auth: Link,
    /// The events of auth, which chat follows as reader [`spaces::READER`].
    pub auth_events: Feed,
}

/// A running chat service. Clones are the same one.
#[derive(Clone)]
pub struct Chat {
    /// Its rpcs behind the layers.
    pub server: Guarded,
    /// The events about channels, for followers that must not miss one.
    pub channel_events: Arc<dyn Journal>,
    store: Arc<ChannelStore>,
    engine: Engine,
}

/// Opens the stores, bringing their tables up to date, and starts what runs beside the calls.
///
/// # Errors
/// What keeps a store from opening.
pub async fn build(settings: &ChatSettings, parts: Parts) -> anyhow::Result<Chat> {
    let Parts {
        home,
        timeline,
        clock,
        ids,
        tasks,
        bus,
        access,
        rules,
        auth,
        auth_events,
    } = parts;

    // What is kept.
    let remembered = settings.channels_remembered;
    let store = ChannelStore::open(&home, ids.clone(), tasks.clone(), remembered).await;
    let store = Arc::new(store.context("the channels cannot be opened")?);
    let around = Around {
        clock: clock.clone(),
        ids: ids.clone(),
        tasks: tasks.clone(),
        bus: bus.clone(),
    };
    let engine = Engine::open(timeline, around).await?;
    let timeline = engine.timeline();

    // The rules.
    let arrivals = Arc::new(Arrivals {
        store: store.clone(),
        timeline: timeline.clone(),
        access: access.clone(),
        turns: Turns::default(),
    });
    let channels = Arc::new(Channels {
        store: store.clone(),
        auth: Auth::new(auth),
        access: access.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let messages = Arc::new(Messages {
        store: store.clone(),
        timeline: timeline.clone(),
        arrivals: arrivals.clone(),
        clock: clock.clone(),
    });
    let reads = Arc::new(Reads {
        store: store.clone(),
        timeline: timeline.clone(),
        arrivals: arrivals.clone(),
        bus: bus.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let feed = Arc::new(feed::Feed {
        store: store.clone(),
        timeline,
        access: access.clone(),
        arrivals: arrivals.clone(),
    });

    // How they are called.
    let places = Arc::new(ChannelPlaces(channels.clone()));
    let routes = Routes::new(ChannelServiceServer::new(ChannelRpcs {
        channels,
        feed: feed.clone(),
        reads,
    }))
    .add_service(MessageServiceServer::new(MessageRpcs {
        messages: messages.clone(),
    }))
    .add_service(FeedServiceServer::new(FeedRpcs { feed, messages }));
    let guard = Guard {
        rules,
        access,
        places,
        clock: clock.clone(),
        ids,
    };

    // What runs beside the calls.
    let channel_events: Arc<dyn Journal> = Arc::new(ChannelJournal(store.entities().clone()));
    relay(&tasks, channel_events.clone(), bus);
    let spaces = Spaces {
        store: store.clone(),
        arrivals,
    };
    auth_events.follow(&tasks, spaces::READER, spaces);
    prune(&tasks, store.clone(), clock);

    Ok(Chat {
        server: guard.before(routes),
        channel_events,
        store,
        engine,
    })
}

/// Brings the tables of channels up to date, making the database where it is missing. Returns the changes that were made.
///
/// # Errors
/// What the database says.
pub async fn migrate(home: &Home) -> Result<Vec<String>, guildhall_store::StoreError> {
    home.migrate::<migrations::Migrations>().await
}

/// The changes that the tables of a schema lack.
///
/// # Errors
/// What the database says.
pub async fn missing(schema: &Schema) -> Result<Vec<String>, guildhall_store::StoreError> {
    postgres::missing::<migrations::Migrations>(schema).await
}

impl Chat {
    /// Says whether chat can answer, or why not.
    ///
    /// # Errors
    /// A sentence for operators.
    pub async fn ready(&self) -> Result<(), String> {
        let nowhere = ChannelId::from_bytes([0; 16]);
        self.store
            .channel(nowhere)
            .await
            .map_err(|error| format!("the channels: {error}"))?;
        self.engine.ready().await
    }

    /// Closes the stores after the writes that are under way. To be called when no call and no task is left.
    pub async fn close(&self) {
        self.engine.close().await;
        self.store.close().await;
    }
}

/// Keeps the outbox of channels from growing without end. (A timeline sees to its own.)
fn prune(tasks: &Tasks, store: Arc<ChannelStore>, clock: Arc<dyn Clock>) {
    let own = tasks.clone();
    tasks.spawn("chat prune", async move {
        while !own.is_stopping() {
            match store.prune(clock.now()).await {
                Ok(0) => {}
                Ok(events) => info!(events, "old events were forgotten"),
                Err(error) => warn!(%error, "old events could not be forgotten"),
            }
            tokio::select! {
                () = own.stopping() => {}
                () = tokio::time::sleep(PRUNE_EVERY) => {}
            }
        }
    });
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
