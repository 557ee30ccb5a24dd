//! The contract on this engine, and what only this engine has: buckets, several processes at once, outcomes that nobody knows.
//!
//! Every test has a keyspace of its own on the server that `./dev infra up` started, and drops it in the end.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use guildhall_kernel::{ChannelId, Key, SystemClock, SystemIds, Time, UserId};
use guildhall_mesh::{Bus, LocalBus, Tasks};
use guildhall_testkit::infra;
use scylla::client::session::Session;

use super::{
    CqlTimeline, Options, Parts, migrate,
    row::{bucket_of, int},
    session,
};
use crate::{
    config::CqlSettings,
    model::{Draft, Head, Text},
    store::{contract::Bench, timeline::Timeline},
};

mod again;
mod buckets;
mod cut;
mod doubt;
#[cfg(feature = "sabotage")]
mod guards;
mod judging;
mod several;

crate::store::contract::timeline_contract!(served bench);

fn channel(number: u8) -> ChannelId {
    ChannelId::from_bytes([number; 16])
}

fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn words(text: &str) -> Text {
    Text::parse(text.to_owned()).expect("can be said")
}

fn draft(author: u8, key: &str) -> Draft {
    Draft {
        author: user(author),
        text: words(&format!("said under {key}")),
        key: Key::parse(key).expect("a key"),
        at: Time::from_micros(1),
    }
}

/// With the feature `sabotage`, `GUILDHALL_TEST_FAULT` takes a guard away, and tests that stand on it must fail.
fn options() -> Options {
    #[cfg(feature = "sabotage")]
    if let Ok(name) = std::env::var("GUILDHALL_TEST_FAULT") {
        let faults = super::Faults::named(&name).expect("a fault of that name");
        return Options {
            faults,
            ..Options::default()
        };
    }
    Options::default()
}

/// A keyspace of its own.
struct Keyspace {
    settings: CqlSettings,
    session: Session,
    open: Mutex<Option<(Arc<CqlTimeline>, Tasks)>>,
}

/// `None`: there is no server, which was said.
async fn bench() -> Option<Keyspace> {
    let servers = infra::cassandra().await?;
    let settings = CqlSettings {
        nodes: servers.nodes,
        datacenter: servers.datacenter,
        keyspace: infra::fresh("timeline"),
        replication: 1,
        ..CqlSettings::default()
    };
    settings.check().expect("good settings");
    migrate(&settings, &SystemClock::new(), &SystemIds)
        .await
        .expect("is prepared");
    let session = session::connect_patiently(&settings)
        .await
        .expect("connects");
    Some(Keyspace {
        settings,
        session,
        open: Mutex::default(),
    })
}

impl Keyspace {
    /// One more process on the keyspace.
    async fn start(&self, bus: Option<LocalBus>) -> (Arc<CqlTimeline>, Tasks) {
        let bus = bus.map(|bus| Arc::new(bus) as Arc<dyn Bus>);
        self.start_on(&self.settings, bus).await
    }

    /// The same, on another way to the servers or another bus.
    async fn start_on(
        &self,
        settings: &CqlSettings,
        bus: Option<Arc<dyn Bus>>,
    ) -> (Arc<CqlTimeline>, Tasks) {
        let tasks = Tasks::new();
        let parts = Parts {
            options: options(),
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds),
            tasks: tasks.clone(),
            bus,
        };
        let timeline = CqlTimeline::open(settings, parts).await;
        (Arc::new(timeline.expect("opens")), tasks)
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        let drop = format!("DROP KEYSPACE IF EXISTS {}", self.settings.keyspace);
        // What stays is in nobody's way.
        tokio::task::block_in_place(|| {
            let dropped = self.session.query_unpaged(drop, ());
            let _stays = tokio::runtime::Handle::current().block_on(dropped);
        });
    }
}

#[async_trait]
impl Bench for Keyspace {
    async fn open(&self, bus: Option<LocalBus>) -> Arc<dyn Timeline> {
        let (timeline, tasks) = self.start(bus).await;
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((timeline.clone(), tasks));
        timeline
    }

    async fn close(&self) {
        let open = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((timeline, tasks)) = open {
            timeline.close();
            tasks.stop(Duration::from_secs(5)).await;
        }
    }

    async fn another(&self) -> Arc<dyn Timeline> {
        let other = bench().await.expect("the server is still there");
        // Its keyspace goes away while it is open, which nobody asks it about.
        other.start(None).await.0
    }

    async fn wind(&self, channel: ChannelId, head: Head) {
        let (timeline, tasks) = self.start(None).await;
        let core = &timeline.core;
        let tip = core.newest(channel).await.expect("reads");
        let bucket = bucket_of(head.seq);
        // What the engine does on the way there: all but the last two buckets are filed.
        for older in tip.bucket.saturating_sub(1)..=tip.bucket {
            if older + 1 < bucket {
                core.file_keys(channel, older).await.expect("files");
            }
        }
        let (seq, rev) = (i64::from(head.seq.0), i64::from(head.rev.0));
        let row = (seq, rev, rev, rev, tip.latest, channel.uuid(), int(bucket));
        let open = &core.database.statements.open;
        let opened = core.database.session.execute_unpaged(open, row).await;
        opened.expect("is wound");
        core.database
            .put_hint(channel, bucket)
            .await
            .expect("is wound");
        tasks.stop(Duration::from_secs(5)).await;
    }
}
