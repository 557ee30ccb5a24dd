//! From committed rows to the bus, and to followers that must not miss one.
//!
//! A store writes each event into its outbox in the transaction of the change. The [`relay`] reads the outbox in order and sends to
//! the bus; its cursor moves after the send, so a crash between commit and telling tells again after the next start. A follower that
//! must hear every event has a cursor of its own over the same rows ([`follow`]): at least once, in order, across restarts.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::{counter, gauge};
use tokio::sync::watch;
use tracing::{error, info};

use crate::{bus::Note, tasks::Tasks};

#[cfg(feature = "sabotage")]
mod fault;
mod relay;

pub use relay::relay;

/// How many rows are read at once.
const BATCH: usize = 256;
/// How often a journal is looked at when nothing rings.
const SWEEP: Duration = Duration::from_secs(1);
/// How long to wait after a failure, doubled up to [`PATIENCE`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between tries.
const PATIENCE: Duration = Duration::from_secs(2);

/// A journal could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the outbox of {journal} failed")]
pub struct JournalError {
    /// Whose outbox.
    pub journal: &'static str,
    /// Why.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

/// The outbox of one database: its events in the order of their numbers, and how far each reader has come.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Whose outbox it is, for logs and metrics.
    fn name(&self) -> &'static str;
    /// Up to `limit` committed events above number `after`, in order. Numbers rise; gaps mean nothing.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, Note)>, JournalError>;
    /// The last number that a reader has finished with; 0 for a new one.
    async fn cursor(&self, reader: &str) -> Result<u64, JournalError>;
    /// Moves a reader's cursor up.
    async fn advance(&self, reader: &str, to: u64) -> Result<(), JournalError>;
    /// Every reader with a cursor, and its number. Events are kept for them.
    async fn readers(&self) -> Result<Vec<(String, u64)>, JournalError>;
    /// Takes a reader's cursor away: it reads elsewhere now, and nothing is kept for it any more.
    async fn leave(&self, reader: &str) -> Result<(), JournalError>;
    /// Changes whenever an event was committed; the value is its number.
    fn grown(&self) -> watch::Receiver<u64>;
}

/// Takes events one by one. An error leaves the event for another try.
#[async_trait]
pub trait Follower: Send + Sync + 'static {
    /// Has the effect of one event. Must bear a repeat.
    async fn take(&self, note: Note) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Feeds a follower every event of a journal, at least once and in order, from its cursor `reader` on, until the tasks stop.
pub fn follow(
    tasks: &Tasks,
    journal: Arc<dyn Journal>,
    reader: &'static str,
    follower: impl Follower,
) {
    let reader = Reader {
        tasks: tasks.clone(),
        journal,
        name: reader,
        follower,
    };
    tasks.spawn("outbox", reader.run());
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One reader of a journal.
struct Reader<F> {
    tasks: Tasks,
    journal: Arc<dyn Journal>,
    name: &'static str,
    follower: F,
}

impl<F: Follower> Reader<F> {
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        let mut grown = self.journal.grown();
        while !self.tasks.is_stopping() {
            match self.drain().await {
                Ok(()) => {
                    wait = FIRST_WAIT;
                    tokio::select! {
                        () = self.tasks.stopping() => {}
                        _ = grown.changed() => {}
                        () = tokio::time::sleep(SWEEP) => {}
                    }
                }
                Err(cause) => {
                    failed(self.journal.as_ref(), self.name, &cause, wait);
                    tokio::select! {
                        () = self.tasks.stopping() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    wait = (wait * 2).min(PATIENCE);
                }
            }
        }
        ended(self.journal.as_ref(), self.name);
    }

    /// Reads from the cursor to the end of the journal.
    async fn drain(&self) -> Result<(), Cause> {
        let (journal, reader) = (&self.journal, self.name);
        let mut after = journal.cursor(reader).await?;
        loop {
            let rows = journal.read(after, BATCH).await?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            let last = *last;
            let full = rows.len() == BATCH;
            read(journal.as_ref(), reader, rows.len());
            for (number, note) in rows {
                if let Err(cause) = self.follower.take(note).await {
                    journal.advance(reader, after).await?;
                    return Err(cause);
                }
                after = number;
            }
            journal.advance(reader, last).await?;
            if !full || self.tasks.is_stopping() {
                return Ok(());
            }
        }
    }
}

/// Measures how much there was to read.
fn read(journal: &dyn Journal, reader: &'static str, rows: usize) {
    gauge!("guildhall_outbox_batch", "outbox" => journal.name(), "reader" => reader)
        .set(u32::try_from(rows).unwrap_or(u32::MAX));
}

fn failed(journal: &dyn Journal, reader: &'static str, cause: &Cause, wait: Duration) {
    let outbox = journal.name();
    counter!("guildhall_outbox_failures_total", "outbox" => outbox, "reader" => reader)
        .increment(1);
    error!(outbox, reader, error = %cause, ?wait, "outbox waits");
}

fn ended(journal: &dyn Journal, reader: &'static str) {
    info!(outbox = journal.name(), reader, "outbox reader stopped");
}
