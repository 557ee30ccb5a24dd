//! Compares what callers were told with what is stored. Says everything that is wrong, not only the first.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::{
    people::Person,
    record::{Record, Seen},
};

/// Reads a whole channel by pages of history, the oldest first.
pub(crate) async fn stored(
    person: &Person,
    channel: &str,
) -> anyhow::Result<(Vec<Seen>, u64, u64)> {
    let mut messages = Vec::new();
    let mut before = String::new();
    let mut head = None;
    loop {
        let page = person
            .get(&format!("/channels/{channel}/messages?limit=100{before}"))
            .await?;
        let number = |name: &str| page.pointer(name).and_then(Value::as_u64).unwrap_or(0);
        // The newest page is read first; its head is the channel's.
        head.get_or_insert((number("/head/seq"), number("/head/rev")));
        let found: Vec<Seen> = page["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Seen::of)
            .collect();
        let Some(first) = found.first() else { break };
        before = format!("&before={}", first.id);
        messages.splice(0..0, found);
        if page["hasOlder"] != Value::Bool(true) {
            break;
        }
    }
    let (seq, rev) = head.unwrap_or_default();
    Ok((messages, seq, rev))
}

/// Everything that is wrong with the stored channel in the light of the records.
pub(crate) fn compare(stored: &[Seen], seq: u64, rev: u64, records: &[Record]) -> Vec<String> {
    let mut wrong = Vec::new();
    let by_id: HashMap<&str, &Seen> = stored
        .iter()
        .map(|message| (message.id.as_str(), message))
        .collect();

    for (place, message) in (1..).zip(stored) {
        if message.seq != place {
            wrong.push(format!("seq {} stands at place {place}", message.seq));
        }
        if message.rev > rev {
            wrong.push(format!("rev {} lies above the head {rev}", message.rev));
        }
    }
    if stored.len() as u64 != seq {
        wrong.push(format!(
            "{} messages, but the head says {seq}",
            stored.len()
        ));
    }
    let mut keys: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for message in stored {
        *keys.entry((&message.author, &message.key)).or_default() += 1;
    }
    for ((_, key), count) in keys.iter().filter(|(_, count)| **count > 1) {
        wrong.push(format!("key {key} left {count} rows"));
    }
    let mut revs: Vec<u64> = stored.iter().map(|message| message.rev).collect();
    revs.sort_unstable();
    if revs.windows(2).any(|pair| pair[0] == pair[1]) {
        wrong.push("two messages carry one rev".into());
    }
    for record in records {
        wrong.extend(record.wrong.iter().cloned());
        judge_record(record, &by_id, &mut wrong);
    }
    wrong
}

fn judge_record(record: &Record, by_id: &HashMap<&str, &Seen>, wrong: &mut Vec<String>) {
    for (key, answers) in &record.posted {
        let Some(first) = answers.first() else {
            continue;
        };
        if answers
            .iter()
            .any(|answer| (&answer.id, answer.seq) != (&first.id, first.seq))
        {
            wrong.push(format!("key {key} was answered with two messages"));
        }
        match by_id.get(first.id.as_str()) {
            None => wrong.push(format!(
                "lost: the acknowledged post {key}, seq {}",
                first.seq
            )),
            Some(kept) if kept.key != *key || kept.seq != first.seq => {
                wrong.push(format!(
                    "post {key} became {} with seq {}",
                    kept.key, kept.seq
                ));
            }
            Some(_) => {}
        }
    }
    for (id, answers) in &record.changed {
        let (Some(last), Some(kept)) = (answers.last(), by_id.get(id.as_str())) else {
            continue;
        };
        if kept.rev < last.rev {
            wrong.push(format!(
                "lost: change {} of {id}, which now has {}",
                last.rev, kept.rev
            ));
        }
        let may_be = record
            .maybe_text
            .get(id)
            .is_some_and(|texts| texts.contains(&kept.text));
        let gone =
            kept.deleted && (record.deleted.contains(id) || record.maybe_deleted.contains(id));
        if kept.text != last.text && !may_be && !gone {
            wrong.push(format!(
                "{id} says {:?}, its last acknowledged edit {:?}",
                kept.text, last.text
            ));
        }
    }
    for id in &record.deleted {
        match by_id.get(id.as_str()) {
            Some(kept) if kept.deleted && kept.text.is_empty() => {}
            Some(_) => wrong.push(format!("lost: the acknowledged deletion of {id}")),
            None => wrong.push(format!("no tombstone of {id}")),
        }
    }
}

/// Looks into the files of a stopped hall: whole by SQLite's own check, and the outbox of the timeline holds every rev of the
/// channel exactly once.
pub(crate) fn files(data: &Path, rev: u64) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for name in ["auth.db", "chat.db", "timeline.db"] {
        let file = Connection::open_with_flags(data.join(name), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let says: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if says != "ok" {
            wrong.push(format!("{name}: {says}"));
        }
    }
    let timeline =
        Connection::open_with_flags(data.join("timeline.db"), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut events: BTreeMap<u64, u32> = BTreeMap::new();
    let mut rows = timeline.prepare("SELECT subject, payload FROM outbox")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let subject: String = row.get(0)?;
        let payload: Vec<u8> = row.get(1)?;
        if let Some(rev) = rev_of(&subject, &payload) {
            *events.entry(rev).or_default() += 1;
        }
    }
    for n in 1..=rev {
        match events.get(&n) {
            Some(1) => {}
            Some(count) => wrong.push(format!("rev {n} was told {count} times by different rows")),
            None => wrong.push(format!("no event of rev {n}")),
        }
    }
    if let Some((last, _)) = events.last_key_value()
        && *last > rev
    {
        wrong.push(format!("an event of rev {last} above the head {rev}"));
    }
    Ok(wrong)
}

fn rev_of(subject: &str, payload: &[u8]) -> Option<u64> {
    use guildhall_proto::chat::v1::{MessageDeleted, MessageEdited, MessagePosted};
    use prost::Message as _;
    let message = match subject.rsplit('.').next()? {
        "MessagePosted" => MessagePosted::decode(payload).ok()?.message,
        "MessageEdited" => MessageEdited::decode(payload).ok()?.message,
        "MessageDeleted" => MessageDeleted::decode(payload).ok()?.message,
        _ => None,
    };
    message.map(|message| u64::from(message.rev))
}
