//! Telling: each channel's changes on the bus, in the order of revs, each at least once.
//!
//! What was told is written down in `told`, which moves only when the bus has acknowledged everything up to there. So whoever takes
//! a channel over knows what is still to be told, and tells that first, from the change rows.

use std::{collections::HashMap, sync::Arc, time::Duration};

use guildhall_kernel::ChannelId;
use guildhall_mesh::Note;
use tracing::{error, warn};

use super::{
    Core,
    database::Asked,
    row::{Change, What},
    teller::{Next, Teller},
};
use crate::{event, model::Rev};

/// How long to wait after a failure, doubled up to [`PATIENCE`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(1);
/// How often is written down how far a channel was told. What is not is told once more, if the process dies.
const WRITE_EVERY: Duration = Duration::from_millis(200);

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

    /// Tells once more what the bus forgot. What is new of the channel goes first: people wait for it.
    pub(super) async fn tell_again(self: &Arc<Self>, channel: ChannelId, after: Rev, through: Rev) {
        if let Some(teller) = &self.teller
            && teller.queue_again(channel, after, through)
        {
            self.start(channel).await;
        }
    }

    /// Whether a channel still has changes to be told once more.
    pub(super) fn tells_again(&self, channel: ChannelId) -> bool {
        let teller = self.teller.as_ref();
        teller.is_some_and(|teller| teller.has_again(channel))
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
            Next::Again { after, through } => {
                let changes = self.changes_of(channel, after, through).await?;
                let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
                for change in changes {
                    teller.send(self.note(&change)).await?;
                }
                metrics::counter!("guildhall_outbox_told_again_total", "outbox" => "timelines")
                    .increment(count);
                teller.told_again(channel, after, through);
            }
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
                let changes = self.untold(channel, after, through).await?;
                self.mark_own(channel, &changes).await?;
                for change in changes {
                    teller.send(self.note(&change)).await?;
                    teller.reached(channel, change.message.rev);
                }
                // Also where rows were gone.
                teller.reached(channel, through);
            }
            Next::Rest { .. } => {}
        }
        Ok(())
    }

    /// Who posted has read as far as that: one mark for each, however often they posted.
    async fn mark_own(&self, channel: ChannelId, changes: &[Change]) -> Asked<()> {
        let mut last = HashMap::new();
        for change in changes.iter().filter(|change| change.what == What::Posted) {
            let message = &change.message;
            last.insert(message.author, (message.id.seq, message.posted_at));
        }
        for (author, (seq, at)) in last {
            self.database
                .put_mark(channel, author, seq, Some(at))
                .await?;
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
            // The more is told, the more is written down at once.
            tokio::select! {
                () = self.tasks.stopping() => {}
                () = tokio::time::sleep(WRITE_EVERY) => {}
            }
        }
    }

    /// Changes from their rows, in order. Rows live for eight days; what nobody told until then is lost to listeners, not to readers.
    async fn untold(&self, channel: ChannelId, after: Rev, through: Rev) -> Asked<Vec<Change>> {
        let changes = self.changes_of(channel, after, through).await?;
        let wanted = (through.0 - after.0) as usize;
        if changes.len() != wanted {
            let gone = wanted - changes.len();
            metrics::counter!("guildhall_chat_untold_changes_total")
                .increment(u64::try_from(gone).unwrap_or(u64::MAX));
            error!(%channel, gone, "changes were forgotten before they were told");
        }
        Ok(changes)
    }

    /// Changes from their rows, in order, as far as there are rows.
    pub(super) async fn changes_of(
        &self,
        channel: ChannelId,
        after: Rev,
        through: Rev,
    ) -> Asked<Vec<Change>> {
        let tip = self.newest(channel).await?;
        let mut changes = Vec::new();
        for part in self.change_parts(channel, &tip, after, through).await? {
            changes.extend(self.database.changes(channel, part).await?);
        }
        Ok(changes)
    }

    pub(super) fn note(&self, change: &Change) -> Note {
        let told = match change.what {
            What::Posted => event::posted,
            What::Edited => event::edited,
            What::Deleted => event::deleted,
        };
        told(&self.epoch, &change.message)
    }
}
