//! The live feed: what happens, told as it happens, on every wire.
//!
//! [`Live::new`] takes the parts and starts what listens. The edge mounts four things:
//!
//! | what | where |
//! |---|---|
//! | [`Live::server`] | a tonic server: `Routes::new(live.server())`, behind `mesh::guard::Guard` |
//! | [`Live::places`] | the `places` of that guard, if no other service shares it |
//! | [`Live::socket`] | an `axum::Router` with `GET /live`; the origin check is handed in |
//! | [`Live::presence`] | for `StartService` |
//!
//! What the edge does before: it strips `x-gh-*`, turns the access cookie into `authorization: Bearer` and then puts [`ByCookie`] into
//! the request's extensions (streams then follow the session instead of ending with the token). The socket reads the bearer header,
//! or a [`Caller`](guildhall_mesh::Caller) in the extensions. For `Watch` by REST the transcoder is told
//! `Resume { request_field: "last_event_id", response_field: "event_id" }`; where it asks for a printed stream (its `Wire` is in the
//! extensions), the answer carries its `Encoded`, so that a frame is printed once for all its readers.
//!
//! When the tasks stop softly, every stream gets `Bye` with `REASON_RESTARTING` and ends.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_kernel::{Clock, Ids, UserId};
use guildhall_mesh::{Bus, Link, Tasks, access::Access, guard::Places};
use guildhall_proto::live::v1::PresenceState;
use tonic::Status;

use crate::presence_view::PresenceView;

mod chat;
mod circles;
mod desk;
mod error;
mod events;
mod frame;
mod gossip;
mod hub;
mod inbound;
mod jobs;
mod log;
mod others;
mod pace;
mod people;
mod places;
mod position;
mod queue;
mod reader;
mod rights;
mod server;
mod session;
mod showing;
mod socket;
mod tally;
mod todo;
mod topic;
mod trail;
mod turns;
mod wire;
mod wish;
mod wishes;

pub use server::LiveServer;
pub use socket::AllowOrigin;

use chat::Chat;
use hub::Hub;
use places::ChannelPlaces;

guildhall_mesh::settings! {
    /// How the live feed behaves.
    pub struct LiveSettings {
        /// How many frames wait for one reader before it is too slow.
        pub queue_frames: usize = 256,
        /// How many bytes wait for one reader before it is too slow.
        pub queue_bytes: usize = 1 << 20,
        /// Between two heartbeats, in seconds.
        pub heartbeat_seconds: u64 = 25,
        /// Within which time the first frame must come, in seconds.
        pub hello_seconds: u64 = 5,
        /// How long one write to a reader may take, in seconds.
        pub write_seconds: u64 = 10,
        /// How long before its end the end of a token is announced, in seconds.
        pub auth_warning_seconds: u64 = 60,
        /// How long after the last stream somebody is shown as offline, in seconds.
        pub offline_after_seconds: u64 = 10,
        /// How long the positions of a reader that left are kept, in seconds.
        pub resume_seconds: u64 = 120,
        /// Of how many readers that left.
        pub resumable_streams: usize = 10_000,
        /// How many streams one user may have open.
        pub streams_per_user: usize = 20,
        /// How many streams may be open in this process.
        pub streams: usize = 50_000,
        /// How many channels one stream may cover.
        pub channels_per_stream: usize = 5_000,
        /// How many frames a second a client may send.
        pub frames_per_second: u32 = 20,
        /// For how many seconds it may save them up.
        pub burst_seconds: u32 = 3,
        /// Over how many milliseconds the readers come back after a restart.
        pub restart_spread_ms: u64 = 5_000,
        /// Of how many people the spaces are remembered.
        pub remembered_people: usize = 20_000,
        /// Of how many channels the space is remembered.
        pub remembered_channels: usize = 20_000,
    }
}

/// What the live feed is made of.
pub struct Parts {
    /// Where events come from.
    pub bus: Arc<dyn Bus>,
    /// Who may what.
    pub access: Access,
    /// A link from "gateway" to chat.
    pub chat: Link,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// For correlation ids and the names of streams.
    pub ids: Arc<dyn Ids>,
    /// What runs; the soft stop sends every reader away.
    pub tasks: Tasks,
}

/// An extension of requests: the access token came in a cookie. Put in by the edge, after it took away what clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByCookie;

/// The live feed. Clones share it.
#[derive(Clone)]
pub struct Live {
    hub: Arc<Hub>,
    places: Arc<ChannelPlaces>,
}

impl Live {
    /// Puts the parts together and starts what listens.
    pub fn new(parts: Parts, settings: &LiveSettings) -> Self {
        let chat = Chat::new(parts.chat, parts.ids.clone());
        let places = ChannelPlaces::new(chat.clone(), settings.remembered_channels);
        let hub = Hub::new(hub::Parts {
            settings: settings.clone(),
            bus: parts.bus,
            access: parts.access,
            chat,
            clock: parts.clock,
            ids: parts.ids,
            tasks: parts.tasks,
        });
        hub.hear_events();
        hub.tasks.spawn("live rights", hub.clone().keep_rights());
        hub.tasks.spawn("live time", hub.clone().keep_time());
        hub.tasks.spawn("live gossip", hub.clone().keep_gossip());
        Self {
            hub,
            places: Arc::new(places),
        }
    }

    /// The rpcs.
    pub fn server(&self) -> LiveServer {
        LiveServer::new(self.hub.clone(), self.places.clone())
    }

    /// Leads from channels to their spaces, for the guard before [`Live::server`].
    pub fn places(&self) -> Arc<dyn Places> {
        self.places.clone()
    }

    /// The WebSocket at `/live`.
    pub fn socket(&self, allow: AllowOrigin) -> axum::Router {
        socket::router(socket::Sockets {
            hub: self.hub.clone(),
            places: self.places.clone(),
            allow,
        })
    }

    /// How each of these people is there, as `reader` may see it: one for each, in their order.
    ///
    /// # Errors
    /// UNAVAILABLE where auth does not answer.
    pub async fn presence(
        &self,
        reader: UserId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, PresenceState)>, Status> {
        self.hub.presence(reader, users).await
    }
}

#[async_trait]
impl PresenceView for Live {
    async fn seen_by(&self, reader: UserId, users: &[UserId]) -> Vec<(UserId, PresenceState)> {
        let seen = self.hub.presence(reader, users).await;
        // Best effort: where auth does not answer nobody is shown.
        let nobody = || {
            users
                .iter()
                .map(|user| (*user, PresenceState::Offline))
                .collect()
        };
        seen.unwrap_or_else(|_| nobody())
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}
