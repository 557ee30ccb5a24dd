//! Group commit, what follows when one fails, and the chores between.
//!
//! A group is one transaction: all its changes, the events they owe, and where the readers of events stand. It is answered after
//! the sync, and told before it is answered. When it fails:
//! - a change that breaks the transaction does not fail the others: all is taken back and each goes alone;
//! - a full disk refuses the whole group, and certainly nothing of it was written;
//! - a commit that failed in any other way may be in the log or not. All are told that nobody knows, and the file is opened again,
//!   which moves everything committed out of the log and empties it: from then on the group is there whole or not at all.
//!   While that does not succeed, writes are refused; reads go on.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use guildhall_kernel::Clock;
use guildhall_store::EngineFile;
use metrics::{counter, histogram};
use tracing::{error, info, warn};

use super::{
    failure::{Failure, Verdict},
    fault::{self, Faults},
    ledger::Ledger,
    open_ledger,
    queue::Queue,
    tail::Tail,
    writer::Change,
};
use crate::model::Epoch;

/// How often chores are looked at, and how long cursors may be unwritten.
const TICK: Duration = Duration::from_secs(1);
/// How often old events are looked for, and how many are deleted at once.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
const PRUNE_MOST: usize = 1_000;
/// How long events are kept after all readers have had them.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How long to wait before the file is opened once more, doubled up to [`PATIENCE`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(5);

/// What the writing thread works with.
pub(super) struct Press {
    pub(super) file: EngineFile,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tail: Arc<Tail>,
    pub(super) epoch: Epoch,
    pub(super) faults: Faults,
    /// How many changes share a transaction at most.
    pub(super) most: usize,
    /// `None`: it was spoilt and is to be opened again.
    pub(super) ledger: Option<Ledger>,
    pub(super) chores: Chores,
    pub(super) trouble: Trouble,
}

/// When what is due, in uptime.
#[derive(Default)]
pub(super) struct Chores {
    look: Duration,
    prune: Duration,
}

/// How opening the file again goes.
#[derive(Default)]
pub(super) struct Trouble {
    cause: Option<Arc<dyn Error + Send + Sync>>,
    wait: Duration,
    /// In uptime.
    next: Duration,
}

/// How a transaction did not end.
enum Ended {
    /// A change broke it; nothing was written.
    ByChange(Failure),
    /// Nothing was written.
    Certainly(Failure),
    /// Nobody knows.
    InDoubt(Failure),
}

impl Press {
    /// Works until the queue is closed and empty.
    pub(super) fn run(&mut self, changes: &Queue<Box<dyn Change>>) {
        while let Some(mut group) = changes.take(self.most, TICK) {
            group.retain(|change| change.is_awaited());
            if !group.is_empty() {
                self.commit(group);
            }
            self.do_chores();
        }
        if !self.tail.moves().is_empty() {
            self.commit(Vec::new());
        }
        // Closing the last connection of the file empties its log.
        self.ledger = None;
    }

    fn commit(&mut self, mut group: Vec<Box<dyn Change>>) {
        let Some(mut ledger) = self.take_ledger() else {
            let cause = self
                .trouble
                .cause
                .clone()
                .unwrap_or_else(|| Arc::new(Failure::Panicked));
            return answer(group, &Err(Verdict::Away(cause)));
        };
        let tried = AssertUnwindSafe(|| self.attempt(&mut ledger, &mut group));
        let ended = match catch_unwind(tried).unwrap_or(Err(Ended::InDoubt(Failure::Panicked))) {
            Ok(()) => {
                self.ledger = Some(ledger);
                return answer(group, &Ok(()));
            }
            Err(ended) => ended,
        };
        let (failure, name) = match &ended {
            Ended::ByChange(failure) | Ended::Certainly(failure) => (failure, "refused"),
            Ended::InDoubt(failure) => (failure, "in_doubt"),
        };
        error!(
            error = failure as &dyn Error,
            outcome = name,
            changes = group.len(),
            "a commit failed"
        );
        counter!("guildhall_timeline_failures_total", "outcome" => name).increment(1);
        let sound = name == "refused" && !failure.spoils_connection();
        if ledger.abandon() && sound {
            self.ledger = Some(ledger);
        }
        match ended {
            Ended::ByChange(_) if group.len() > 1 => {
                for change in group {
                    self.commit(vec![change]);
                }
            }
            Ended::ByChange(failure) | Ended::Certainly(failure) => {
                answer(group, &Err(Verdict::Not(failure.into())));
            }
            Ended::InDoubt(failure) => answer(group, &Err(Verdict::InDoubt(failure.into()))),
        }
    }

    /// One transaction. What a fault answers early is gone from the group.
    fn attempt(
        &mut self,
        ledger: &mut Ledger,
        group: &mut Vec<Box<dyn Change>>,
    ) -> Result<(), Ended> {
        ledger.begin().map_err(Ended::Certainly)?;
        for change in group.iter_mut() {
            change.make(ledger).map_err(Ended::ByChange)?;
        }
        self.prune(ledger).map_err(Ended::Certainly)?;
        let moves = self.tail.moves();
        let events = ledger.settle(&moves).map_err(Ended::Certainly)?;
        if self.faults.answers_early() {
            answer(std::mem::take(group), &Ok(()));
            fault::dawdle();
        }

        let before = self.clock.uptime();
        ledger.commit().map_err(|failure| {
            if failure.is_certain() {
                Ended::Certainly(failure)
            } else {
                Ended::InDoubt(failure)
            }
        })?;
        let took = self.clock.uptime().saturating_sub(before);

        self.tail.grow(events);
        self.tail.kept(&moves);
        histogram!("guildhall_timeline_commit_seconds").record(took);
        if !group.is_empty() {
            histogram!("guildhall_timeline_group_size")
                .record(u32::try_from(group.len()).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// Writes down where readers of events stand, and deletes old events, when either is due.
    fn do_chores(&mut self) {
        let now = self.clock.uptime();
        if now < self.chores.look {
            return;
        }
        self.chores.look = now + TICK;
        let away = self.ledger.is_none();
        if away || now >= self.chores.prune || !self.tail.moves().is_empty() {
            self.commit(Vec::new());
        }
    }

    /// Deletes some old events if that is due.
    fn prune(&mut self, ledger: &mut Ledger) -> Result<(), Failure> {
        let now = self.clock.uptime();
        if now < self.chores.prune {
            return Ok(());
        }
        // Set before it is tried: where it cannot be done, changes go on without it.
        self.chores.prune = now + PRUNE_EVERY;
        let before = self.clock.now().minus(KEPT);
        let deleted = ledger.prune(self.tail.had_by_all(), before, PRUNE_MOST)?;
        if deleted == PRUNE_MOST {
            self.chores.prune = now + TICK;
        }
        Ok(())
    }

    /// The ledger, opened again if it was spoilt and it is time to try.
    fn take_ledger(&mut self) -> Option<Ledger> {
        if let Some(ledger) = self.ledger.take() {
            return Some(ledger);
        }
        let now = self.clock.uptime();
        if now < self.trouble.next {
            return None;
        }
        match open_ledger(&self.file, &self.epoch, self.faults) {
            Ok((ledger, last)) => {
                info!(file = %self.file.path().display(), "the timeline was opened again");
                self.tail.forget(last);
                self.trouble = Trouble::default();
                Some(ledger)
            }
            Err(cause) => {
                let wait = (self.trouble.wait * 2).clamp(FIRST_WAIT, PATIENCE);
                warn!(
                    error = &cause as &dyn Error,
                    ?wait,
                    "the timeline cannot be opened again"
                );
                self.trouble = Trouble {
                    cause: Some(Arc::new(cause)),
                    wait,
                    next: now + wait,
                };
                None
            }
        }
    }
}

fn answer(group: Vec<Box<dyn Change>>, verdict: &Result<(), Verdict>) {
    for change in group {
        change.answer(verdict.clone());
    }
}
