//! The end of a channel's log: finding it, opening its next bucket, and finishing what somebody left half done.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use guildhall_kernel::{ChannelId, Time};

use super::{
    Core,
    database::{Asked, Database, Part},
    failure::Failure,
    keys::Keys,
    row::{BUCKET, Tip, bucket_of, int, last_of, unless_absent},
    shard,
};
use crate::model::{Message, Rev, Seq};

/// How many statements of one job are under way at once.
const AT_ONCE: usize = 16;
/// How many keys are filed in one batch.
const KEYS_A_BATCH: usize = 32;

impl Core {
    /// The end as readers may see it.
    pub(super) async fn newest(&self, channel: ChannelId) -> Asked<Tip> {
        let mut tip = self.walk(channel, false).await?;
        if self.faults.shows_pending() {
            tip.applied = tip.head.rev;
        }
        Ok(tip)
    }

    /// The end as the next batch must find it, with nothing pending; and the keys up to there.
    pub(super) async fn learn(self: &Arc<Self>, channel: ChannelId, keys: &mut Keys) -> Asked<Tip> {
        let tip = self.learn_end(channel).await?;
        self.learn_keys(channel, &tip, keys).await?;
        self.take_over(channel).await?;
        Ok(tip)
    }

    /// The end with the outcome of every batch begun before, and with nothing pending.
    pub(super) async fn learn_end(&self, channel: ChannelId) -> Asked<Tip> {
        let mut tip = self.walk(channel, true).await?;
        if self.faults.shows_pending() {
            tip.applied = tip.head.rev;
        }
        self.complete(channel, tip).await
    }

    async fn walk(&self, channel: ChannelId, latest: bool) -> Asked<Tip> {
        let look = async |bucket| {
            if latest {
                self.database.latest_head(channel, bucket).await
            } else {
                self.database.head(channel, bucket).await
            }
        };
        let hint = self.remembered_bucket(channel).await?;
        let Some(mut tip) = look(hint).await? else {
            if hint == 0 {
                return Ok(Tip::EMPTY);
            }
            return Err(Failure::Damaged("a bucket that was opened is not there"));
        };
        while tip.is_closed {
            match look(tip.bucket + 1).await? {
                Some(next) => tip = next,
                None => break,
            }
        }
        self.remember_bucket(channel, tip.bucket);
        Ok(tip)
    }

    /// The newest bucket as far as is known here, or an earlier one.
    pub(super) async fn remembered_bucket(&self, channel: ChannelId) -> Asked<u32> {
        match self.buckets.get(&channel) {
            Some(bucket) => Ok(bucket),
            None => self.database.hint(channel).await,
        }
    }

    pub(super) fn remember_bucket(&self, channel: ChannelId, bucket: u32) {
        if self.buckets.get(&channel) != Some(bucket) {
            self.buckets.insert(channel, bucket);
        }
    }

    /// Does to the messages what the changes above `applied` say, in the order of revs, and then says so. Anybody may, also several
    /// at once: a message takes only what is newer than what it has.
    pub(super) async fn complete(&self, channel: ChannelId, mut tip: Tip) -> Asked<Tip> {
        while tip.applied < tip.head.rev {
            let part = Part {
                bucket: tip.bucket,
                after: tip.applied.0,
                through: tip.head.rev.0,
            };
            let pending = self.database.changes(channel, part).await?;
            if pending.len() != (part.through - part.after) as usize {
                return Err(Failure::Damaged(
                    "a change that is still to be made is not there",
                ));
            }
            let last: BTreeMap<_, _> = pending
                .into_iter()
                .map(|change| (change.message.id.seq, change.message))
                .collect();
            tip = self.apply(channel, tip, last.values()).await?;
        }
        Ok(tip)
    }

    /// Brings messages to these states, and moves `applied` to the head that they belong to. Returns the end after it.
    pub(super) async fn apply<'a>(
        &self,
        channel: ChannelId,
        tip: Tip,
        messages: impl Iterator<Item = &'a Message>,
    ) -> Asked<Tip> {
        for message in messages {
            self.claim_message(channel, message).await?;
        }
        let asked = (
            i64::from(tip.head.rev.0),
            channel.uuid(),
            int(tip.bucket),
            i64::from(tip.applied.0),
        );
        let applied = &self.database.statements.applied;
        let answer = self
            .database
            .session
            .execute_unpaged(applied, asked)
            .await?;
        if Database::was_applied(answer)? {
            return Ok(Tip {
                applied: tip.head.rev,
                ..tip
            });
        }
        // Somebody else was here.
        let now = self.database.latest_head(channel, tip.bucket).await?;
        now.ok_or(Failure::Damaged("a bucket that was opened is not there"))
    }

    async fn claim_message(&self, channel: ChannelId, message: &Message) -> Asked<()> {
        let rev = i64::from(message.rev.0);
        let asked = (
            rev,
            &message.text,
            unless_absent(message.edited_at.map(Time::micros)),
            unless_absent(message.deleted_at.map(Time::micros)),
            channel.uuid(),
            int(bucket_of(message.id.seq)),
            i64::from(message.id.seq.0),
            rev,
        );
        let apply = &self.database.statements.apply;
        self.database.session.execute_unpaged(apply, asked).await?;
        Ok(())
    }

    /// Opens the bucket after the end; `None` where somebody else did. Before that the keys of the last but one are filed, so that
    /// whoever writes needs to hold those of two.
    pub(super) async fn open_next(&self, channel: ChannelId, tip: &Tip) -> Asked<Option<Tip>> {
        let mut next = Tip {
            is_open: true,
            is_closed: false,
            ..*tip
        };
        if tip.is_open {
            next.bucket += 1;
            next.first = tip.head.rev;
            if let Some(older) = tip.bucket.checked_sub(1) {
                self.file_keys(channel, older).await?;
            }
        }
        let asked = (
            i64::from(next.head.seq.0),
            i64::from(next.head.rev.0),
            i64::from(next.applied.0),
            i64::from(next.first.0),
            next.latest,
            channel.uuid(),
            int(next.bucket),
        );
        let open = &self.database.statements.open;
        let answer = self.database.session.execute_unpaged(open, asked).await?;
        if !Database::was_applied(answer)? {
            return Ok(None);
        }
        if next.bucket > 0 {
            self.database.put_hint(channel, next.bucket).await?;
        }
        self.buckets.insert(channel, next.bucket);
        Ok(Some(next))
    }

    /// Brings the keys up to the end. What is below what was known before is known.
    async fn learn_keys(&self, channel: ChannelId, tip: &Tip, keys: &mut Keys) -> Asked<()> {
        let first = tip.bucket.saturating_sub(1);
        keys.forget_below(first);
        if self.faults.keys_before_head() && keys.through() > Seq(0) {
            keys.reach(tip.head.seq);
        }
        let from = keys.through().0.max(first * BUCKET);
        for bucket in bucket_of(Seq(from.saturating_add(1)))..=tip.bucket {
            let part = Part {
                bucket,
                after: from.max(bucket * BUCKET),
                through: last_of(bucket).min(tip.head.seq).0,
            };
            if part.after >= part.through {
                continue;
            }
            for (seq, author, key) in self.database.keys(channel, part).await? {
                keys.add(shard::of_key(author, &key), seq);
            }
        }
        keys.reach(tip.head.seq);
        Ok(())
    }

    /// Writes the keys of a bucket to where they are found when nobody holds them in memory. May be done again.
    pub(super) async fn file_keys(&self, channel: ChannelId, bucket: u32) -> Asked<()> {
        let part = Part {
            bucket,
            after: bucket * BUCKET,
            through: last_of(bucket).0,
        };
        let mut shards: HashMap<i16, Vec<_>> = HashMap::new();
        for row in self.database.keys(channel, part).await? {
            let shard = shard::of_key_number(shard::of_key(row.1, &row.2));
            shards.entry(shard).or_default().push(row);
        }
        let mut writes = Vec::new();
        for (shard, rows) in &shards {
            for some in rows.chunks(KEYS_A_BATCH) {
                writes.push(self.database.put_old_keys(channel, *shard, some));
            }
        }
        let writes = stream::iter(writes).buffer_unordered(AT_ONCE);
        writes.try_collect::<Vec<()>>().await.map(drop)
    }

    /// Where the changes above `after`, up to `through`, stand: the earliest bucket first.
    pub(super) async fn change_parts(
        &self,
        channel: ChannelId,
        tip: &Tip,
        after: Rev,
        through: Rev,
    ) -> Asked<Vec<Part>> {
        let (mut parts, mut bucket, mut first) = (Vec::new(), tip.bucket, tip.first);
        let mut through = through.0;
        while after.0 < through {
            let from = after.0.max(first.0);
            if from < through {
                parts.push(Part {
                    bucket,
                    after: from,
                    through,
                });
                through = from;
            }
            if after.0 >= through {
                break;
            }
            let Some(before) = bucket.checked_sub(1) else {
                return Err(Failure::Damaged("the first bucket has changes before it"));
            };
            let Some(earlier) = self.database.head(channel, before).await? else {
                return Err(Failure::Damaged("a bucket that was opened is not there"));
            };
            (bucket, first) = (before, earlier.first);
        }
        parts.reverse();
        Ok(parts)
    }
}
