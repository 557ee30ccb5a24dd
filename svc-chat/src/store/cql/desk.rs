//! Where wishes wait: one queue a channel, one task for a channel that has any. Those who wait together go into one batch.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use guildhall_kernel::ChannelId;
use tokio::sync::oneshot;

use super::{
    Core,
    commit::{Ask, Known},
    failure::Failure,
    plan::{Answer, MOST, Wish},
};
use crate::store::StoreError;

/// How many bytes of waiting wishes are too many.
const WAITING_BYTES: usize = 16 << 20;
/// How many channels, and how many keys of all of them, are remembered. Beyond that all at rest are forgotten and read again.
const REMEMBERED: usize = 20_000;
const REMEMBERED_KEYS: usize = 4_000_000;

/// The queues.
pub(super) struct Desks {
    core: Arc<Core>,
    /// How many wishes may wait, of all channels. Further ones are refused at once with [`StoreError::Busy`].
    room: usize,
    // Locked for a look-up and never across an await: by callers who queue, and by the task that works for a channel.
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    desks: HashMap<ChannelId, Desk>,
    waiting: usize,
    waiting_bytes: usize,
    keys: usize,
    is_closed: bool,
}

#[derive(Default)]
struct Desk {
    queue: VecDeque<Ask>,
    /// Whether a task works for it, and has what is known.
    is_busy: bool,
    known: Known,
}

impl Desks {
    pub(super) fn new(core: Arc<Core>, room: usize) -> Self {
        Self {
            core,
            room,
            all: Mutex::default(),
        }
    }

    /// Queues a wish and waits for what becomes of it.
    pub(super) async fn ask(
        self: &Arc<Self>,
        channel: ChannelId,
        wish: Wish,
    ) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut all = self.all();
            if all.is_closed {
                return Err(StoreError::Closed);
            }
            let bytes = wish.bytes();
            if all.waiting >= self.room || all.waiting_bytes + bytes > WAITING_BYTES {
                metrics::counter!("guildhall_chat_timeline_busy_total").increment(1);
                return Err(StoreError::Busy);
            }
            all.waiting += 1;
            all.waiting_bytes += bytes;
            let desk = all.desks.entry(channel).or_default();
            desk.queue.push_back(Ask { wish, reply });
            if !desk.is_busy {
                desk.is_busy = true;
                let work = Work {
                    desks: self.clone(),
                    channel,
                    is_done: false,
                };
                // Not the caller's task: others wait with it, and the caller may go.
                self.core.tasks.spawn("chat desk", work.run());
            }
        }
        let gone = "the process stopped before the answer";
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::OutcomeUnknown(gone.into())))
    }

    /// Refuses what comes from now on.
    pub(super) fn close(&self) {
        self.all().is_closed = true;
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one channel.
struct Work {
    desks: Arc<Desks>,
    channel: ChannelId,
    /// Whether it left the desk in order. Another task may work for the channel then.
    is_done: bool,
}

impl Work {
    async fn run(mut self) {
        let mut known = self.take();
        while let Some(group) = self.next(&mut known) {
            let made = self.desks.core.make(self.channel, group, &mut known).await;
            if let Err(failure) = made {
                self.refuse_waiting(&failure);
            }
        }
        self.is_done = true;
    }

    /// Refuses those who wait behind a group that could not be made: each would wait as long for the same.
    fn refuse_waiting(&self, failure: &Failure) {
        let waiting = {
            let mut all = self.desks.all();
            let Some(desk) = all.desks.get_mut(&self.channel) else {
                return;
            };
            let waiting = std::mem::take(&mut desk.queue);
            all.leave(&waiting);
            waiting
        };
        for ask in waiting {
            // Whoever asked may have gone.
            let _ = ask.reply.send(Err(failure.clone().into()));
        }
    }

    fn take(&self) -> Known {
        let mut all = self.desks.all();
        let known = all
            .desks
            .get_mut(&self.channel)
            .map(|desk| std::mem::take(&mut desk.known));
        let known = known.unwrap_or_default();
        all.keys = all.keys.saturating_sub(known.keys.len());
        known
    }

    /// The next group; `None` where nobody waits, and then what is known goes back to the desk.
    fn next(&self, known: &mut Known) -> Option<VecDeque<Ask>> {
        let mut all = self.desks.all();
        let desk = all.desks.get_mut(&self.channel)?;
        if desk.queue.is_empty() {
            desk.is_busy = false;
            let keys = known.keys.len();
            desk.known = std::mem::take(known);
            all.keys += keys;
            all.forget_some();
            return None;
        }
        let count = desk.queue.len().min(MOST);
        let group: VecDeque<_> = desk.queue.drain(..count).collect();
        all.leave(&group);
        Some(group)
    }
}

/// A task that was cut off leaves nobody waiting for it.
impl Drop for Work {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut all = self.desks.all();
        if let Some(desk) = all.desks.remove(&self.channel) {
            all.leave(&desk.queue);
        }
    }
}

impl All {
    /// Counts out those who do not wait any more.
    fn leave(&mut self, gone: &VecDeque<Ask>) {
        self.waiting -= gone.len();
        self.waiting_bytes -= gone.iter().map(|ask| ask.wish.bytes()).sum::<usize>();
    }

    fn forget_some(&mut self) {
        if self.desks.len() <= REMEMBERED && self.keys <= REMEMBERED_KEYS {
            return;
        }
        self.desks.retain(|_, desk| desk.is_busy);
        self.keys = 0;
    }
}
