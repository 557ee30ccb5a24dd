//! A process that is killed while it writes. The child is this test binary itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use guildhall_kernel::{SystemClock, SystemIds};
use guildhall_mesh::{Tasks, outbox::Journal as _};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::{SqliteTimeline, channel, draft, options, user};
use crate::{
    event,
    model::{MessageId, Seq, Text},
    store::timeline::{Appended, Changed, Place, Timeline as _},
};

const KILLS: u64 = 8;
const WRITERS: u8 = 16;
const CHANNELS: u8 = 3;
/// Where the child finds its file.
const FILE: &str = "GUILDHALL_TEST_TIMELINE";
/// How the child's lines of acknowledged changes begin.
const MARK: &str = "acknowledged ";

#[tokio::test]
async fn what_a_killed_process_acknowledged_is_there_once_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("timeline.db");

    let mut acknowledged = Vec::new();
    for kill in 0..KILLS {
        acknowledged.extend(run_and_kill(&path, 20 + kill * 97 % 250).await);
    }

    // What is acknowledged under one key, in whichever life of the process, is one message.
    let mut posts: BTreeMap<(u8, u8, String), u32> = BTreeMap::new();
    let mut newest: HashMap<(u8, u32), u32> = HashMap::new();
    for Line {
        place,
        author,
        key,
        seq,
        rev,
    } in &acknowledged
    {
        let first = *posts.entry((*place, *author, key.clone())).or_insert(*seq);
        assert_eq!(first, *seq, "{key} of {author} in {place}");
        let rev_there = newest.entry((*place, *seq)).or_default();
        *rev_there = (*rev_there).max(*rev);
    }
    assert!(posts.len() > 50, "too little happened: {}", posts.len());

    let timeline = open(&path).await;
    let sound = |file: &rusqlite::Connection| {
        Ok(file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))?)
    };
    assert_eq!(timeline.readers.ask(sound).await.expect("reads"), "ok");
    let mut events = 0;
    for place in 1..=CHANNELS {
        let page = timeline
            .history(channel(place), Place::Newest, usize::MAX)
            .await;
        let page = page.expect("no holes");
        let mut keys = HashSet::new();
        for message in &page.messages {
            assert!(keys.insert((message.author, message.key.clone())));
            let rev = newest.get(&(place, message.id.seq.0)).copied().unwrap_or(0);
            assert!(
                message.rev.0 >= rev,
                "an acknowledged change of {:?} is gone",
                message.id
            );
        }
        for ((_, author, key), seq) in posts.iter().filter(|((at, _, _), _)| *at == place) {
            let message = &page.messages[usize::try_from(*seq).expect("fits") - 1];
            assert_eq!(
                (message.author, message.key.as_str()),
                (user(*author), key.as_str())
            );
        }
        events += page.head.rev.0;
    }
    check_events(&timeline, events).await;
}

/// Every change of every channel is in the journal, once, in the order of its revs.
async fn check_events(timeline: &SqliteTimeline, events: u32) {
    let rows = timeline.read(0, usize::MAX).await.expect("reads");
    assert_eq!(u32::try_from(rows.len()), Ok(events));
    let mut ids: HashMap<String, Vec<_>> = HashMap::new();
    for (_, note) in rows {
        let scope = note.subject.split('.').nth(3).expect("a scope").to_owned();
        ids.entry(scope).or_default().push(note.id);
    }
    for place in 1..=CHANNELS {
        let first = MessageId {
            channel: channel(place),
            seq: Seq(1),
        };
        let Some(mut any) = timeline.message(first).await.expect("reads") else {
            continue;
        };
        let told = ids.remove(&channel(place).to_string()).expect("has events");
        for (rev, id) in (1..).zip(told) {
            any.rev = crate::model::Rev(rev);
            assert_eq!(id, event::posted(timeline.epoch(), &any).id, "rev {rev}");
        }
    }
}

/// An acknowledged change.
struct Line {
    place: u8,
    author: u8,
    key: String,
    seq: u32,
    rev: u32,
}

/// Starts the child, kills it some milliseconds after its first line, and returns what it said was done.
async fn run_and_kill(path: &Path, after: u64) -> Vec<Line> {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .arg("store::sqlite::tests::crash::child_that_writes_until_it_is_killed")
        .env(FILE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("starts");
    let mut output = BufReader::new(child.stdout.take().expect("is piped")).lines();
    let mut lines = Vec::new();
    while lines.is_empty() {
        let line = output
            .next_line()
            .await
            .expect("reads")
            .expect("says something");
        lines.extend(parse(&line));
    }
    let until = tokio::time::sleep(Duration::from_millis(after));
    tokio::pin!(until);
    loop {
        tokio::select! {
            () = &mut until => break,
            line = output.next_line() => lines.extend(parse(&line.expect("reads").expect("goes on"))),
        }
    }
    child.kill().await.expect("is killed");
    while let Some(line) = output.next_line().await.expect("reads") {
        lines.extend(parse(&line));
    }
    lines
}

/// Reads a line; `None` for what is none of ours or was cut off by the kill.
fn parse(line: &str) -> Option<Line> {
    let line = line.strip_suffix(" .")?;
    let (_, words) = line.split_once(MARK)?;
    let words: Vec<_> = words.split(' ').collect();
    let [place, author, key, seq, rev] = words[..] else {
        return None;
    };
    Some(Line {
        place: place.parse().ok()?,
        author: author.parse().ok()?,
        key: key.to_owned(),
        seq: seq.parse().ok()?,
        rev: rev.parse().ok()?,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test above"]
async fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let timeline = Arc::new(open(Path::new(&path)).await);
    let tasks = Tasks::new();
    let writers: Vec<_> = (1..=WRITERS)
        .map(|author| tasks.spawn("writer", write(timeline.clone(), author)))
        .collect();
    for writer in writers {
        writer.await.expect("never ends");
    }
}

/// Posts under the keys 0, 1, 2, …, which an earlier life of the process may have used; edits every third, deletes every fifth.
async fn write(timeline: Arc<SqliteTimeline>, author: u8) {
    let place = 1 + author % CHANNELS;
    let tell =
        |key: u32, seq: u32, rev: u32| println!("{MARK}{place} {author} {key} {seq} {rev} .");
    for key in 0.. {
        let appended = timeline
            .append(channel(place), draft(author, &key.to_string()))
            .await;
        let (Appended::New(message) | Appended::Repeat(message)) = appended.expect("posts");
        tell(key, message.id.seq.0, message.rev.0);
        let at = message.posted_at;
        let text = Text::parse("edited".into()).expect("can be said");
        let changed = match key % 15 {
            0 | 5 | 10 => timeline.delete(message.id, message.author, false, at).await,
            3 | 6 | 9 | 12 => timeline.edit(message.id, message.author, text, at).await,
            _ => continue,
        };
        if let Changed::Done(changed) = changed.expect("changes") {
            tell(key, changed.id.seq.0, changed.rev.0);
        }
    }
}

async fn open(path: &Path) -> SqliteTimeline {
    let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(SystemIds));
    SqliteTimeline::open(path, clock, ids, options())
        .await
        .expect("opens")
}
