//! What is written: the changes of one transaction, and what is remembered between transactions.

use std::collections::{BTreeSet, HashMap};

use guildhall_kernel::{ChannelId, Time, UserId};
use guildhall_mesh::Note;
use rusqlite::{Connection, params};

use super::{failure::Failure, fault::Faults, view};
use crate::{
    event,
    model::{Draft, Epoch, Head, Message, MessageId, Rev, Seq, Text},
    store::timeline::{Appended, Changed, Moved},
};

type Made<T> = Result<T, Failure>;

/// How many channels' heads are remembered; beyond that all are forgotten and read again.
const REMEMBERED: usize = 20_000;

/// The one connection that writes. A transaction goes `begin`, changes, `settle`, `commit`; or after any failure `abandon`.
pub(super) struct Ledger {
    pub(super) connection: Connection,
    epoch: Epoch,
    faults: Faults,
    // Nobody else writes, so what was read or written once stays true.
    tips: HashMap<ChannelId, Tip>,
    /// Whose tips the open transaction moved: written once each, however many changes it holds.
    moved: BTreeSet<ChannelId>,
    /// The events of the open transaction, in the order of its changes.
    notes: Vec<Note>,
}

/// The end of a channel's log.
#[derive(Debug, Clone, Copy)]
struct Tip {
    head: Head,
    /// The latest time at which any of its messages was posted.
    latest: i64,
}

impl Ledger {
    pub(super) fn new(connection: Connection, epoch: Epoch, faults: Faults) -> Self {
        Self {
            connection,
            epoch,
            faults,
            tips: HashMap::new(),
            moved: BTreeSet::new(),
            notes: Vec::new(),
        }
    }

    /// Begins a transaction as the only writer.
    pub(super) fn begin(&mut self) -> Made<()> {
        if self.tips.len() > REMEMBERED {
            self.tips.clear();
        }
        Ok(self
            .connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])
            .map(drop)?)
    }

    /// Adds a message, or finds the first one under its key.
    pub(super) fn append(&mut self, channel: ChannelId, draft: &Draft) -> Made<Appended> {
        let tip = self.tip(channel)?;
        let (Some(seq), Some(rev)) = (tip.head.seq.next(), tip.head.rev.next()) else {
            // A repeat needs no number.
            let key = draft.key.as_str();
            let first = view::message_by_key(&self.connection, channel, draft.author, key)?;
            return first.map(Appended::Repeat).ok_or(Failure::Full);
        };
        let message = Message {
            id: MessageId { channel, seq },
            rev,
            author: draft.author,
            text: draft.text.as_str().to_owned(),
            key: draft.key.clone(),
            posted_at: draft.at,
            edited_at: None,
            deleted_at: None,
        };
        let latest = tip.latest.max(draft.at.micros());
        if !self.insert(&message, message.key.as_str(), latest)? {
            if !self.faults.forgets_keys() {
                let key = draft.key.as_str();
                let first = view::message_by_key(&self.connection, channel, draft.author, key)?;
                let lost = Failure::Damaged("a key is in its index but its message is not there");
                return first.map(Appended::Repeat).ok_or(lost);
            }
            self.insert(&message, &format!("forgotten {}", seq.0), latest)?;
        }
        self.put_mark(channel, draft.author, seq, Some(draft.at))?;
        self.advance(
            channel,
            Tip {
                head: Head { seq, rev },
                latest,
            },
        );
        self.notes.push(event::posted(&self.epoch, &message));
        Ok(Appended::New(message))
    }

    /// Changes a message's text.
    pub(super) fn edit(
        &mut self,
        id: MessageId,
        editor: UserId,
        text: &Text,
        at: Time,
    ) -> Made<Changed> {
        let Some(mut message) = view::message(&self.connection, id)? else {
            return Ok(Changed::Missing);
        };
        if message.author != editor {
            return Ok(Changed::NotAuthor);
        }
        if message.deleted_at.is_some() {
            return Ok(Changed::Deleted);
        }
        if message.text == text.as_str() {
            return Ok(Changed::Unchanged(message));
        }
        text.as_str().clone_into(&mut message.text);
        message.edited_at = Some(at);
        self.change(&mut message)?;
        self.notes.push(event::edited(&self.epoch, &message));
        Ok(Changed::Done(message))
    }

    /// Empties a message.
    pub(super) fn delete(
        &mut self,
        id: MessageId,
        by: UserId,
        of_others: bool,
        at: Time,
    ) -> Made<Changed> {
        let Some(mut message) = view::message(&self.connection, id)? else {
            return Ok(Changed::Missing);
        };
        if message.author != by && !of_others {
            return Ok(Changed::NotAuthor);
        }
        if message.deleted_at.is_some() {
            return Ok(Changed::Unchanged(message));
        }
        message.text.clear();
        message.deleted_at = Some(at);
        self.change(&mut message)?;
        self.notes.push(event::deleted(&self.epoch, &message));
        Ok(Changed::Done(message))
    }

    /// Moves a read mark up, at most to the head; `at` is when its user did so, where they did.
    pub(super) fn mark(
        &mut self,
        channel: ChannelId,
        user: UserId,
        to: Seq,
        at: Option<Time>,
    ) -> Made<Moved> {
        let head = self.tip(channel)?.head;
        let from = view::mark(&self.connection, channel, user)?.seq;
        let to = to.min(head.seq).max(from);
        if to > from {
            self.put_mark(channel, user, to, at)?;
        }
        Ok(Moved { from, to, head })
    }

    /// Moves a read mark up to the last message before the first one posted after an instant.
    pub(super) fn mark_until(&mut self, channel: ChannelId, user: UserId, at: Time) -> Made<Moved> {
        let newest = self.tip(channel)?.head.seq;
        let to = view::last_until(&self.connection, channel, at, newest)?;
        self.mark(channel, user, to, None)
    }

    /// Writes what the changes left to the end: heads, events and where readers of events stand. Returns the events with their
    /// numbers.
    pub(super) fn settle(&mut self, cursors: &[(String, Option<u64>)]) -> Made<Vec<(u64, Note)>> {
        let mut put_head = self.connection.prepare_cached(
            "INSERT INTO channel_head (channel_id, seq, rev, latest_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (channel_id) DO UPDATE SET seq = excluded.seq, rev = excluded.rev, latest_at = excluded.latest_at",
        )?;
        for channel in std::mem::take(&mut self.moved) {
            if let Some(Tip { head, latest }) = self.tips.get(&channel) {
                put_head.execute(params![channel.bytes(), head.seq.0, head.rev.0, latest])?;
            }
        }
        let mut put_cursor = self.connection.prepare_cached(
            "INSERT INTO cursor (name, id) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET id = excluded.id",
        )?;
        let mut drop_cursor = self
            .connection
            .prepare_cached("DELETE FROM cursor WHERE name = ?1")?;
        for (name, id) in cursors {
            match id {
                Some(id) => put_cursor.execute(params![name, id.cast_signed()])?,
                None => drop_cursor.execute(params![name])?,
            };
        }
        let mut owe = self.connection.prepare_cached(
            "INSERT INTO outbox (event_id, subject, payload, at) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mut told = Vec::with_capacity(self.notes.len());
        for note in self.notes.drain(..) {
            let row = params![
                note.id.bytes(),
                &*note.subject,
                &*note.payload,
                note.at.micros()
            ];
            told.push((owe.insert(row)?.cast_unsigned(), note));
        }
        Ok(told)
    }

    /// Makes the transaction last. When it returns without a failure, it is on the disk.
    pub(super) fn commit(&mut self) -> Made<()> {
        Ok(self
            .connection
            .prepare_cached("COMMIT")?
            .execute([])
            .map(drop)?)
    }

    /// Takes the open transaction back, and forgets what it may have taught. False: the connection is spoilt.
    pub(super) fn abandon(&mut self) -> bool {
        self.tips.clear();
        self.moved.clear();
        self.notes.clear();
        // Some failures have taken it back already.
        self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok()
    }

    /// Deletes up to `most` events told to all readers before `told` and older than an instant; returns how many.
    pub(super) fn prune(&mut self, told: u64, before: Time, most: usize) -> Made<usize> {
        let mut prune = self.connection.prepare_cached(
            "DELETE FROM outbox WHERE at < ?1 AND id IN (SELECT id FROM outbox WHERE id <= ?2 ORDER BY id LIMIT ?3)",
        )?;
        let told = i64::try_from(told).unwrap_or(i64::MAX);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        Ok(prune.execute(params![before.micros(), told, most])?)
    }

    fn tip(&mut self, channel: ChannelId) -> Made<Tip> {
        if let Some(tip) = self.tips.get(&channel) {
            return Ok(*tip);
        }
        let mut find = self
            .connection
            .prepare_cached("SELECT seq, rev, latest_at FROM channel_head WHERE channel_id = ?1")?;
        let mut rows = find.query([channel.bytes()])?;
        let tip = match rows.next()? {
            Some(row) => Tip {
                head: Head {
                    seq: Seq(row.get(0)?),
                    rev: Rev(row.get(1)?),
                },
                latest: row.get(2)?,
            },
            None => Tip {
                head: Head::default(),
                latest: i64::MIN,
            },
        };
        self.tips.insert(channel, tip);
        Ok(tip)
    }

    fn advance(&mut self, channel: ChannelId, tip: Tip) {
        self.tips.insert(channel, tip);
        self.moved.insert(channel);
    }

    /// False: a message with its key is there.
    fn insert(&self, message: &Message, key: &str, latest: i64) -> Made<bool> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO message (channel_id, seq, rev, author_id, key, body, posted_at, latest_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (channel_id, author_id, key) DO NOTHING",
        )?;
        let posted = message.posted_at.micros();
        let inserted = insert.execute(params![
            message.id.channel.bytes(),
            message.id.seq.0,
            message.rev.0,
            message.author.bytes(),
            key,
            message.text,
            posted,
            (latest != posted).then_some(latest),
        ])?;
        Ok(inserted == 1)
    }

    /// Gives the message the channel's next rev and writes it.
    fn change(&mut self, message: &mut Message) -> Made<()> {
        let channel = message.id.channel;
        let mut tip = self.tip(channel)?;
        tip.head.rev = tip.head.rev.next().ok_or(Failure::Full)?;
        message.rev = tip.head.rev;
        let mut update = self.connection.prepare_cached(
            "UPDATE message SET rev = ?3, body = ?4, edited_at = ?5, deleted_at = ?6 WHERE channel_id = ?1 AND seq = ?2",
        )?;
        update.execute(params![
            channel.bytes(),
            message.id.seq.0,
            message.rev.0,
            message.text,
            message.edited_at.map(Time::micros),
            message.deleted_at.map(Time::micros),
        ])?;
        drop(update);
        self.advance(channel, tip);
        Ok(())
    }

    fn put_mark(
        &self,
        channel: ChannelId,
        user: UserId,
        seq: Seq,
        read_at: Option<Time>,
    ) -> Made<()> {
        let mut put = self.connection.prepare_cached(
            "INSERT INTO read_state (channel_id, user_id, seq, read_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (channel_id, user_id)
             DO UPDATE SET seq = excluded.seq, read_at = coalesce(excluded.read_at, read_at)",
        )?;
        let read_at = read_at.map(Time::micros);
        put.execute(params![channel.bytes(), user.bytes(), seq.0, read_at])?;
        Ok(())
    }
}
