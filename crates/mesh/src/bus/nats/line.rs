//! The connection: whether it stands, and what is done each time that it stands again.
//!
//! The client connects by itself and subscribes anew. What it does not do is done here, in this order: see that the server has taken
//! the subscriptions, that it is new enough and that the streams are as asked; then let notes pass, and tell every listener that it
//! may have missed some.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, Event,
    client::{Request, RequestErrorKind},
    connection::State as Connection,
    jetstream::Context,
};
use bytes::Bytes;
use metrics::{counter, gauge};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Trouble, streams::Streams};

/// How often the connection is looked at when nothing happens.
const LOOK: Duration = Duration::from_millis(500);
/// Where nobody listens: the server says so, and has read everything before.
const NOBODY: &str = "eph.v1.nobody";
/// The oldest server that can be made to keep what it acknowledges.
const OLDEST: (i64, i64, i64) = (2, 12, 0);

/// What is known of the connection. The client's events and the keeper write it, senders and listeners read it.
#[derive(Debug)]
pub(super) struct Line {
    state: watch::Sender<State>,
    /// Rises whenever a listener may have missed a note.
    losses: watch::Sender<u64>,
    /// Rises whenever a stream was found to have forgotten notes.
    forgot: watch::Sender<u64>,
    /// Somebody has seen a stream that is worth a look.
    doubted: AtomicBool,
    // Wakes the keeper.
    bell: Notify,
}

/// Whether notes pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// They do.
    Open,
    /// Not now; it passes.
    Away(String),
    /// Not until somebody mends it.
    Wrong(String),
}

impl Line {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: watch::Sender::new(State::Away("not connected yet".into())),
            losses: watch::Sender::new(0),
            forgot: watch::Sender::new(0),
            doubted: AtomicBool::new(false),
            bell: Notify::new(),
        })
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    pub(super) fn forgot(&self) -> watch::Receiver<u64> {
        self.forgot.subscribe()
    }

    /// Why no note passes, if none does.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Open => None,
            State::Away(why) | State::Wrong(why) => Some(why.clone()),
        }
    }

    /// Has the streams looked at.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Takes what the client tells.
    pub(super) fn happened(&self, event: &Event) {
        match event {
            Event::Disconnected => self.become_now(State::Away("the connection broke".into())),
            // Not even the place before the listeners' queues took it: nobody knows whose note it was.
            Event::SlowConsumer(_) => self.lose(),
            Event::Connected
            | Event::LameDuckMode
            | Event::Draining
            | Event::Closed
            | Event::ServerError(_)
            | Event::ClientError(_) => {}
        }
        self.bell.notify_one();
    }

    fn lose(&self) {
        self.losses.send_modify(|losses| *losses += 1);
    }

    fn become_now(&self, state: State) {
        let changed = self.state.send_if_modified(|old| {
            let changed = *old != state;
            old.clone_from(&state);
            changed
        });
        if !changed {
            return;
        }
        gauge!("guildhall_bus_connected").set(if state == State::Open { 1.0 } else { 0.0 });
        match state {
            State::Open => info!("events pass"),
            State::Away(why) => warn!(why, "no events pass"),
            State::Wrong(why) => error!(why, "no events pass"),
        }
    }
}

/// Keeps the line open.
pub(super) struct Keeper {
    pub(super) client: Client,
    pub(super) jetstream: Context,
    pub(super) streams: Arc<Streams>,
    pub(super) line: Arc<Line>,
    pub(super) any_server: bool,
    pub(super) patience: Duration,
}

impl Keeper {
    /// Until `end`.
    pub(super) async fn keep(self, end: CancellationToken) {
        // Which connection was settled last, counted by the client from 1.
        let mut settled = 0;
        while !end.is_cancelled() {
            self.look(&mut settled).await;
            tokio::select! {
                () = end.cancelled() => {}
                () = self.line.bell.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.line
            .become_now(State::Away("the bus is closed".into()));
    }

    async fn look(&self, settled: &mut u64) {
        let connection = self.client.statistics().connects.load(Ordering::Relaxed);
        if self.client.connection_state() != Connection::Connected {
            if self.line.trouble().is_none() {
                self.line
                    .become_now(State::Away("the connection broke".into()));
            }
            return;
        }
        let doubted = self.line.doubted.swap(false, Ordering::AcqRel);
        if connection == *settled && !doubted && self.line.trouble().is_none() {
            return;
        }
        match self.settle().await {
            Ok(()) => {
                if *settled != 0 && connection != *settled {
                    counter!("guildhall_bus_reconnects_total").increment(1);
                    self.line.lose();
                }
                *settled = connection;
                self.line.become_now(State::Open);
            }
            Err(Trouble::Away(why)) => self.line.become_now(State::Away(why)),
            Err(Trouble::Wrong(why)) => self.line.become_now(State::Wrong(why)),
        }
    }

    async fn settle(&self) -> Result<(), Trouble> {
        round_trip(&self.client, self.patience).await?;
        let (major, minor, patch) = OLDEST;
        if !self.any_server && !self.client.is_server_compatible(major, minor, patch) {
            let version = self.client.server_info().version;
            return Err(Trouble::Wrong(format!(
                "the server is nats-server {version}, and {major}.{minor} or newer is wanted: older ones lose what they acknowledged"
            )));
        }
        if self.streams.settle(&self.jetstream).await? {
            warn!(
                "a stream has forgotten what it was told: its server's files were wiped or are from a backup"
            );
            counter!("guildhall_bus_forgot_total").increment(1);
            self.line.forgot.send_modify(|times| *times += 1);
        }
        Ok(())
    }
}

/// Waits until the server has read everything that was sent before.
pub(super) async fn round_trip(client: &Client, patience: Duration) -> Result<(), Trouble> {
    let request = Request::new().payload(Bytes::new()).timeout(Some(patience));
    match client.send_request(NOBODY, request).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
        Err(error) => Err(Trouble::Away(format!(
            "the server does not answer: {error}"
        ))),
    }
}
