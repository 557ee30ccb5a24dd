//! How fast the engine is, beside a bare loop that commits the same rows in groups of the same size and does nothing else. It
//! prints and judges nothing: `cargo test --release -p svc-chat -- --ignored measure --nocapture`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use guildhall_kernel::{ChannelId, Clock as _, Key, SystemClock, SystemIds, Time, UserId};
use guildhall_mesh::{LocalBus, Tasks, outbox::relay};
use guildhall_store::EngineFile;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, KeyName, Metadata, Recorder, SharedString, Unit,
};
use rusqlite::params;

use super::bench;
use crate::{
    event,
    model::{Draft, Epoch, Message, MessageId, Rev, Seq, Text},
    store::{
        sqlite::{Options, schema},
        timeline::Timeline as _,
    },
};

const TIME: Duration = Duration::from_secs(4);
const CHANNELS: u64 = 1_000;
const TEXT: &str = "About as long as what people write to each other while they work together: a sentence, perhaps two, seldom more than that.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_posts_a_second() {
    let groups = Arc::new(Groups::default());
    metrics::set_global_recorder(Watch(groups.clone())).expect("nobody else records");
    for clients in [1, 16, 64, 256] {
        let mut shares = Vec::new();
        for _ in 0..3 {
            let (rate, group, p50, p99) = engine(clients, &groups).await;
            let bare = tokio::task::block_in_place(|| bare(group.max(1)));
            println!(
                "{clients:4} clients {rate:6}/s in groups of {group:3}, p50 {p50:?} p99 {p99:?}; bare loop {bare:6}/s"
            );
            shares.push(rate * 100 / bare.max(1));
        }
        println!("{clients:4} clients: {shares:?} % of the bare loop");
    }
}

/// Posts from so many clients, each waiting for its answer, while everything is told; returns posts a second, the mean group, and
/// how long a post took.
async fn engine(clients: u64, groups: &Groups) -> (u64, u64, Duration, Duration) {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    let (tasks, stop) = (Tasks::new(), Arc::new(AtomicBool::new(false)));
    relay(&tasks, timeline.clone(), Arc::new(LocalBus::new()));
    groups.clear();

    let clock = SystemClock::new();
    let running: Vec<_> = (0..clients)
        .map(|client| {
            let (timeline, stop) = (timeline.clone(), stop.clone());
            tasks.spawn("client", async move {
                let mut took = Vec::new();
                for post in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let start = clock.uptime();
                    let number = spread(client * 1_000_000 + post);
                    timeline
                        .append(channel(number), draft(client, number))
                        .await
                        .expect("posts");
                    took.push(clock.uptime().saturating_sub(start));
                }
                took
            })
        })
        .collect();
    tokio::time::sleep(TIME).await;
    stop.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    for client in running {
        took.extend(client.await.expect("ends").expect("is not cut off"));
    }
    let elapsed = clock.uptime();
    took.sort_unstable();
    tasks.stop(TIME).await;
    timeline.close().await;
    (
        per_second(took.len(), elapsed),
        groups.mean(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
    )
}

/// Commits groups of the same rows one after the other.
fn bare(group: u64) -> u64 {
    let file = bench();
    let path = EngineFile::at(file.folder.path().join("bare.db"));
    let mut connection = path.writer().expect("opens");
    schema::prepare(&mut connection, &SystemIds).expect("prepares");
    let epoch = Epoch("epoch".into());
    let mut heads = vec![0_u32; usize::try_from(CHANNELS).expect("few")];
    let (clock, mut posts) = (SystemClock::new(), 0);
    while clock.uptime() < TIME {
        connection
            .prepare_cached("BEGIN IMMEDIATE")
            .expect("sql")
            .execute([])
            .expect("begins");
        for _ in 0..group {
            let number = spread(posts);
            let place = channel(number);
            let head = &mut heads[usize::try_from(number % CHANNELS).expect("few")];
            *head += 1;
            let draft = draft(posts % 64, number);
            let message = Message {
                id: MessageId {
                    channel: place,
                    seq: Seq(*head),
                },
                rev: Rev(*head),
                author: draft.author,
                text: draft.text.as_str().to_owned(),
                key: draft.key,
                posted_at: draft.at,
                edited_at: None,
                deleted_at: None,
            };
            let note = event::posted(&epoch, &message);
            let run = |sql: &str, row: &[&dyn rusqlite::ToSql]| {
                connection
                    .prepare_cached(sql)
                    .expect("sql")
                    .execute(row)
                    .expect("writes");
            };
            run(
                "INSERT INTO message (channel_id, seq, rev, author_id, key, body, posted_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    place.bytes(),
                    *head,
                    *head,
                    message.author.bytes(),
                    message.key.as_str(),
                    message.text,
                    0
                ],
            );
            run(
                "INSERT OR REPLACE INTO channel_head VALUES (?1, ?2, ?2, 0)",
                params![place.bytes(), *head],
            );
            run(
                "INSERT OR REPLACE INTO read_state VALUES (?1, ?2, ?3)",
                params![place.bytes(), message.author.bytes(), *head],
            );
            run(
                "INSERT INTO outbox (event_id, subject, payload, at) VALUES (?1, ?2, ?3, 0)",
                params![note.id.bytes(), &*note.subject, &*note.payload],
            );
            posts += 1;
        }
        connection
            .prepare_cached("COMMIT")
            .expect("sql")
            .execute([])
            .expect("commits");
    }
    per_second(usize::try_from(posts).expect("fits"), clock.uptime())
}

fn channel(number: u64) -> ChannelId {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&(number % CHANNELS).to_be_bytes());
    ChannelId::from_bytes(bytes)
}

fn draft(author: u64, number: u64) -> Draft {
    let mut bytes = [8; 16];
    bytes[8..].copy_from_slice(&author.to_be_bytes());
    Draft {
        author: UserId::from_bytes(bytes),
        text: Text::parse(TEXT.to_owned()).expect("can be said"),
        key: Key::parse(&format!("{number:036x}")).expect("a key"),
        at: Time::from_micros(1),
    }
}

/// Numbers that look like chance and never repeat.
fn spread(count: u64) -> u64 {
    let word = count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn per_second(count: usize, time: Duration) -> u64 {
    u64::try_from(count as u128 * 1_000_000 / time.as_micros()).expect("fits")
}

/// Sums up the sizes of groups.
#[derive(Default)]
struct Groups {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Groups {
    fn clear(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.sum.store(0, Ordering::Relaxed);
    }

    fn mean(&self) -> u64 {
        self.sum.load(Ordering::Relaxed) / self.count.load(Ordering::Relaxed).max(1)
    }
}

impl HistogramFn for Groups {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    fn record(&self, value: f64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value as u64, Ordering::Relaxed);
    }
}

/// Hears of the sizes of groups and of nothing else.
struct Watch(Arc<Groups>);

impl Recorder for Watch {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &metrics::Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &metrics::Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &metrics::Key, _: &Metadata<'_>) -> Histogram {
        if key.name() == "guildhall_timeline_group_size" {
            Histogram::from_arc(self.0.clone())
        } else {
            Histogram::noop()
        }
    }
}
