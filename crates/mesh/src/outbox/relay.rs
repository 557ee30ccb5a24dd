//! From an outbox to the bus.
//!
//! What is new goes first, always: people wait for it. Where the bus has forgotten what it was told (its files were wiped, or are from a
//! backup), all that the outbox still has is told once more, a batch after each batch of what is new. Where a hall was moved to a bus
//! whose stream is followed, the relay tells what readers of the outbox had not come to, and takes their places away.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt as _, stream};
use metrics::counter;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{BATCH, Cause, FIRST_WAIT, Journal, PATIENCE, SWEEP, ended, failed, read};
use crate::{
    bus::{Bus, Note},
    tasks::Tasks,
};

/// The cursor under which the relay keeps its place.
const RELAY: &str = "bus";
/// The cursor under which it keeps how far it has told again, as long as it does: a restart goes on there.
const AGAIN: &str = "bus-again";
/// How many scopes are told of at the same time.
const LANES: usize = 64;

/// Sends everything in the journal to the bus, what is about one scope in its order, until the tasks stop.
pub fn relay(tasks: &Tasks, journal: Arc<dyn Journal>, bus: Arc<dyn Bus>) {
    let relay = Relay {
        tasks: tasks.clone(),
        journal,
        forgot: bus.forgot(),
        bus,
        has_looked: false,
        again: None,
    };
    tasks.spawn("outbox", relay.run());
}

struct Relay {
    tasks: Tasks,
    journal: Arc<dyn Journal>,
    bus: Arc<dyn Bus>,
    forgot: watch::Receiver<u64>,
    /// Whether the bus was looked at since this process began: it may have forgotten before.
    has_looked: bool,
    again: Option<Again>,
}

/// What is told once more.
struct Again {
    after: u64,
    until: u64,
    told: u64,
    /// Readers that follow the bus once all of it was told.
    leaving: Vec<String>,
}

impl Relay {
    async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        let mut grown = self.journal.grown();
        while !self.tasks.is_stopping() {
            match self.round().await {
                Ok(true) => wait = FIRST_WAIT,
                Ok(false) => {
                    wait = FIRST_WAIT;
                    tokio::select! {
                        () = self.tasks.stopping() => {}
                        _ = grown.changed() => {}
                        () = lost(self.forgot.clone()) => {}
                        () = tokio::time::sleep(SWEEP) => {}
                    }
                }
                Err(cause) => {
                    failed(self.journal.as_ref(), RELAY, &cause, wait);
                    tokio::select! {
                        () = self.tasks.stopping() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    wait = (wait * 2).min(PATIENCE);
                }
            }
        }
        ended(self.journal.as_ref(), RELAY);
    }

    /// Tells a batch of what is new and a batch of what was forgotten; whether there is more.
    async fn round(&mut self) -> Result<bool, Cause> {
        // Before anything new is told: the last that was told shows whether the bus is the one of before.
        self.look().await?;
        let more = self.tell_new().await?;
        Ok(self.tell_again().await? || more)
    }

    async fn look(&mut self) -> Result<(), Cause> {
        let seen = *self.forgot.borrow();
        let mut forgot = self.forgot.has_changed().unwrap_or(false);
        if !self.has_looked {
            forgot = forgot || !self.remembers_the_last().await?;
            self.again = self.left_behind().await?;
        }
        // A proof takes this guard away, to see itself go red.
        #[cfg(feature = "sabotage")]
        let forgot = forgot && !super::fault::leaves_forgotten();
        if forgot {
            let leaving = self.again.take().map(|again| again.leaving);
            self.begin_again(0, leaving.unwrap_or_default()).await?;
        }
        self.has_looked = true;
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

    /// What an earlier process had begun to tell again, and what readers of the outbox had not come to before the hall had a bus whose
    /// stream they follow.
    async fn left_behind(&mut self) -> Result<Option<Again>, Cause> {
        let (mut begun, mut leaving, mut slowest) = (false, Vec::new(), u64::MAX);
        for (reader, number) in self.journal.readers().await? {
            match reader.as_str() {
                RELAY => continue,
                AGAIN => begun = true,
                _ if self.bus.is_followed() => leaving.push(reader),
                _ => continue,
            }
            slowest = slowest.min(number);
        }
        if !begun && leaving.is_empty() {
            return Ok(None);
        }
        self.begin_again(slowest, leaving).await?;
        Ok(self.again.take())
    }

    /// To be told once more: everything above a number that was told until now.
    async fn begin_again(&mut self, after: u64, leaving: Vec<String>) -> Result<(), Cause> {
        let until = self.journal.cursor(RELAY).await?;
        // A place moves up only, so one that is there already is taken away first. It is written before anything new is told: later
        // nothing would show that something is missing.
        self.journal.leave(AGAIN).await?;
        self.journal.advance(AGAIN, after).await?;
        self.again = Some(Again {
            after,
            until,
            told: 0,
            leaving,
        });
        Ok(())
    }

    async fn tell_new(&self) -> Result<bool, Cause> {
        let after = self.journal.cursor(RELAY).await?;
        let rows = self.journal.read(after, BATCH).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        read(self.journal.as_ref(), RELAY, rows.len());
        let is_full = rows.len() == BATCH;
        let (through, told) = self.send(after, rows).await;
        self.journal.advance(RELAY, through).await?;
        told.map(|()| is_full)
    }

    async fn tell_again(&mut self) -> Result<bool, Cause> {
        let Some(again) = &self.again else {
            return Ok(false);
        };
        let mut rows = self.journal.read(again.after, BATCH).await?;
        rows.retain(|(number, _)| *number <= again.until);
        if rows.is_empty() {
            self.is_told_again().await?;
            return Ok(false);
        }
        let count = u64::try_from(rows.len()).unwrap_or_default();
        let (through, told) = self.send(again.after, rows).await;
        self.journal.advance(AGAIN, through).await?;
        if let Some(again) = &mut self.again {
            again.after = through;
            again.told += if told.is_ok() { count } else { 0 };
        }
        told.map(|()| true)
    }

    async fn is_told_again(&mut self) -> Result<(), Cause> {
        let outbox = self.journal.name();
        if let Some(again) = &self.again {
            for reader in &again.leaving {
                self.journal.leave(reader).await?;
                info!(outbox, reader, "a reader follows the bus from now on");
            }
            self.journal.leave(AGAIN).await?;
            if again.told > 0 {
                counter!("guildhall_outbox_told_again_total", "outbox" => outbox)
                    .increment(again.told);
                warn!(
                    outbox,
                    told = again.told,
                    "the bus lacked events; they were told again"
                );
            }
        }
        self.again = None;
        Ok(())
    }

    /// Sends rows, those of one scope one after the other. Returns up to which number all were taken, from `after` on, and why no
    /// further.
    async fn send(&self, after: u64, rows: Vec<(u64, Note)>) -> (u64, Result<(), Cause>) {
        let numbers: Vec<_> = rows.iter().map(|(number, _)| *number).collect();
        let mut lanes: HashMap<String, Vec<(u64, Note)>> = HashMap::new();
        for (number, note) in rows {
            lanes
                .entry(scope(&note.subject).to_owned())
                .or_default()
                .push((number, note));
        }
        let sent = stream::iter(lanes.into_values()).map(|lane| self.send_lane(lane));
        let failed: Vec<_> = sent
            .buffer_unordered(LANES)
            .filter_map(std::future::ready)
            .collect()
            .await;
        match failed.into_iter().min_by_key(|(number, _)| *number) {
            None => (numbers.last().copied().unwrap_or(after), Ok(())),
            Some((first, cause)) => {
                let before = numbers.into_iter().take_while(|number| *number < first);
                (before.last().unwrap_or(after), Err(cause))
            }
        }
    }

    /// The number of the first that was not taken, and why.
    async fn send_lane(&self, lane: Vec<(u64, Note)>) -> Option<(u64, Cause)> {
        for (number, note) in lane {
            if let Err(cause) = self.bus.send(note).await {
                return Some((number, cause.into()));
            }
        }
        None
    }
}

/// What a note is about: its subject without the event's name.
fn scope(subject: &str) -> &str {
    subject.rsplit_once('.').map_or(subject, |(scope, _)| scope)
}

/// Resolves when the bus was found to have forgotten; never for a bus that cannot.
async fn lost(mut forgot: watch::Receiver<u64>) {
    if forgot.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
