//! Rows and what they stand for.

use guildhall_kernel::{ChannelId, Key, Time, UserId};
use scylla::{DeserializeRow, value::MaybeUnset};
use uuid::Uuid;

use super::failure::Failure;
use crate::model::{Head, Message, MessageId, Rev, Seq};

/// How many messages stand in one partition.
pub(super) const BUCKET: u32 = 8_192;

/// The bucket of a message; that of the first one for 0.
pub(super) const fn bucket_of(seq: Seq) -> u32 {
    seq.0.saturating_sub(1) / BUCKET
}

/// The last message of a bucket, where the channel's numbers reach so far.
pub(super) const fn last_of(bucket: u32) -> Seq {
    Seq(bucket.saturating_add(1).saturating_mul(BUCKET))
}

/// A bucket as the tables have it.
pub(super) fn int(bucket: u32) -> i32 {
    // There are at most half a million of them.
    i32::try_from(bucket).unwrap_or(i32::MAX)
}

/// A value that may be absent; no cell is written for it, where a null would leave a tombstone.
pub(super) fn unless_absent<T>(value: Option<T>) -> MaybeUnset<T> {
    MaybeUnset::from_option(value)
}

/// What a bucket says of itself. All null: there is no such bucket.
#[derive(Debug, Clone, Copy, DeserializeRow)]
pub(super) struct HeadRow {
    head_seq: Option<i64>,
    head_rev: Option<i64>,
    applied_rev: Option<i64>,
    first_rev: Option<i64>,
    head_at: Option<i64>,
    closed: Option<bool>,
}

/// What is known of a channel's newest bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    /// Which bucket.
    pub(super) bucket: u32,
    /// Whether it is there at all: the first one is made with the first message.
    pub(super) is_open: bool,
    /// Whether its last message was posted, so that nothing more can be written to it.
    pub(super) is_closed: bool,
    /// The newest message and the newest change.
    pub(super) head: Head,
    /// Up to which change every message carries what was done to it.
    pub(super) applied: Rev,
    /// The newest change of the bucket before.
    pub(super) first: Rev,
    /// The latest time at which any message of the channel was posted.
    pub(super) latest: i64,
}

impl Tip {
    /// A channel of which nothing is written.
    pub(super) const EMPTY: Self = Self {
        bucket: 0,
        is_open: false,
        is_closed: false,
        head: Head {
            seq: Seq(0),
            rev: Rev(0),
        },
        applied: Rev(0),
        first: Rev(0),
        latest: i64::MIN,
    };

    /// What people may see: nothing above what messages carry.
    pub(super) const fn seen(&self) -> Head {
        Head {
            seq: self.head.seq,
            rev: self.applied,
        }
    }

    pub(super) fn of(bucket: u32, row: HeadRow) -> Result<Option<Self>, Failure> {
        let Some(seq) = row.head_seq else {
            return Ok(None);
        };
        let whole = (
            row.head_rev,
            row.applied_rev,
            row.first_rev,
            row.head_at,
            row.closed,
        );
        let (Some(rev), Some(applied), Some(first), Some(latest), Some(is_closed)) = whole else {
            return Err(Failure::Damaged("a bucket lacks a part of its head"));
        };
        let (seq, rev) = (Seq(number(seq)?), Rev(number(rev)?));
        Ok(Some(Self {
            bucket,
            is_open: true,
            is_closed,
            head: Head { seq, rev },
            applied: Rev(number(applied)?),
            first: Rev(number(first)?),
            latest,
        }))
    }
}

/// A message as it is kept.
#[derive(Debug, DeserializeRow)]
pub(super) struct MessageRow {
    n: i64,
    rev: i64,
    author_id: Uuid,
    key: String,
    body: String,
    posted_at: i64,
    edited_at: Option<i64>,
    deleted_at: Option<i64>,
}

impl MessageRow {
    pub(super) fn message(self, channel: ChannelId) -> Result<Message, Failure> {
        Ok(Message {
            id: MessageId {
                channel,
                seq: Seq(number(self.n)?),
            },
            rev: Rev(number(self.rev)?),
            author: UserId::of(self.author_id),
            text: self.body,
            key: Key::parse(&self.key).map_err(Failure::answer)?,
            posted_at: Time::from_micros(self.posted_at),
            edited_at: self.edited_at.map(Time::from_micros),
            deleted_at: self.deleted_at.map(Time::from_micros),
        })
    }
}

/// A message with what its bucket says of itself.
#[derive(Debug, DeserializeRow)]
pub(super) struct NewestRow {
    head_seq: Option<i64>,
    head_rev: Option<i64>,
    applied_rev: Option<i64>,
    first_rev: Option<i64>,
    head_at: Option<i64>,
    closed: Option<bool>,
    n: i64,
    rev: i64,
    author_id: Uuid,
    key: String,
    body: String,
    posted_at: i64,
    edited_at: Option<i64>,
    deleted_at: Option<i64>,
}

impl NewestRow {
    pub(super) const fn head(&self) -> HeadRow {
        HeadRow {
            head_seq: self.head_seq,
            head_rev: self.head_rev,
            applied_rev: self.applied_rev,
            first_rev: self.first_rev,
            head_at: self.head_at,
            closed: self.closed,
        }
    }

    pub(super) fn message(self, channel: ChannelId) -> Result<Message, Failure> {
        let row = MessageRow {
            n: self.n,
            rev: self.rev,
            author_id: self.author_id,
            key: self.key,
            body: self.body,
            posted_at: self.posted_at,
            edited_at: self.edited_at,
            deleted_at: self.deleted_at,
        };
        row.message(channel)
    }
}

/// What was done in a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Posted,
    Edited,
    Deleted,
}

impl What {
    pub(super) const fn number(self) -> i8 {
        match self {
            Self::Posted => 0,
            Self::Edited => 1,
            Self::Deleted => 2,
        }
    }

    const fn of(number: i8) -> Option<Self> {
        match number {
            0 => Some(Self::Posted),
            1 => Some(Self::Edited),
            2 => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// One change: what was done, and the message as it was after it; its rev is the number of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) what: What,
    pub(super) message: Message,
}

/// A change as it is kept.
#[derive(Debug, DeserializeRow)]
pub(super) struct ChangeRow {
    n: i64,
    target: i64,
    what: i8,
    author_id: Uuid,
    key: String,
    body: String,
    posted_at: i64,
    edited_at: Option<i64>,
    deleted_at: Option<i64>,
}

impl ChangeRow {
    pub(super) fn change(self, channel: ChannelId) -> Result<Change, Failure> {
        let what = What::of(self.what).ok_or(Failure::Damaged("a change is of an unknown kind"))?;
        let row = MessageRow {
            n: self.target,
            rev: self.n,
            author_id: self.author_id,
            key: self.key,
            body: self.body,
            posted_at: self.posted_at,
            edited_at: self.edited_at,
            deleted_at: self.deleted_at,
        };
        Ok(Change {
            what,
            message: row.message(channel)?,
        })
    }
}

/// A number of ours out of a wider column.
pub(super) fn number(wide: i64) -> Result<u32, Failure> {
    u32::try_from(wide).map_err(|_| Failure::Damaged("a number is not one of ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_messages_and_the_next_one_begins_after_them() {
        for (seq, bucket) in [(0, 0), (1, 0), (8_192, 0), (8_193, 1), (u32::MAX, 524_287)] {
            assert_eq!(bucket_of(Seq(seq)), bucket, "{seq}");
            assert!(seq <= last_of(bucket).0, "{seq}");
        }
        assert_eq!(last_of(0), Seq(8_192));
        assert_eq!(last_of(524_287), Seq(u32::MAX));
    }
}
