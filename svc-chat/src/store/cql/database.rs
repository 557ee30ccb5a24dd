//! Questions and plain writes, one function each; what is decided by Paxos stands in `claim`.

use futures::TryStreamExt as _;
use guildhall_kernel::{ChannelId, Time, UserId};
use scylla::{
    client::session::Session,
    deserialize::row::DeserializeRow,
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
    value::{CqlTimestamp, CqlValue},
};
use uuid::Uuid;

use super::{
    failure::Failure,
    row::{Change, ChangeRow, HeadRow, MessageRow, NewestRow, Tip, bucket_of, int, number},
    session::Profiles,
    shard,
    statements::Statements,
};
use crate::model::{Message, MessageId, Rev, Seq};

pub(super) type Asked<T> = Result<T, Failure>;

/// The servers.
pub(super) struct Database {
    pub(super) session: Session,
    pub(super) statements: Statements,
    pub(super) profiles: Profiles,
}

/// A part of a channel's numbers in one bucket: those above `after`, up to `through`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) bucket: u32,
    pub(super) after: u32,
    pub(super) through: u32,
}

impl Database {
    /// In which bucket to look for the newest one first.
    pub(super) async fn hint(&self, channel: ChannelId) -> Asked<u32> {
        let row: Option<(i32,)> = self.one(&self.statements.hint, (channel.uuid(),)).await?;
        row.map_or(Ok(0), |(bucket,)| number(bucket.into()))
    }

    /// Says that a bucket was opened; an earlier one never wins over a later one.
    pub(super) async fn put_hint(&self, channel: ChannelId, bucket: u32) -> Asked<()> {
        let row = (i64::from(bucket) + 1, int(bucket), channel.uuid());
        self.write(&self.statements.put_hint, row).await
    }

    /// What a bucket says of itself.
    pub(super) async fn head(&self, channel: ChannelId, bucket: u32) -> Asked<Option<Tip>> {
        self.head_by(&self.statements.head, channel, bucket).await
    }

    /// The same, with the outcome of every batch begun before.
    pub(super) async fn latest_head(&self, channel: ChannelId, bucket: u32) -> Asked<Option<Tip>> {
        self.head_by(&self.statements.latest_head, channel, bucket)
            .await
    }

    async fn head_by(
        &self,
        statement: &PreparedStatement,
        channel: ChannelId,
        bucket: u32,
    ) -> Asked<Option<Tip>> {
        let row: Option<HeadRow> = self.one(statement, (channel.uuid(), int(bucket))).await?;
        row.map_or(Ok(None), |row| Tip::of(bucket, row))
    }

    /// A message.
    pub(super) async fn message(&self, id: MessageId) -> Asked<Option<Message>> {
        if id.seq == Seq(0) {
            return Ok(None);
        }
        let (bucket, n) = (int(bucket_of(id.seq)), i64::from(id.seq.0));
        let asked = (id.channel.uuid(), bucket, n);
        let row: Option<MessageRow> = self.one(&self.statements.message, asked).await?;
        row.map(|row| row.message(id.channel)).transpose()
    }

    /// Messages of one bucket, the oldest first. A hole is looked into once more, with the outcome of every batch begun before;
    /// then it is one.
    pub(super) async fn page(&self, channel: ChannelId, part: Part) -> Asked<Vec<Message>> {
        let wanted = part.through.saturating_sub(part.after) as usize;
        let range = (i64::from(part.after), i64::from(part.through));
        let asked = (channel.uuid(), int(part.bucket), range.0, range.1);
        let mut rows: Vec<MessageRow> = self.all(&self.statements.page, asked).await?;
        if rows.len() != wanted {
            rows = self.all(&self.statements.latest_page, asked).await?;
        }
        if rows.len() != wanted {
            metrics::counter!("guildhall_chat_timeline_holes_total").increment(1);
            return Err(Failure::Damaged("a channel lacks messages below its head"));
        }
        rows.into_iter()
            .rev()
            .map(|row| row.message(channel))
            .collect()
    }

    /// The newest messages of a bucket, the newest first, with what the bucket says of itself at the same moment: a batch writes both
    /// or neither. `None` where it has no messages.
    pub(super) async fn newest(
        &self,
        channel: ChannelId,
        bucket: u32,
        limit: usize,
    ) -> Asked<Option<(Tip, Vec<Message>)>> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let asked = (channel.uuid(), int(bucket), limit);
        let rows: Vec<NewestRow> = self.all(&self.statements.newest, asked).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let tip = Tip::of(bucket, first.head())?;
        let tip = tip.ok_or(Failure::Damaged("a bucket with messages has no head"))?;
        let messages = rows.into_iter().map(|row| row.message(channel));
        Ok(Some((tip, messages.collect::<Asked<_>>()?)))
    }

    /// The latest time at which a message or any before it was posted.
    pub(super) async fn latest(&self, channel: ChannelId, seq: Seq) -> Asked<i64> {
        let asked = (channel.uuid(), int(bucket_of(seq)), i64::from(seq.0));
        let row: Option<(i64, Option<i64>)> = self.one(&self.statements.posted_at, asked).await?;
        let (posted, latest) =
            row.ok_or(Failure::Damaged("a channel lacks messages below its head"))?;
        Ok(latest.unwrap_or(posted))
    }

    /// Which message each change of one bucket was made to, the oldest change first.
    pub(super) async fn targets(&self, channel: ChannelId, part: Part) -> Asked<Vec<(Rev, Seq)>> {
        let asked = (
            channel.uuid(),
            int(part.bucket),
            i64::from(part.after),
            i64::from(part.through),
        );
        let rows: Vec<(i64, i64)> = self.all(&self.statements.targets, asked).await?;
        let numbers = |(n, target): (i64, i64)| Ok((Rev(number(n)?), Seq(number(target)?)));
        rows.into_iter().rev().map(numbers).collect()
    }

    /// Some changes of one bucket, the oldest first.
    pub(super) async fn changes_at(
        &self,
        channel: ChannelId,
        bucket: u32,
        revs: &[Rev],
    ) -> Asked<Vec<Change>> {
        let revs: Vec<_> = revs.iter().map(|rev| i64::from(rev.0)).collect();
        let asked = (channel.uuid(), int(bucket), revs);
        let rows: Vec<ChangeRow> = self.all(&self.statements.changes_at, asked).await?;
        rows.into_iter()
            .rev()
            .map(|row| row.change(channel))
            .collect()
    }

    /// The changes of a part of one bucket, the oldest first.
    pub(super) async fn changes(&self, channel: ChannelId, part: Part) -> Asked<Vec<Change>> {
        let asked = (
            channel.uuid(),
            int(part.bucket),
            i64::from(part.after),
            i64::from(part.through),
        );
        let rows: Vec<ChangeRow> = self.all(&self.statements.changes, asked).await?;
        rows.into_iter()
            .rev()
            .map(|row| row.change(channel))
            .collect()
    }

    /// The batch that a change came with.
    pub(super) async fn batch_of(
        &self,
        channel: ChannelId,
        bucket: u32,
        rev: Rev,
    ) -> Asked<Option<Uuid>> {
        let asked = (channel.uuid(), int(bucket), i64::from(rev.0));
        let row: Option<(Option<Uuid>,)> = self.one(&self.statements.batch_of, asked).await?;
        Ok(row.and_then(|(batch,)| batch))
    }

    /// The keys of a part of one bucket. May be long, so it comes in pages.
    pub(super) async fn keys(
        &self,
        channel: ChannelId,
        part: Part,
    ) -> Asked<Vec<(Seq, UserId, String)>> {
        let asked = (
            channel.uuid(),
            int(part.bucket),
            i64::from(part.after),
            i64::from(part.through),
        );
        let keys = self.statements.keys.clone();
        let pages = self.session.execute_iter(keys, asked).await?;
        let rows = pages
            .rows_stream::<(i64, Uuid, String)>()
            .map_err(Failure::answer)?;
        let rows: Vec<_> = rows.try_collect().await.map_err(Failure::answer)?;
        let key = |(n, author, key)| Ok((Seq(number(n)?), UserId::of(author), key));
        rows.into_iter().map(key).collect()
    }

    /// The message posted under a key in a bucket that was filed.
    pub(super) async fn old_key(
        &self,
        channel: ChannelId,
        author: UserId,
        key: &str,
    ) -> Asked<Option<Seq>> {
        let shard = shard::of_key_number(shard::of_key(author, key));
        let asked = (channel.uuid(), shard, author.uuid(), key);
        let row: Option<(i64,)> = self.one(&self.statements.old_key, asked).await?;
        row.map(|(seq,)| Ok(Seq(number(seq)?))).transpose()
    }

    /// Files keys of one part, all in one partition.
    pub(super) async fn put_old_keys(
        &self,
        channel: ChannelId,
        shard: i16,
        keys: &[(Seq, UserId, String)],
    ) -> Asked<()> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(Some(self.profiles.write.clone()));
        batch.set_is_idempotent(true);
        let mut rows = Vec::with_capacity(keys.len());
        for (seq, author, key) in keys {
            batch.append_statement(self.statements.put_old_key.clone());
            rows.push((
                channel.uuid(),
                shard,
                author.uuid(),
                key.as_str(),
                i64::from(seq.0),
            ));
        }
        self.session.batch(&batch, rows).await?;
        Ok(())
    }

    /// Says that a channel changes in a minute.
    pub(super) async fn put_dirty(&self, channel: ChannelId, minute: i32) -> Asked<()> {
        let row = (shard::of_channel(channel), minute, channel.uuid());
        self.write(&self.statements.put_dirty, row).await
    }

    /// The channels of a shard that changed in a minute.
    pub(super) async fn dirty(&self, shard: i16, minute: i32) -> Asked<Vec<ChannelId>> {
        let rows: Vec<(Uuid,)> = self.all(&self.statements.dirty, (shard, minute)).await?;
        Ok(rows
            .into_iter()
            .map(|(channel,)| ChannelId::of(channel))
            .collect())
    }

    /// Up to which change a channel was told.
    pub(super) async fn told(&self, channel: ChannelId) -> Asked<Rev> {
        let row: Option<(i64,)> = self.one(&self.statements.told, (channel.uuid(),)).await?;
        row.map_or(Ok(Rev(0)), |(rev,)| Ok(Rev(number(rev)?)))
    }

    /// Says up to which change a channel was told; a lower one never wins over a higher one.
    pub(super) async fn put_told(&self, channel: ChannelId, rev: Rev) -> Asked<()> {
        let n = i64::from(rev.0);
        self.write(&self.statements.put_told, (n, n, channel.uuid()))
            .await
    }

    /// Up to which minute everything of a shard was told.
    pub(super) async fn swept(&self, shard: i16) -> Asked<Option<i32>> {
        let row: Option<(i32,)> = self.one(&self.statements.swept, (shard,)).await?;
        Ok(row.map(|(minute,)| minute))
    }

    /// Says up to which minute everything of a shard was told.
    pub(super) async fn put_swept(&self, shard: i16, minute: i32) -> Asked<()> {
        let row = (shard::minute_stamp(minute), minute, shard);
        self.write(&self.statements.put_swept, row).await
    }

    /// What time a server has.
    pub(super) async fn time(&self) -> Asked<Time> {
        let row: Option<(CqlTimestamp,)> = self.one(&self.statements.clock, ()).await?;
        let (CqlTimestamp(millis),) = row.ok_or(Failure::Damaged("a server has no clock"))?;
        Ok(Time::from_micros(millis.saturating_mul(1_000)))
    }

    /// Whether a statement decided by Paxos was applied. Only the first row's first column is looked at: the rest differs between
    /// servers.
    pub(super) fn was_applied(answer: scylla::response::query_result::QueryResult) -> Asked<bool> {
        let rows = answer.into_rows_result().map_err(Failure::answer)?;
        let row: scylla::value::Row = rows.first_row().map_err(Failure::answer)?;
        match row.columns.first() {
            Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
            _ => Err(Failure::Damaged(
                "the servers do not say whether a batch was applied",
            )),
        }
    }

    pub(super) async fn write(
        &self,
        statement: &PreparedStatement,
        row: impl SerializeRow,
    ) -> Asked<()> {
        self.session.execute_unpaged(statement, row).await?;
        Ok(())
    }

    pub(super) async fn one<R>(
        &self,
        statement: &PreparedStatement,
        asked: impl SerializeRow,
    ) -> Asked<Option<R>>
    where
        R: for<'a> DeserializeRow<'a, 'a>,
    {
        let answer = self.session.execute_unpaged(statement, asked).await?;
        let rows = answer.into_rows_result().map_err(Failure::answer)?;
        rows.maybe_first_row::<R>().map_err(Failure::answer)
    }

    pub(super) async fn all<R>(
        &self,
        statement: &PreparedStatement,
        asked: impl SerializeRow,
    ) -> Asked<Vec<R>>
    where
        R: for<'a> DeserializeRow<'a, 'a>,
    {
        let answer = self.session.execute_unpaged(statement, asked).await?;
        let rows = answer.into_rows_result().map_err(Failure::answer)?;
        let rows = rows.rows::<R>().map_err(Failure::answer)?;
        rows.collect::<Result<_, _>>().map_err(Failure::answer)
    }
}
