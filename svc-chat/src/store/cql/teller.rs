//! How far each channel is told, in memory: what waits to be told, and what is to be done next.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use guildhall_kernel::ChannelId;
use guildhall_mesh::{Bus, Note, bus::BusError};
use tracing::error;

use crate::model::Rev;

/// How many changes of a channel wait in memory. Further ones are read again when it is their turn.
const ROOM: usize = 1_024;
/// How many channels are remembered; beyond that those at rest are forgotten.
const REMEMBERED: usize = 50_000;
/// How many changes are read at once.
const READ: u32 = 200;
/// How many new changes go before some of those that are told once more.
const NEW: u32 = 50;
/// How many of those are told then.
const OLD: u32 = 50;

/// Where changes are told.
pub(super) struct Teller {
    pub(super) bus: Arc<dyn Bus>,
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
    /// What is to be told once more, because the bus forgot it: above one rev, up to another.
    again: Option<(Rev, Rev)>,
    /// How many new changes were told since then.
    new: u32,
    /// Whether a task tells.
    is_running: bool,
    /// Whether a task writes down.
    is_writing: bool,
}

/// What is to be done next for a channel.
pub(super) enum Next {
    Again {
        after: Rev,
        through: Rev,
    },
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
    pub(super) async fn send(&self, note: Note) -> Result<(), BusError> {
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
    pub(super) fn queue(&self, channel: ChannelId, notes: Vec<(Rev, Note)>, goal: Rev) -> bool {
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

    pub(super) fn next(&self, channel: ChannelId) -> Next {
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(&channel) else {
            return Next::Rest { write: false };
        };
        let has_new = line.sent.is_some_and(|sent| sent < line.goal) && line.new < NEW;
        if let (Some((after, through)), false) = (line.again, has_new) {
            line.new = 0;
            let through = Rev(through.0.min(after.0.saturating_add(OLD)));
            return Next::Again { after, through };
        }
        line.new = line.new.saturating_add(1);
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

    /// Takes changes to be told once more; whether a task must be started.
    pub(super) fn queue_again(&self, channel: ChannelId, after: Rev, through: Rev) -> bool {
        let mut lines = self.lines();
        let line = lines.entry(channel).or_default();
        let (from, to) = line.again.unwrap_or((after, through));
        line.again = Some((from.min(after), to.max(through)));
        !std::mem::replace(&mut line.is_running, true)
    }

    pub(super) fn has_again(&self, channel: ChannelId) -> bool {
        let lines = self.lines();
        lines.get(&channel).is_some_and(|line| line.again.is_some())
    }

    /// Notes that what is to be told once more was told from one rev up to another.
    pub(super) fn told_again(&self, channel: ChannelId, from: Rev, to: Rev) {
        if let Some(line) = self.lines().get_mut(&channel)
            && let Some((after, through)) = line.again
            && after == from
        {
            line.again = (to < through).then_some((to, through));
        }
    }

    /// What to write down; `None` where all is.
    pub(super) fn unwritten(&self, channel: ChannelId) -> Option<Rev> {
        let mut lines = self.lines();
        let line = lines.get_mut(&channel)?;
        let unwritten = line.sent.filter(|sent| *sent > line.written);
        line.is_writing = unwritten.is_some();
        unwritten
    }

    /// Notes that everything up to a change was told, here or elsewhere.
    pub(super) fn reached(&self, channel: ChannelId, told: Rev) {
        let mut lines = self.lines();
        let line = lines.entry(channel).or_default();
        line.sent = line.sent.max(Some(told));
        // What is below was told.
        line.waiting = line.waiting.split_off(&Rev(told.0.saturating_add(1)));
    }

    pub(super) fn written(&self, channel: ChannelId, told: Rev) {
        let mut lines = self.lines();
        let line = lines.entry(channel).or_default();
        line.written = line.written.max(told);
    }

    pub(super) fn written_in_vain(&self, channel: ChannelId) {
        if let Some(line) = self.lines().get_mut(&channel) {
            line.is_writing = false;
        }
    }

    pub(super) fn rest(&self, channel: ChannelId) {
        if let Some(line) = self.lines().get_mut(&channel) {
            line.is_running = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use guildhall_mesh::LocalBus;

    use super::*;

    #[test]
    fn what_is_new_goes_before_what_the_bus_forgot_and_does_not_keep_it_back() {
        let teller = Teller::new(Arc::new(LocalBus::new()));
        let channel = ChannelId::from_bytes([1; 16]);
        teller.reached(channel, Rev(1_000));
        teller.queue(channel, Vec::new(), Rev(9_000));
        teller.queue_again(channel, Rev(0), Rev(1_000));

        let mut told = String::new();
        for _ in 0..2 * NEW + 2 {
            match teller.next(channel) {
                Next::Read { after, .. } => {
                    told.push('n');
                    teller.reached(channel, Rev(after.0 + 1));
                }
                Next::Again { after, through } => {
                    told.push('o');
                    teller.told_again(channel, after, through);
                }
                Next::LookUp | Next::Send(..) | Next::Rest { .. } => told.push('?'),
            }
        }

        let new = "n".repeat(NEW as usize);
        assert_eq!(told, format!("{new}o{new}o"));
    }
}
