//! The contract on this engine, and what only this engine has: a file, a thread that is killed, a disk that is full.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use guildhall_kernel::{ChannelId, Key, SystemClock, SystemIds, Time, UserId};
use guildhall_mesh::{LocalBus, Tasks, outbox::relay};
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::{Options, SqliteTimeline};
use crate::{
    model::{Draft, Head, Text},
    store::{contract::Bench, timeline::Timeline},
};

mod crash;
mod disk;
mod engine;
mod held;
mod tail;

crate::store::contract::timeline_contract!(bench);

fn channel(number: u8) -> ChannelId {
    ChannelId::from_bytes([number; 16])
}

fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn draft(author: u8, key: &str) -> Draft {
    let text = Text::parse(format!("said under {key}")).expect("can be said");
    let key = Key::parse(key).expect("a key");
    Draft {
        author: user(author),
        text,
        key,
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

/// A file in a folder of its own.
struct File {
    folder: TempDir,
    open: Mutex<Option<(Arc<SqliteTimeline>, Tasks)>>,
}

fn bench() -> File {
    File {
        folder: tempfile::tempdir().expect("a folder"),
        open: Mutex::default(),
    }
}

impl File {
    async fn start(&self, options: Options) -> Arc<SqliteTimeline> {
        let path = self.folder.path().join("timeline.db");
        let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(SystemIds));
        Arc::new(
            SqliteTimeline::open(path, clock, ids, options)
                .await
                .expect("opens"),
        )
    }

    /// A connection beside the engine's.
    fn beside(&self) -> Connection {
        Connection::open(self.folder.path().join("timeline.db")).expect("opens")
    }
}

#[async_trait]
impl Bench for File {
    async fn open(&self, bus: Option<LocalBus>) -> Arc<dyn Timeline> {
        let (timeline, tasks) = (self.start(options()).await, Tasks::new());
        if let Some(bus) = bus {
            relay(&tasks, timeline.clone(), Arc::new(bus));
        }
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
            tasks.stop(std::time::Duration::from_secs(5)).await;
            timeline.close().await;
        }
    }

    async fn another(&self) -> Arc<dyn Timeline> {
        // Its file goes away with its folder while it is open, which SQLite on Unix does not mind.
        bench().start(options()).await
    }

    async fn wind(&self, channel: ChannelId, head: Head) {
        let change = "INSERT OR REPLACE INTO channel_head VALUES (?1, ?2, ?3, 0)";
        let row = params![channel.bytes(), head.seq.0, head.rev.0];
        self.beside().execute(change, row).expect("is wound");
    }
}
