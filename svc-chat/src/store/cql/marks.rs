//! Read marks: plain writes whose timestamp is the mark, so that a lower one never wins over a higher one.

use std::collections::BTreeMap;

use guildhall_kernel::{ChannelId, Time, UserId};
use scylla::statement::batch::{Batch, BatchType};

use super::{
    database::{Asked, Database},
    failure::Failure,
    row::{number, unless_absent},
};
use crate::model::{Mark, Seq};

impl Database {
    /// A user's read mark as it is written down.
    pub(super) async fn mark(&self, channel: ChannelId, user: UserId) -> Asked<Mark> {
        let asked = (channel.uuid(), &user.bytes()[..]);
        let row: Option<(Option<i64>, Option<i64>)> =
            self.one(&self.statements.mark, asked).await?;
        let Some((Some(seq), read_at)) = row else {
            return Ok(Mark::default());
        };
        Ok(Mark {
            seq: Seq(number(seq)?),
            read_at: read_at.map(Time::from_micros),
        })
    }

    /// Writes a read mark. A lower one never wins over a higher one; `at` is when its user moved it, where they did.
    pub(super) async fn put_mark(
        &self,
        channel: ChannelId,
        user: UserId,
        seq: Seq,
        at: Option<Time>,
    ) -> Asked<()> {
        let at = unless_absent(at.map(Time::micros));
        let n = i64::from(seq.0);
        let row = (n, n, at, channel.uuid(), &user.bytes()[..]);
        self.write(&self.statements.put_mark, row).await
    }

    /// Writes the read marks of those who posted, all in one partition, as [`Database::put_mark`] does one.
    pub(super) async fn put_marks(
        &self,
        channel: ChannelId,
        marks: &BTreeMap<UserId, (Seq, Time)>,
    ) -> Asked<()> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(Some(self.profiles.write.clone()));
        batch.set_is_idempotent(true);
        let mut rows = Vec::with_capacity(marks.len());
        for (user, (seq, at)) in marks {
            batch.append_statement(self.statements.put_mark.clone());
            let n = i64::from(seq.0);
            rows.push((n, n, at.micros(), channel.uuid(), &user.bytes()[..]));
        }
        if !rows.is_empty() {
            self.session.batch(&batch, rows).await?;
        }
        Ok(())
    }

    /// Read marks of a channel by user id.
    pub(super) async fn readers(
        &self,
        channel: ChannelId,
        after: Option<UserId>,
        limit: usize,
    ) -> Asked<Vec<(UserId, Seq)>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        // Before every id stands one that lacks its last byte.
        let after = after.as_ref().map_or(&[0; 15][..], |user| user.bytes());
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let asked = (channel.uuid(), after, limit);
        let rows: Vec<(Vec<u8>, i64)> = self.all(&self.statements.readers, asked).await?;
        let reader = |(user, seq): (Vec<u8>, i64)| {
            let id = user
                .try_into()
                .map_err(|_| Failure::Damaged("a reader's id is no id"))?;
            Ok((UserId::from_bytes(id), Seq(number(seq)?)))
        };
        rows.into_iter().map(reader).collect()
    }
}
