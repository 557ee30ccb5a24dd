//! Appends and newest pages through the engine that svc-chat keeps timelines with in ScyllaDB or Cassandra, beside the driver alone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use guildhall_kernel::{ChannelId, Clock as _, Ids as _, Key, SystemClock, SystemIds, UserId};
use guildhall_mesh::{LocalBus, Tasks};
use svc_chat::{
    config::CqlSettings,
    model::{Draft, Text},
    store::{
        Place, Timeline,
        cql::{self, CqlTimeline, Options, Parts},
    },
};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use crate::{
    bare::Bare,
    limit::rate,
    report::{self, Round, latencies, record},
    servers::Servers,
};

const TEXT: &str = "the quick brown fox jumps over the lazy dog";
/// How many channels, and how many people write in each at once.
const LOADS: [(usize, usize); 4] = [(1, 32), (1, 64), (16, 16), (64, 8)];
/// How many read at once.
const READERS: usize = 32;
/// How many messages a page holds.
const PAGE: usize = 50;

/// Prints messages per second and pages per second of both, and their ratios.
pub(crate) async fn run(servers: &Servers, rounds: usize, time: Duration) -> anyhow::Result<()> {
    println!(
        "\ntimelines: one {} on this machine, {} bytes of text, {rounds} rounds of {} s",
        servers.cql_nodes.join(" "),
        TEXT.len(),
        time.as_secs()
    );
    let (ours, limit) = (keyspace(servers, "ours"), keyspace(servers, "bare"));
    for settings in [&ours, &limit] {
        cql::migrate(settings, &SystemClock::new(), &SystemIds).await?;
    }
    let (tasks, bare) = (Tasks::new(), Bare::open(&limit).await?);
    let timeline: Arc<dyn Timeline> = Arc::new(open(&ours, &tasks).await?);
    for (channels, writers) in LOADS {
        let (mut through_us, mut at_best) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            // New channels each time: none comes to the end of its first bucket.
            let ids: Vec<_> = (0..channels).map(|_| SystemIds.uuid()).collect();
            through_us.push(append(&timeline, &ids, writers, time).await?);
            at_best.push(append_bare(&bare, &ids, writers, time).await?);
        }
        println!("  append: {channels} channels, {writers} writers each");
        report::line("svc-chat", "messages/s", &through_us);
        report::line("limit: the same batches", "messages/s", &at_best);
        report::ratio("svc-chat", &through_us, &at_best);
    }

    let ids: Vec<_> = (0..64).map(|_| SystemIds.uuid()).collect();
    fill(&timeline, &bare, &ids).await?;
    let (mut through_us, mut at_best) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        through_us.push(read(&timeline, &ids, time).await?);
        at_best.push(read_bare(&bare, &ids, time).await?);
    }
    println!("  newest {PAGE}: 64 channels, {READERS} readers");
    report::line("svc-chat", "pages/s", &through_us);
    report::line("limit: one question", "pages/s", &at_best);
    report::ratio("svc-chat", &through_us, &at_best);

    tasks.stop(Duration::from_secs(5)).await;
    for settings in [&ours, &limit] {
        cql::remove(settings).await?;
    }
    Ok(())
}

fn keyspace(servers: &Servers, name: &str) -> CqlSettings {
    let random = SystemIds.uuid().simple().to_string();
    CqlSettings {
        nodes: servers.cql_nodes.clone(),
        datacenter: servers.cql_datacenter.clone(),
        keyspace: format!("bench_{name}_{}", &random[20..]),
        replication: 1,
        ..CqlSettings::default()
    }
}

async fn open(settings: &CqlSettings, tasks: &Tasks) -> anyhow::Result<CqlTimeline> {
    let parts = Parts {
        options: Options::default(),
        clock: Arc::new(SystemClock::new()),
        ids: Arc::new(SystemIds),
        tasks: tasks.clone(),
        bus: Some(Arc::new(LocalBus::new())),
    };
    Ok(CqlTimeline::open(settings, parts).await?)
}

async fn append(
    timeline: &Arc<dyn Timeline>,
    channels: &[Uuid],
    writers: usize,
    time: Duration,
) -> anyhow::Result<Round> {
    let began = Instant::now();
    let each = channels
        .iter()
        .flat_map(|id| (0..writers).map(move |writer| (*id, writer)));
    let all = each.map(|(id, writer)| {
        let timeline = timeline.clone();
        tokio::spawn(async move {
            let (mut took, clock) = (latencies(), SystemClock::new());
            for n in 0_u64.. {
                if began.elapsed() >= time {
                    break;
                }
                let sent = Instant::now();
                let draft = draft(writer, n, &clock)?;
                timeline.append(ChannelId::of(id), draft).await?;
                record(&mut took, sent.elapsed());
            }
            Ok::<_, anyhow::Error>(took)
        })
    });
    gather(all.collect(), began).await
}

async fn append_bare(
    bare: &Arc<Bare>,
    channels: &[Uuid],
    writers: usize,
    time: Duration,
) -> anyhow::Result<Round> {
    let began = Instant::now();
    let mut all = Vec::new();
    for id in channels {
        let queue = bare.channel(*id, TEXT);
        for writer in 0..writers {
            let queue = queue.clone();
            all.push(tokio::spawn(async move {
                let mut took = latencies();
                for n in 0_u64.. {
                    if began.elapsed() >= time {
                        break;
                    }
                    let sent = Instant::now();
                    let (done, answer) = oneshot::channel();
                    queue.send((author(writer), key(writer, n), done)).await?;
                    answer.await?;
                    record(&mut took, sent.elapsed());
                }
                Ok::<_, anyhow::Error>(took)
            }));
        }
    }
    gather(all, began).await
}

/// Gives every channel more messages than a page holds, in both keyspaces.
async fn fill(timeline: &Arc<dyn Timeline>, bare: &Arc<Bare>, ids: &[Uuid]) -> anyhow::Result<()> {
    let clock = SystemClock::new();
    for id in ids {
        let queue = bare.channel(*id, TEXT);
        let clock = &clock;
        let ours = (0..2 * PAGE).map(|writer| async move {
            let draft = draft(writer, 0, clock)?;
            timeline.append(ChannelId::of(*id), draft).await?;
            Ok::<_, anyhow::Error>(())
        });
        let theirs = (0..2 * PAGE).map(|writer| {
            let queue = queue.clone();
            async move {
                let (done, answer) = oneshot::channel();
                queue.send((author(writer), key(writer, 0), done)).await?;
                answer.await?;
                Ok::<_, anyhow::Error>(())
            }
        });
        futures::future::try_join_all(ours).await?;
        futures::future::try_join_all(theirs).await?;
    }
    Ok(())
}

async fn read(timeline: &Arc<dyn Timeline>, ids: &[Uuid], time: Duration) -> anyhow::Result<Round> {
    let began = Instant::now();
    let all = (0..READERS).map(|reader| {
        let (timeline, ids) = (timeline.clone(), ids.to_vec());
        tokio::spawn(async move {
            let mut took = latencies();
            for id in ids.iter().cycle().skip(2 * reader) {
                if began.elapsed() >= time {
                    break;
                }
                let sent = Instant::now();
                let page = timeline
                    .history(ChannelId::of(*id), Place::Newest, PAGE)
                    .await?;
                anyhow::ensure!(page.messages.len() == PAGE, "a page lacks messages");
                record(&mut took, sent.elapsed());
            }
            Ok::<_, anyhow::Error>(took)
        })
    });
    gather(all.collect(), began).await
}

async fn read_bare(bare: &Arc<Bare>, ids: &[Uuid], time: Duration) -> anyhow::Result<Round> {
    let began = Instant::now();
    let all = (0..READERS).map(|reader| {
        let (bare, ids) = (bare.clone(), ids.to_vec());
        tokio::spawn(async move {
            let mut took = latencies();
            for id in ids.iter().cycle().skip(2 * reader) {
                if began.elapsed() >= time {
                    break;
                }
                let sent = Instant::now();
                anyhow::ensure!(bare.newest(*id).await? == PAGE, "a page lacks messages");
                record(&mut took, sent.elapsed());
            }
            Ok::<_, anyhow::Error>(took)
        })
    });
    gather(all.collect(), began).await
}

async fn gather(
    all: Vec<JoinHandle<anyhow::Result<hdrhistogram::Histogram<u64>>>>,
    began: Instant,
) -> anyhow::Result<Round> {
    let mut took = latencies();
    for one in all {
        took.add(one.await??)?;
    }
    Ok(Round {
        per_second: rate(took.len(), began.elapsed()),
        took,
    })
}

fn draft(writer: usize, n: u64, clock: &SystemClock) -> anyhow::Result<Draft> {
    Ok(Draft {
        author: UserId::of(author(writer)),
        text: Text::parse(TEXT.to_owned())?,
        key: Key::parse(&key(writer, n))?,
        at: clock.now(),
    })
}

fn author(writer: usize) -> Uuid {
    Uuid::from_u128(1 + writer as u128)
}

fn key(writer: usize, n: u64) -> String {
    format!("{writer}-{n}")
}
