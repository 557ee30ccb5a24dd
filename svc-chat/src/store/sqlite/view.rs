//! What is read. Every function wants to be called inside a transaction, so that all it reads is of one moment.

use guildhall_kernel::{ChannelId, EventId, Key, Time, UserId};
use guildhall_mesh::Note;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params, types::Type};

use super::failure::Failure;
use crate::{
    model::{Head, Mark, Message, MessageId, Rev, Seq},
    store::timeline::{Changes, History, Newest, Place, REACH, Span},
};

type Read<T> = Result<T, Failure>;

/// The columns of [`message_of`], in its order.
macro_rules! messages {
    ($rest:literal) => {
        concat!(
            "SELECT channel_id, seq, rev, author_id, key, body, posted_at, edited_at, deleted_at FROM message ",
            $rest
        )
    };
}

/// A channel's head; zeros for one without messages.
pub(super) fn head(connection: &Connection, channel: ChannelId) -> Read<Head> {
    let mut find =
        connection.prepare_cached("SELECT seq, rev FROM channel_head WHERE channel_id = ?1")?;
    let head = find
        .query_row([channel.bytes()], |row| {
            Ok(Head {
                seq: Seq(row.get(0)?),
                rev: Rev(row.get(1)?),
            })
        })
        .optional()?;
    Ok(head.unwrap_or_default())
}

/// The message in its present state.
pub(super) fn message(connection: &Connection, id: MessageId) -> Read<Option<Message>> {
    let mut find = connection.prepare_cached(messages!("WHERE channel_id = ?1 AND seq = ?2"))?;
    Ok(find
        .query_row(params![id.channel.bytes(), id.seq.0], message_of)
        .optional()?)
}

/// The message that `author` posted under `key`.
pub(super) fn message_by_key(
    connection: &Connection,
    channel: ChannelId,
    author: UserId,
    key: &str,
) -> Read<Option<Message>> {
    let mut find = connection.prepare_cached(messages!(
        "WHERE channel_id = ?1 AND author_id = ?2 AND key = ?3"
    ))?;
    let found = find.query_row(params![channel.bytes(), author.bytes(), key], message_of);
    Ok(found.optional()?)
}

/// A channel's head and its newest message.
pub(super) fn newest(connection: &Connection, channel: ChannelId) -> Read<Newest> {
    let head = head(connection, channel)?;
    let message = message(
        connection,
        MessageId {
            channel,
            seq: head.seq,
        },
    )?;
    if message.is_some() != (head.seq > Seq(0)) {
        return Err(HOLE);
    }
    Ok(Newest { head, message })
}

/// A page. Messages are numbered without gaps, so the head and the place say which numbers stand on it.
pub(super) fn history(
    connection: &Connection,
    channel: ChannelId,
    place: Place,
    limit: usize,
) -> Read<History> {
    let head = head(connection, channel)?;
    let span = match place {
        Place::Newest => Span::below(None, limit, head.seq),
        Place::Before(seq) => Span::below(Some(seq), limit, head.seq),
        Place::After(seq) => Span::above(seq, limit, head.seq),
        Place::Around(seq) => Span::around(seq, limit, head.seq),
        Place::BeforeTime(time) => {
            let first = first_from(connection, channel, time, head.seq)?;
            Span::below(Some(first), limit, head.seq)
        }
    };
    let mut find = connection.prepare_cached(messages!(
        "WHERE channel_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq"
    ))?;
    let wanted = params![channel.bytes(), span.after.0, span.through.0];
    let messages = collect(&mut find, wanted, message_of)?;
    if u32::try_from(messages.len()) != Ok(span.through.0 - span.after.0) {
        return Err(HOLE);
    }
    Ok(History {
        messages,
        has_older: span.after > Seq(0),
        has_newer: span.through < head.seq,
        head,
    })
}

/// The first message posted at or after an instant, one above the newest where there is none: found by halving, since the latest
/// time so far only rises.
pub(super) fn first_from(
    connection: &Connection,
    channel: ChannelId,
    time: Time,
    newest: Seq,
) -> Read<Seq> {
    let (mut low, mut high) = (0, newest.0);
    // All up to `low` are earlier, all above `high` are not.
    while low < high {
        let middle = high - (high - low) / 2;
        if latest(connection, channel, Seq(middle))? < time.micros() {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(Seq(low.saturating_add(1)))
}

/// The latest time at which a message or any before it was posted.
fn latest(connection: &Connection, channel: ChannelId, seq: Seq) -> Read<i64> {
    let mut find = connection.prepare_cached(
        "SELECT coalesce(latest_at, posted_at) FROM message WHERE channel_id = ?1 AND seq = ?2",
    )?;
    let found = find.query_row(params![channel.bytes(), seq.0], |row| row.get(0));
    found.optional()?.ok_or(HOLE)
}

/// What changed after a rev.
pub(super) fn changes(
    connection: &Connection,
    channel: ChannelId,
    after: Rev,
    limit: usize,
) -> Read<Changes> {
    let head = head(connection, channel)?;
    match head.rev.0.checked_sub(after.0) {
        None => return Ok(Changes::TooFar { head }),
        Some(behind) if behind > REACH => return Ok(Changes::TooFar { head }),
        Some(_) => {}
    }
    let mut find = connection.prepare_cached(messages!(
        "WHERE channel_id = ?1 AND rev > ?2 ORDER BY rev LIMIT ?3"
    ))?;
    // One more than wanted tells whether the list is complete.
    let some = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut messages = collect(
        &mut find,
        params![channel.bytes(), after.0, some],
        message_of,
    )?;
    let complete = messages.len() <= limit;
    messages.truncate(limit);
    let through = if complete {
        head.rev
    } else {
        messages.last().map_or(after, |message| message.rev)
    };
    Ok(Changes::Since {
        messages,
        through,
        head,
    })
}

/// The last message before the first one posted after an instant; 0 where that is the first of all.
pub(super) fn last_until(
    connection: &Connection,
    channel: ChannelId,
    at: Time,
    newest: Seq,
) -> Read<Seq> {
    let after = Time::from_micros(at.micros().saturating_add(1));
    let first = first_from(connection, channel, after, newest)?;
    Ok(Seq(first.0 - 1))
}

/// A user's read mark as it is written down.
pub(super) fn mark(connection: &Connection, channel: ChannelId, user: UserId) -> Read<Mark> {
    let mut find = connection.prepare_cached(
        "SELECT seq, read_at FROM read_state WHERE channel_id = ?1 AND user_id = ?2",
    )?;
    let found = find
        .query_row([channel.bytes(), user.bytes()], |row| {
            Ok(Mark {
                seq: Seq(row.get(0)?),
                read_at: row.get::<_, Option<i64>>(1)?.map(Time::from_micros),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// A user's read mark for one who came at an instant. Who has read past that place, as nearly everybody has, costs no search.
pub(super) fn mark_since(
    connection: &Connection,
    channel: ChannelId,
    user: UserId,
    came: Time,
) -> Read<Mark> {
    let mark = mark(connection, channel, user)?;
    let newest = head(connection, channel)?.seq;
    let unread = mark.seq.next().filter(|unread| *unread <= newest);
    let Some(unread) = unread else {
        return Ok(mark);
    };
    if latest(connection, channel, unread)? > came.micros() {
        return Ok(mark);
    }
    Ok(Mark {
        seq: last_until(connection, channel, came, newest)?,
        ..mark
    })
}

/// Read marks of a channel by user id.
pub(super) fn readers(
    connection: &Connection,
    channel: ChannelId,
    after: Option<UserId>,
    limit: usize,
) -> Read<Vec<(UserId, Seq)>> {
    let mut find = connection.prepare_cached(
        "SELECT user_id, seq FROM read_state WHERE channel_id = ?1 AND user_id > ?2 ORDER BY user_id LIMIT ?3",
    )?;
    // Before every id stands the empty one.
    let after = after.as_ref().map_or(&[][..], |user| user.bytes());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let reader = |row: &Row<'_>| Ok((UserId::from_bytes(row.get(0)?), Seq(row.get(1)?)));
    collect(&mut find, params![channel.bytes(), after, limit], reader)
}

/// Events above a number.
pub(super) fn outbox(connection: &Connection, after: u64, limit: usize) -> Read<Vec<(u64, Note)>> {
    let mut find = connection.prepare_cached(
        "SELECT id, event_id, subject, payload, at FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    collect(&mut find, params![after, limit], |row| {
        let number: i64 = row.get(0)?;
        let note = Note {
            id: EventId::from_bytes(row.get(1)?),
            subject: row.get_ref(2)?.as_str()?.into(),
            payload: row.get::<_, Vec<u8>>(3)?.into(),
            at: Time::from_micros(row.get(4)?),
        };
        Ok((number.cast_unsigned(), note))
    })
}

const HOLE: Failure = Failure::Damaged("a channel lacks messages below its head");

fn message_of(row: &Row<'_>) -> rusqlite::Result<Message> {
    let key = row.get_ref(4)?.as_str()?;
    let key = Key::parse(key)
        .map_err(|bad| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, bad.into()))?;
    Ok(Message {
        id: MessageId {
            channel: ChannelId::from_bytes(row.get(0)?),
            seq: Seq(row.get(1)?),
        },
        rev: Rev(row.get(2)?),
        author: UserId::from_bytes(row.get(3)?),
        key,
        text: row.get(5)?,
        posted_at: Time::from_micros(row.get(6)?),
        edited_at: row.get::<_, Option<i64>>(7)?.map(Time::from_micros),
        deleted_at: row.get::<_, Option<i64>>(8)?.map(Time::from_micros),
    })
}

fn collect<T>(
    find: &mut rusqlite::CachedStatement<'_>,
    wanted: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Read<Vec<T>> {
    Ok(find.query_map(wanted, read)?.collect::<Result<_, _>>()?)
}
