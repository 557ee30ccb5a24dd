//! From committed rows to the bus, and to followers that must not miss one.
//!
//! A store writes each event into its outbox in the transaction of the change. The [`relay`] reads the outbox in order and sends to
//! the bus; its cursor moves after the send, so a crash between commit and telling tells again after the next start. Where the bus
//! has forgotten what it was told, the relay tells all that the outbox still has once more. Where a hall was moved to a bus whose
//! stream is followed, the relay tells what readers of the outbox had not come to, and takes their places away. A follower that must hear every event has
//! a cursor of its own over the same rows ([`follow`]): at least once, in order, across restarts.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::{counter, gauge};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{
    bus::{Bus, Note},
    tasks::Tasks,
};

/// How many rows are read at once.
const BATCH: usize = 256;
/// How often a journal is looked at when nothing rings.
const SWEEP: Duration = Duration::from_secs(1);
/// How long to wait after a failure, doubled up to [`PATIENCE`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between tries.
const PATIENCE: Duration = Duration::from_secs(10);
/// The cursor under which the relay keeps its place.
const RELAY: &str = "bus";

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
    async fn readers(&self) -> Result<Vec<(String, u64)>, JournalError> {
        Ok(Vec::new())
    }
    /// Takes a reader's cursor away: it reads elsewhere now, and nothing is kept for it any more.
    async fn leave(&self, _reader: &str) -> Result<(), JournalError> {
        Ok(())
    }
    /// Changes whenever an event was committed; the value is its number.
    fn grown(&self) -> watch::Receiver<u64>;
}

/// Sends everything in the journal to the bus, in order, until the tasks stop.
pub fn relay(tasks: &Tasks, journal: Arc<dyn Journal>, bus: Arc<dyn Bus>) {
    let memory = Memory {
        journal: journal.clone(),
        bus: bus.clone(),
        forgot: bus.forgot(),
        looked: false,
    };
    let reader = Reader {
        tasks: tasks.clone(),
        journal,
        name: RELAY,
        follower: Relay { bus },
    };
    tasks.spawn("outbox", reader.run(Some(memory)));
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
    tasks.spawn("outbox", reader.run(None));
}

/// One reader of a journal.
struct Reader<F> {
    tasks: Tasks,
    journal: Arc<dyn Journal>,
    name: &'static str,
    follower: F,
}

impl<F: Follower> Reader<F> {
    async fn run(self, mut memory: Option<Memory>) {
        let mut wait = FIRST_WAIT;
        let mut grown = self.journal.grown();
        while !self.tasks.is_stopping() {
            match self.round(memory.as_mut()).await {
                Ok(()) => {
                    wait = FIRST_WAIT;
                    tokio::select! {
                        () = self.tasks.stopping() => {}
                        _ = grown.changed() => {}
                        () = Memory::lost(memory.as_ref()) => {}
                        () = tokio::time::sleep(SWEEP) => {}
                    }
                }
                Err(cause) => {
                    self.failed(&cause, wait);
                    tokio::select! {
                        () = self.tasks.stopping() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    wait = (wait * 2).min(PATIENCE);
                }
            }
        }
        info!(
            outbox = self.journal.name(),
            reader = self.name,
            "outbox reader stopped"
        );
    }

    async fn round(&self, memory: Option<&mut Memory>) -> Result<(), Cause> {
        if let Some(memory) = memory {
            memory.mend(&self.tasks).await?;
        }
        self.drain().await
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
            gauge!("guildhall_outbox_batch", "outbox" => journal.name(), "reader" => reader)
                .set(u32::try_from(rows.len()).unwrap_or(u32::MAX));
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

    fn failed(&self, cause: &Cause, wait: Duration) {
        let (outbox, reader) = (self.journal.name(), self.name);
        counter!("guildhall_outbox_failures_total", "outbox" => outbox, "reader" => reader)
            .increment(1);
        error!(outbox, reader, error = %cause, ?wait, "outbox waits");
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

struct Relay {
    bus: Arc<dyn Bus>,
}

#[async_trait]
impl Follower for Relay {
    async fn take(&self, note: Note) -> Result<(), Cause> {
        Ok(self.bus.send(note).await?)
    }
}

/// What the bus should have of a journal: everything up to the relay's cursor.
struct Memory {
    journal: Arc<dyn Journal>,
    bus: Arc<dyn Bus>,
    forgot: watch::Receiver<u64>,
    /// Whether the bus was looked at since this process began: it may have forgotten before.
    looked: bool,
}

impl Memory {
    /// Resolves when the bus was found to have forgotten; never for a bus that cannot.
    async fn lost(memory: Option<&Self>) {
        let noticed = match memory {
            Some(memory) => memory.forgot.clone().changed().await.is_ok(),
            None => false,
        };
        if !noticed {
            std::future::pending::<()>().await;
        }
    }

    /// Tells again where the bus has forgotten. Before anything newer is sent, so that the order of a scope stays.
    async fn mend(&mut self, tasks: &Tasks) -> Result<(), Cause> {
        let seen = *self.forgot.borrow();
        let forgot = self.forgot.has_changed().unwrap_or(false)
            || !self.looked && !self.remembers_the_last().await?;
        if forgot {
            self.tell_again(0, tasks).await?;
        }
        if !self.looked {
            self.take_over(forgot, tasks).await?;
        }
        self.looked = true;
        // What was noticed meanwhile is for the next round.
        if *self.forgot.borrow() == seen {
            self.forgot.mark_unchanged();
        }
        Ok(())
    }

    async fn remembers_the_last(&self) -> Result<bool, Cause> {
        let told = self.journal.cursor(RELAY).await?;
        let rows = self.journal.read(told.saturating_sub(1), 1).await?;
        match rows.first() {
            Some((number, note)) if *number == told => Ok(self.bus.remembers(note).await?),
            // Nothing was told yet, or so long ago that the journal itself has forgotten it.
            _ => Ok(true),
        }
    }

    /// Readers that followed the outbox before the hall had this bus follow its stream now. What they had not come to goes there.
    async fn take_over(&self, all_told: bool, tasks: &Tasks) -> Result<(), Cause> {
        if !self.bus.is_followed() {
            return Ok(());
        }
        let mut readers = self.journal.readers().await?;
        readers.retain(|(reader, _)| reader != RELAY);
        let Some(slowest) = readers.iter().map(|(_, number)| *number).min() else {
            return Ok(());
        };
        if !all_told {
            self.tell_again(slowest, tasks).await?;
        }
        if tasks.is_stopping() {
            // Perhaps not all of it was told.
            return Ok(());
        }
        for (reader, _) in readers {
            self.journal.leave(&reader).await?;
            info!(
                outbox = self.journal.name(),
                reader, "a reader follows the bus from now on"
            );
        }
        Ok(())
    }

    /// Tells once more what stands above a number, up to where the relay has come.
    async fn tell_again(&self, mut after: u64, tasks: &Tasks) -> Result<(), Cause> {
        let until = self.journal.cursor(RELAY).await?;
        let mut told = 0_u64;
        while after < until && !tasks.is_stopping() {
            let rows = self.journal.read(after, BATCH).await?;
            let Some((last, _)) = rows.last() else { break };
            after = *last;
            for (_, note) in rows.into_iter().take_while(|(number, _)| *number <= until) {
                self.bus.send(note).await?;
                told += 1;
            }
        }
        if told > 0 {
            let outbox = self.journal.name();
            counter!("guildhall_outbox_told_again_total", "outbox" => outbox).increment(told);
            warn!(outbox, told, "the bus lacked events; they were told again");
        }
        Ok(())
    }
}
