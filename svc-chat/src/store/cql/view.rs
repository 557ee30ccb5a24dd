//! What is read. The end of the log is read before the rows, so nothing at or below it is missing; rows may be newer than it.

use std::collections::HashMap;

use futures::future::try_join_all;
use guildhall_kernel::{ChannelId, Time, UserId};

use super::{
    Core,
    database::{Asked, Part},
    row::{BUCKET, Tip, bucket_of, last_of},
};
use crate::{
    model::{Mark, Message, MessageId, Rev, Seq},
    store::timeline::{Changes, History, Moved, Newest, Place, REACH, Span},
};

/// How many changes are read by their revs at once.
const REVS_AT_ONCE: usize = 100;

impl Core {
    /// The message in its present state.
    pub(super) async fn message(&self, id: MessageId) -> Asked<Option<Message>> {
        let message = self.database.message(id).await?;
        let Some(message) = message else {
            return Ok(None);
        };
        // A change of an older message is seen on it a moment before it counts.
        if message.edited_at.is_some() || message.deleted_at.is_some() {
            let tip = self.newest(id.channel).await?;
            if message.rev > tip.applied {
                self.learn_end(id.channel).await?;
            }
        }
        Ok(Some(message))
    }

    /// A channel's head and its newest message.
    pub(super) async fn head_and_message(&self, channel: ChannelId) -> Asked<Newest> {
        let mut page = self.history(channel, Place::Newest, 1).await?;
        Ok(Newest {
            head: page.head,
            message: page.messages.pop(),
        })
    }

    /// A page. The newest of a channel is what everybody opens, so one read serves all who ask at the same moment.
    pub(super) async fn history(
        &self,
        channel: ChannelId,
        place: Place,
        limit: usize,
    ) -> Asked<History> {
        let read = self.page_of(channel, place, limit);
        match place {
            Place::Newest => self.newest.get((channel, limit), read).await,
            Place::Before(_) | Place::After(_) | Place::Around(_) | Place::BeforeTime(_) => {
                read.await
            }
        }
    }

    /// Messages are numbered without gaps, so the head and the place say which numbers stand on a page.
    async fn page_of(&self, channel: ChannelId, place: Place, limit: usize) -> Asked<History> {
        if place == Place::Newest
            && let Some(page) = self.newest_page(channel, limit).await?
        {
            return Ok(page);
        }
        let head = self.newest(channel).await?.seen();
        let span = match place {
            Place::Newest => Span::below(None, limit, head.seq),
            Place::Before(seq) => Span::below(Some(seq), limit, head.seq),
            Place::After(seq) => Span::above(seq, limit, head.seq),
            Place::Around(seq) => Span::around(seq, limit, head.seq),
            Place::BeforeTime(time) => {
                let first = self.first_from(channel, time, head.seq).await?;
                Span::below(Some(first), limit, head.seq)
            }
        };
        Ok(History {
            messages: self.span(channel, span).await?,
            has_older: span.after > Seq(0),
            has_newer: span.through < head.seq,
            head,
        })
    }

    /// The newest page by one question, where all of it stands in the newest bucket; else, and where a message is missing, `None`.
    async fn newest_page(&self, channel: ChannelId, limit: usize) -> Asked<Option<History>> {
        let bucket = self.remembered_bucket(channel).await?;
        let found = self.database.newest(channel, bucket, limit.max(1)).await?;
        let Some((mut tip, mut messages)) = found else {
            return Ok(None);
        };
        if self.faults.shows_pending() {
            tip.applied = tip.head.rev;
        }
        let head = tip.seen();
        let span = Span::below(None, limit, head.seq);
        messages.retain(|message| message.id.seq > span.after);
        messages.reverse();
        let is_whole = messages.len() == (span.through.0 - span.after.0) as usize;
        if tip.is_closed || !is_whole {
            return Ok(None);
        }
        self.remember_bucket(channel, bucket);
        Ok(Some(History {
            messages,
            has_older: span.after > Seq(0),
            has_newer: false,
            head,
        }))
    }

    /// The messages of a span, bucket by bucket.
    async fn span(&self, channel: ChannelId, span: Span) -> Asked<Vec<Message>> {
        let (after, through) = (span.after.0, span.through.0);
        if after >= through {
            return Ok(Vec::new());
        }
        let buckets = bucket_of(Seq(after + 1))..=bucket_of(span.through);
        let pages = buckets.map(|bucket| {
            let part = Part {
                bucket,
                after: after.max(bucket * BUCKET),
                through: through.min(last_of(bucket).0),
            };
            self.database.page(channel, part)
        });
        Ok(try_join_all(pages).await?.concat())
    }

    /// The first message posted at or after an instant, one above the newest where there is none: found by halving, since the
    /// latest time so far only rises.
    async fn first_from(&self, channel: ChannelId, time: Time, newest: Seq) -> Asked<Seq> {
        let (mut low, mut high) = (0, newest.0);
        // All up to `low` are earlier, all above `high` are not.
        while low < high {
            let middle = high - (high - low) / 2;
            if self.database.latest(channel, Seq(middle)).await? < time.micros() {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(Seq(low.saturating_add(1)))
    }

    /// The last message before the first one posted after an instant; 0 where that is the first of all.
    async fn last_until(&self, channel: ChannelId, at: Time, newest: Seq) -> Asked<Seq> {
        let after = Time::from_micros(at.micros().saturating_add(1));
        let first = self.first_from(channel, after, newest).await?;
        Ok(Seq(first.0 - 1))
    }

    /// What changed after a rev. A change carries the message as it left it, so the last change of each message up to the head is its
    /// state at the head.
    pub(super) async fn changes(
        &self,
        channel: ChannelId,
        after: Rev,
        limit: usize,
    ) -> Asked<Changes> {
        let tip = self.newest(channel).await?;
        let head = tip.seen();
        let behind = match head.rev.0.checked_sub(after.0) {
            Some(behind) if behind <= REACH => behind as usize,
            _ => return Ok(Changes::TooFar { head }),
        };
        let parts = self.change_parts(channel, &tip, after, head.rev).await?;
        let mut targets = Vec::with_capacity(parts.len());
        for part in &parts {
            targets.push(self.database.targets(channel, *part));
        }
        let targets = try_join_all(targets).await?.concat();
        if targets.len() != behind {
            // Their time is over.
            return Ok(Changes::TooFar { head });
        }

        let last: HashMap<_, _> = targets.into_iter().map(|(rev, seq)| (seq, rev)).collect();
        let mut revs: Vec<_> = last.into_values().collect();
        revs.sort_unstable();
        let is_complete = revs.len() <= limit;
        revs.truncate(limit);
        let through = if is_complete {
            head.rev
        } else {
            revs.last().copied().unwrap_or(after)
        };

        let messages = self.changed(channel, &parts, &revs).await?;
        if messages.len() != revs.len() {
            return Ok(Changes::TooFar { head });
        }
        Ok(Changes::Since {
            messages,
            through,
            head,
        })
    }

    /// The messages as some changes left them.
    async fn changed(
        &self,
        channel: ChannelId,
        parts: &[Part],
        revs: &[Rev],
    ) -> Asked<Vec<Message>> {
        let mut reads = Vec::new();
        for part in parts {
            let first = revs.partition_point(|rev| rev.0 <= part.after);
            let end = revs.partition_point(|rev| rev.0 <= part.through);
            for some in revs[first..end].chunks(REVS_AT_ONCE) {
                reads.push(self.database.changes_at(channel, part.bucket, some));
            }
        }
        let changes = try_join_all(reads).await?.concat();
        Ok(changes.into_iter().map(|change| change.message).collect())
    }

    /// Moves a read mark up, at most to the head.
    pub(super) async fn mark_read(
        &self,
        channel: ChannelId,
        user: UserId,
        to: Seq,
        at: Time,
    ) -> Asked<Moved> {
        let tip = self.newest(channel).await?;
        self.move_mark(channel, user, to, Some(at), &tip).await
    }

    /// Moves a read mark up to the last message before the first one posted after an instant.
    pub(super) async fn mark_read_until(
        &self,
        channel: ChannelId,
        user: UserId,
        at: Time,
    ) -> Asked<Moved> {
        let tip = self.newest(channel).await?;
        let to = self.last_until(channel, at, tip.head.seq).await?;
        self.move_mark(channel, user, to, None, &tip).await
    }

    async fn move_mark(
        &self,
        channel: ChannelId,
        user: UserId,
        to: Seq,
        at: Option<Time>,
        tip: &Tip,
    ) -> Asked<Moved> {
        let head = tip.seen();
        let from = self.database.mark(channel, user).await?.seq;
        let to = to.min(head.seq).max(from);
        if to > from {
            self.database.put_mark(channel, user, to, at).await?;
        }
        Ok(Moved { from, to, head })
    }

    /// A user's read mark as it is written down, or for one who came at an instant. Who has read past that place, as nearly everybody
    /// has, costs no search.
    pub(super) async fn mark_since(
        &self,
        channel: ChannelId,
        user: UserId,
        came: Option<Time>,
    ) -> Asked<Mark> {
        let mark = self.database.mark(channel, user).await?;
        let Some(came) = came else {
            return Ok(mark);
        };
        let newest = self.newest(channel).await?.head.seq;
        let Some(unread) = mark.seq.next().filter(|unread| *unread <= newest) else {
            return Ok(mark);
        };
        if self.database.latest(channel, unread).await? > came.micros() {
            return Ok(mark);
        }
        let seq = self.last_until(channel, came, newest).await?;
        Ok(Mark { seq, ..mark })
    }
}
