//! What the machine can do at best for the same work: programs that do the unavoidable and nothing else.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior, params};

use crate::report::{Round, latencies, record};

/// How many rows a group holds at most, as in the timeline.
const GROUP: usize = 256;

/// Commits the rows of posts in groups, with the same settings of SQLite and the same sync, for `senders` threads that each wait for
/// one answer before the next.
pub(crate) fn commits(folder: &Path, senders: usize, time: Duration) -> anyhow::Result<Round> {
    let database = open(&folder.join(format!("limit-{senders}.db")))?;
    let (queue, waiting) = mpsc::sync_channel::<(u32, mpsc::SyncSender<()>)>(senders);
    let writer = thread::spawn(move || write(database, &waiting));

    let began = Instant::now();
    let threads: Vec<_> = (0..senders)
        .map(|n| {
            let queue = queue.clone();
            let author = u32::try_from(n).unwrap_or(u32::MAX);
            thread::spawn(move || {
                let mut took = latencies();
                let (done, answer) = mpsc::sync_channel(1);
                while began.elapsed() < time {
                    let sent = Instant::now();
                    queue
                        .send((author, done.clone()))
                        .expect("the writer lives");
                    answer.recv().expect("the writer answers");
                    record(&mut took, sent.elapsed());
                }
                took
            })
        })
        .collect();
    drop(queue);
    let mut took = latencies();
    for thread in threads {
        took.add(thread.join().expect("no sender panics"))?;
    }
    writer.join().expect("the writer does not panic")?;
    Ok(Round {
        per_second: rate(took.len(), began.elapsed()),
        took,
    })
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(file)?;
    database.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536;
         CREATE TABLE IF NOT EXISTS message(channel_id BLOB, seq INTEGER, rev INTEGER, author_id BLOB, body TEXT, key TEXT,
           posted_at INTEGER, PRIMARY KEY(channel_id, seq)) WITHOUT ROWID;
         CREATE UNIQUE INDEX IF NOT EXISTS by_key ON message(channel_id, author_id, key);
         CREATE INDEX IF NOT EXISTS by_rev ON message(channel_id, rev);
         CREATE TABLE IF NOT EXISTS head(channel_id BLOB PRIMARY KEY, seq INTEGER, rev INTEGER) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS mark(user_id BLOB, channel_id BLOB, seq INTEGER, PRIMARY KEY(user_id, channel_id)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, event_id BLOB, subject TEXT, payload BLOB, at INTEGER);",
    )?;
    Ok(database)
}

/// Drains the queue, commits, answers; until all senders are gone.
fn write(
    mut database: Connection,
    waiting: &mpsc::Receiver<(u32, mpsc::SyncSender<()>)>,
) -> rusqlite::Result<()> {
    let channel = [7_u8; 16];
    let mut seq = database.query_row("SELECT coalesce(max(seq), 0) FROM message", [], |row| {
        row.get::<_, i64>(0)
    })?;
    let payload = [42_u8; 200];
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        group.extend(waiting.try_iter().take(GROUP - 1));
        let write = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (author, _) in &group {
            seq += 1;
            let author_id = u128::from(*author).to_be_bytes();
            write
                .prepare_cached("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    channel,
                    seq,
                    seq,
                    author_id,
                    "the quick brown fox jumps over the lazy dog",
                    format!("key-{seq}"),
                    seq
                ])?;
            write
                .prepare_cached("INSERT INTO mark VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq")?
                .execute(params![author_id, channel, seq])?;
            write
                .prepare_cached(
                    "INSERT INTO outbox(event_id, subject, payload, at) VALUES (?, ?, ?, ?)",
                )?
                .execute(params![
                    u128::try_from(seq).unwrap_or(0).to_be_bytes(),
                    "guildhall.chat.v1.channel.MessagePosted",
                    payload,
                    seq
                ])?;
        }
        write
            .prepare_cached("INSERT INTO head VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, rev = excluded.rev")?
            .execute(params![channel, seq, seq])?;
        write.commit()?;
        for (_, done) in group {
            // A sender that stopped waiting at the end of its time is fine.
            let _ = done.send(());
        }
    }
    Ok(())
}

/// Accepts `count` connections and writes `frame` to each, one after the other, whenever told to. Runs until the teller is gone.
pub(crate) fn writer(
    count: usize,
    frame: Vec<u8>,
) -> anyhow::Result<(std::net::SocketAddr, mpsc::Sender<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let sockets: Result<Vec<TcpStream>, _> = listener.incoming().take(count).collect();
        let mut sockets = sockets.expect("readers connect");
        for socket in &sockets {
            socket.set_nodelay(true).expect("a socket takes the option");
        }
        while told.recv().is_ok() {
            for socket in &mut sockets {
                socket.write_all(&frame).expect("readers read");
            }
        }
    });
    Ok((address, tell))
}

/// How many in a second.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a few seconds are exact in f64"
)]
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
