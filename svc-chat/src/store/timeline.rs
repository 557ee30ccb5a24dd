//! The log of every channel. What stands here are promises; each is a test in `contract.rs`, run on every engine.

use async_trait::async_trait;
use guildhall_kernel::{ChannelId, Time, UserId};

use crate::model::{Draft, Epoch, Head, Mark, Message, MessageId, Rev, Seq, Text};

use super::StoreError;

/// How far back [`Timeline::changes`] reaches, in changes.
pub const REACH: u32 = 1_000;

/// The log of every channel: messages numbered by seq, changes by rev, both from 1 without gaps, and how far people have read.
///
/// What is answered is synced, and what a reader has seen does not go away. A write whose answer was
/// [`StoreError::OutcomeUnknown`], or never came, was made whole or not at all; after any other error it was not made. Every change
/// is told on the bus at least once, also when the process died between commit and telling, a repeat with the same event id, and
/// in the order of revs. Read marks are kept but not told here.
///
/// Order is by number, never by time: `posted_at` is what the draft says and may go back. Where an instant stands for a place, the
/// place is before the first message posted at or after it.
#[async_trait]
pub trait Timeline: Send + Sync + 'static {
    /// Names the numbers of this store.
    fn epoch(&self) -> &Epoch;

    /// Adds a message as the next of its channel and moves its author's read mark to it, at the draft's time. Of two drafts with the same author and
    /// key in a channel the first wins, always, also after restarts; the second changes nothing. A channel whose numbers are used up
    /// refuses with [`StoreError::Full`], repeats excepted.
    async fn append(&self, channel: ChannelId, draft: Draft) -> Result<Appended, StoreError>;

    /// Changes the text of a message that `editor` wrote. The rules are judged on the state that the change builds on, and in the
    /// order of [`Changed`]: missing, not the author, deleted. The same text again is no change.
    async fn edit(
        &self,
        id: MessageId,
        editor: UserId,
        text: Text,
        at: Time,
    ) -> Result<Changed, StoreError>;

    /// Empties a message that `by` wrote, or any message where `of_others`: its tombstone keeps its seq, author, key and times.
    /// Deleting again is no change.
    async fn delete(
        &self,
        id: MessageId,
        by: UserId,
        of_others: bool,
        at: Time,
    ) -> Result<Changed, StoreError>;

    /// The message in its present state.
    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError>;

    /// How far each channel has come and its newest message, in the order asked; zeros for a channel without messages.
    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Newest>, StoreError>;

    /// Up to `limit` messages about a place, the oldest first, tombstones too. The head is read before them, so nothing at or below
    /// it is missing.
    async fn history(
        &self,
        channel: ChannelId,
        place: Place,
        limit: usize,
    ) -> Result<History, StoreError>;

    /// The messages changed after a rev in the order of their last change, each once and in its present state, up to `limit`. Further
    /// back than [`REACH`] changes there is nothing to tell but the head.
    async fn changes(
        &self,
        channel: ChannelId,
        after: Rev,
        limit: usize,
    ) -> Result<Changes, StoreError>;

    /// Moves a user's read mark up, never down and never above the head. A mark that moves takes the time with it.
    async fn mark_read(
        &self,
        channel: ChannelId,
        user: UserId,
        to: Seq,
        at: Time,
    ) -> Result<Moved, StoreError>;

    /// Moves a user's read mark up to the last message before the first one posted after an instant: where a newcomer starts. The
    /// mark's time stays: nobody has read anything.
    async fn mark_read_until(
        &self,
        channel: ChannelId,
        user: UserId,
        at: Time,
    ) -> Result<Moved, StoreError>;

    /// A user's read mark in each channel, in the order asked: as it is written down, whatever any clock says. Where an instant stands
    /// beside the channel, not below the place where [`Timeline::mark_read_until`] would put it: for who came then, as long as that
    /// is not written down.
    async fn marks(
        &self,
        user: UserId,
        channels: &[(ChannelId, Option<Time>)],
    ) -> Result<Vec<Mark>, StoreError>;

    /// Up to `limit` read marks of a channel by user id, after a user.
    async fn readers(
        &self,
        channel: ChannelId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Seq)>, StoreError>;
}

/// What became of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is the next message.
    New(Message),
    /// Its key was there already: the first message, in its present state.
    Repeat(Message),
}

/// What became of an edit or a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The message after the change.
    Done(Message),
    /// The message was like that already.
    Unchanged(Message),
    /// There is no such message.
    Missing,
    /// Somebody else wrote it.
    NotAuthor,
    /// It was deleted, so it cannot be edited.
    Deleted,
}

/// How far a channel has come, and its newest message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Newest {
    /// The head.
    pub head: Head,
    /// The newest message; `None` in an empty channel.
    pub message: Option<Message>,
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The newest messages.
    Newest,
    /// The nearest messages below a seq.
    Before(Seq),
    /// The nearest messages above a seq.
    After(Seq),
    /// Half of `limit`, rounded up, from a seq down, with it; the rest from above it. Neither side makes up for the other.
    Around(Seq),
    /// The nearest messages before the first one posted at or after an instant, so all of them were posted before it.
    BeforeTime(Time),
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The messages, the oldest first.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub has_older: bool,
    /// Whether there are newer ones.
    pub has_newer: bool,
    /// The head before the messages were read.
    pub head: Head,
}

/// What changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// The messages, complete up to `through`; at the head when `through` is `head.rev`.
    Since {
        /// In the order of their last change.
        messages: Vec<Message>,
        /// Up to which change nothing is missing.
        through: Rev,
        /// The head before the messages were read.
        head: Head,
    },
    /// Too far back, or above the head: load the newest page.
    TooFar {
        /// The head.
        head: Head,
    },
}

/// Where a read mark stood and stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Before.
    pub from: Seq,
    /// Now; the same where nothing moved.
    pub to: Seq,
    /// The channel's head.
    pub head: Head,
}

/// Which numbers stand on a page: those above `after`, up to `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) after: Seq,
    pub(super) through: Seq,
}

impl Span {
    /// The nearest below a seq; below `None`: the newest.
    pub(super) fn below(seq: Option<Seq>, limit: usize, newest: Seq) -> Self {
        let through = seq
            .map_or(newest.0, |seq| seq.0.saturating_sub(1))
            .min(newest.0);
        Self {
            after: Seq(through.saturating_sub(count(limit))),
            through: Seq(through),
        }
    }

    /// The nearest above a seq.
    pub(super) fn above(seq: Seq, limit: usize, newest: Seq) -> Self {
        let after = seq.min(newest);
        Self {
            after,
            through: Seq(after.0.saturating_add(count(limit))).min(newest),
        }
    }

    /// Half from a seq down, half above it.
    pub(super) fn around(seq: Seq, limit: usize, newest: Seq) -> Self {
        let middle = seq.min(newest).0;
        let above = limit / 2;
        let after = middle.saturating_sub(count(limit - above));
        let through = middle.saturating_add(count(above)).min(newest.0);
        Self {
            after: Seq(after),
            through: Seq(through),
        }
    }
}

fn count(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
