//! Telling: each channel's changes on the bus, in the order of revs, each at least once.
//!
//! What was told is written down in `told`, which moves only when the bus has acknowledged everything up to there. So whoever takes
//! a channel over knows what is still to be told, and tells that first, from the change rows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use guildhall_kernel::ChannelId;
use guildhall_mesh::{Bus, Note, bus::BusError};
use tracing::{error, warn};

use super::{
    Core,
    database::Asked,
    row::{Change, What},
};
use crate::{event, model::Rev};

/// How many changes of a channel wait in memory. Further ones are read again when it is their turn.
const ROOM: usize = 1_024;
/// How many channels are remembered; beyond that those at rest are forgotten.
const REMEMBERED: usize = 50_000;
/// How many changes are read at once.
const READ: u32 = 200;
/// How long to wait after a failure, doubled up to [`PATIENCE`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(5);

/// Where changes are told.
pub(super) struct Teller {
    bus: Arc<dyn Bus>,
    // Locked for a look-up and never across an await: by whoever commits, by the task that tells, by sweeps.
    lines: Mutex<HashMap<ChannelId, Line>>,
}

/// How far one channel is told.
#[derive(Default)]
struct Line {
    /// Up to where the bus acknowledged all; `None` where that must be looked up.
    sent: Option<Rev>,
    /// Up to where that is written down.
    written: Rev,
    /// Up to where there is something to tell.
    goal: Rev,
    waiting: BTreeMap<Rev, Note>,
    /// Whether a task tells.
    is_running: bool,
    /// Whether a task writes down.
    is_writing: bool,
}

/// What is to be done next for a channel.
enum Next {
    LookUp,
    Send(Rev, Note),
    Read {
        after: Rev,
        through: Rev,
    },
    /// Nothing. Whether it is to be written down how far all was told.
    Rest {
        write: bool,
    },
}

impl Teller {
    pub(super) fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            lines: Mutex::default(),
        }
    }

    /// Sends a note. One that the bus will never take is passed over, with an alarm: the rest must not wait for it.
    async fn send(&self, note: Note) -> Result<(), BusError> {
        let (id, subject) = (note.id, note.subject.clone());
        match self.bus.send(note).await {
            Err(BusError::Refused(cause)) => {
                metrics::counter!("guildhall_chat_untellable_changes_total").increment(1);
                error!(%id, %subject, %cause, "the bus refuses a note");
                Ok(())
            }
            other => other,
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<ChannelId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changes to be told; whether a task must be started.
    fn queue(&self, channel: ChannelId, notes: Vec<(Rev, Note)>, goal: Rev) -> bool {
        let mut lines = self.lines();
        if lines.len() > REMEMBERED {
            lines.retain(|_, line| line.is_running || line.is_writing);
        }
        let line = lines.entry(channel).or_default();
        line.goal = line.goal.max(goal);
        for (rev, note) in notes {
            if line.waiting.len() < ROOM && line.sent.is_none_or(|sent| rev > sent) {
                line.waiting.insert(rev, note);
            }
        }
        !std::mem::replace(&mut line.is_running, true)
    }

    fn next(&self, channel: ChannelId) -> Next {
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(&channel) else {
            return Next::Rest { write: false };
        };
        let Some(sent) = line.sent else {
            return Next::LookUp;
        };
        if let Some(next) = sent.next().filter(|next| *next <= line.goal) {
            if let Some(note) = line.waiting.remove(&next) {
                return Next::Send(next, note);
            }
            let waits = line.waiting.keys().next().copied().unwrap_or(Rev(u32::MAX));
            let through = waits.0.saturating_sub(1).min(line.goal.0);
            let through = Rev(through.min(sent.0.saturating_add(READ)));
            return Next::Read {
                after: sent,
                through,
            };
        }
        line.waiting.clear();
        line.is_running = false;
        let write = sent > line.written && !line.is_writing;
        line.is_writing |= write;
        Next::Rest { write }
    }

    /// What to write down; `None` where all is.
    fn unwritten(&self, channel: ChannelId) -> Option<Rev> {
        let mut lines = self.lines();
        let line = lines.get_mut(&channel)?;
        let unwritten = line.sent.filter(|sent| *sent > line.written);
        line.is_writing = unwritten.is_some();
        unwritten
    }

    /// Notes that everything up to a change was told, here or elsewhere.
    fn reached(&self, channel: ChannelId, told: Rev) {
        let mut lines = self.lines();
        let line = lines.entry(channel).or_default();
        line.sent = line.sent.max(Some(told));
        // What is below was told.
        line.waiting = line.waiting.split_off(&Rev(told.0.saturating_add(1)));
    }

    fn written(&self, channel: ChannelId, told: Rev) {
        let mut lines = self.lines();
        let line = lines.entry(channel).or_default();
        line.written = line.written.max(told);
    }

    fn written_in_vain(&self, channel: ChannelId) {
        if let Some(line) = self.lines().get_mut(&channel) {
            line.is_writing = false;
        }
    }

    fn rest(&self, channel: ChannelId) {
        if let Some(line) = self.lines().get_mut(&channel) {
            line.is_running = false;
        }
    }
}

impl Core {
    /// Looks up how far a channel was told, before the first batch of ours.
    pub(super) async fn take_over(&self, channel: ChannelId) -> Asked<()> {
        if let Some(teller) = &self.teller
            && !self.faults.forgets_untold()
        {
            let told = self.database.told(channel).await?;
            teller.reached(channel, told);
            teller.written(channel, told);
        }
        Ok(())
    }

    /// Tells changes that were just made. Does not wait for a bus that takes its time; one that takes notes at once has them when
    /// this returns.
    pub(super) async fn tell(self: &Arc<Self>, channel: ChannelId, changes: Vec<Change>) {
        let (Some(teller), Some(first), Some(last)) =
            (&self.teller, changes.first(), changes.last())
        else {
            return;
        };
        let (first, goal) = (first.message.rev, last.message.rev);
        if self.faults.forgets_untold() {
            teller.reached(channel, Rev(first.0.saturating_sub(1)));
        }
        let notes = changes
            .iter()
            .map(|change| (change.message.rev, self.note(change)));
        if teller.queue(channel, notes.collect(), goal) {
            self.start(channel).await;
        }
    }

    /// Tells what is known to be behind.
    pub(super) async fn catch_up(self: &Arc<Self>, channel: ChannelId, told: Rev, goal: Rev) {
        let Some(teller) = &self.teller else {
            return;
        };
        teller.reached(channel, told);
        if teller.queue(channel, Vec::new(), goal) {
            self.start(channel).await;
        }
    }

    async fn start(self: &Arc<Self>, channel: ChannelId) {
        let mut telling = Box::pin(self.clone().run(channel));
        if futures::poll!(&mut telling).is_pending() {
            self.tasks.spawn("chat tell", telling);
        }
    }

    async fn run(self: Arc<Self>, channel: ChannelId) {
        let Some(teller) = &self.teller else {
            return;
        };
        let mut wait = FIRST_WAIT;
        loop {
            let next = teller.next(channel);
            if let Next::Rest { write } = next {
                if write {
                    self.tasks
                        .spawn("chat told", self.clone().write_down(channel));
                }
                return;
            }
            match self.do_next(teller, channel, next).await {
                Ok(()) => wait = FIRST_WAIT,
                Err(cause) => {
                    metrics::counter!("guildhall_chat_telling_failures_total").increment(1);
                    warn!(%channel, %cause, ?wait, "telling waits");
                    if self.tasks.is_stopping() {
                        // Written down is only what was told, so the rest is told by the next process.
                        return teller.rest(channel);
                    }
                    tokio::select! {
                        () = self.tasks.stopping() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    wait = (wait * 2).min(PATIENCE);
                }
            }
        }
    }

    async fn do_next(
        &self,
        teller: &Teller,
        channel: ChannelId,
        next: Next,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match next {
            Next::LookUp => {
                let told = self.database.told(channel).await?;
                teller.reached(channel, told);
                teller.written(channel, told);
            }
            Next::Send(rev, note) => {
                teller.send(note).await?;
                teller.reached(channel, rev);
            }
            Next::Read { after, through } => {
                for change in self.untold(channel, after, through).await? {
                    let rev = change.message.rev;
                    if change.what == What::Posted {
                        let message = &change.message;
                        let (seq, at) = (message.id.seq, message.posted_at);
                        self.database
                            .put_mark(channel, message.author, seq, Some(at))
                            .await?;
                    }
                    teller.send(self.note(&change)).await?;
                    teller.reached(channel, rev);
                }
                // Also where rows were gone.
                teller.reached(channel, through);
            }
            Next::Rest { .. } => {}
        }
        Ok(())
    }

    /// Writes down how far a channel was told, beside the telling: what comes meanwhile is written down next, all at once.
    async fn write_down(self: Arc<Self>, channel: ChannelId) {
        let Some(teller) = &self.teller else {
            return;
        };
        while let Some(told) = teller.unwritten(channel) {
            if let Err(failure) = self.database.put_told(channel, told).await {
                // It only makes somebody tell again.
                warn!(%channel, error = %failure, "what was told cannot be written down");
                return teller.written_in_vain(channel);
            }
            teller.written(channel, told);
        }
    }

    /// Changes from their rows, in order. Rows live for eight days; what nobody told until then is lost to listeners, not to readers.
    async fn untold(&self, channel: ChannelId, after: Rev, through: Rev) -> Asked<Vec<Change>> {
        let tip = self.newest(channel).await?;
        let mut changes = Vec::new();
        for part in self.change_parts(channel, &tip, after, through).await? {
            changes.extend(self.database.changes(channel, part).await?);
        }
        let wanted = (through.0 - after.0) as usize;
        if changes.len() != wanted {
            let gone = wanted - changes.len();
            metrics::counter!("guildhall_chat_untold_changes_total")
                .increment(u64::try_from(gone).unwrap_or(u64::MAX));
            error!(%channel, gone, "changes were forgotten before they were told");
        }
        Ok(changes)
    }

    fn note(&self, change: &Change) -> Note {
        let told = match change.what {
            What::Posted => event::posted,
            What::Edited => event::edited,
            What::Deleted => event::deleted,
        };
        told(&self.epoch, &change.message)
    }
}
