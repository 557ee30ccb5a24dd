//! One post to many sockets.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::future::try_join_all;
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpStream, sync::mpsc};

use crate::{
    hall::Hall,
    limit,
    report::{self, Round, latencies, record},
    sockets,
};

/// How many posts make a round.
const POSTS: usize = 20;

/// Prints deliveries per second of one post to many sockets, beside a loop of write() with the same bytes and the same readers.
pub(crate) async fn run(server: &Path, rounds: usize) -> anyhow::Result<()> {
    for count in [1_000, 5_000] {
        println!(
            "\nfanout: one post to {count} WebSockets, {rounds} rounds of {POSTS} posts, from the call to the last reader"
        );
        let folder = tempfile::tempdir()?;
        let hall = Hall::start(server, folder.path())?;
        let (poster, readers, channel) = sockets::readers(&hall, count).await?;
        let mut listening =
            Readers::over(sockets::open_all(&hall.http, &readers, &channel, count).await?);
        let path = format!("/channels/{channel}/messages");
        let post = async |n: String| {
            poster
                .post(&path, &json!({"text": "to all of you", "key": n}))
                .await
        };

        // The first post also tells how long a frame is.
        post("first".into()).await?;
        let frame = listening.quiet().await;
        let (address, tell) = limit::writer(count, vec![b'x'; frame])?;
        let mut plain =
            Readers::over(try_join_all((0..count).map(|_| TcpStream::connect(address))).await?);

        let (mut ours, mut at_best) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let mut took = latencies();
            for n in 0..POSTS {
                let began = Instant::now();
                post(format!("{round}-{n}")).await?;
                listening.all_have(frame).await?;
                record(&mut took, began.elapsed());
            }
            ours.push(as_round(count, took));
            let mut took = latencies();
            for _ in 0..POSTS {
                let began = Instant::now();
                tell.send(()).context("the writer lives")?;
                plain.all_have(frame).await?;
                record(&mut took, began.elapsed());
            }
            at_best.push(as_round(count, took));
        }
        report::line("post by REST to the last reader", "frames/s", &ours);
        report::line("limit: a loop of write()", "frames/s", &at_best);
        report::ratio("fan-out", &ours, &at_best);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "thousands are exact in f64")]
fn as_round(count: usize, took: hdrhistogram::Histogram<u64>) -> Round {
    let mean = took.mean() / 1_000_000.0;
    Round {
        per_second: count as f64 / mean,
        took,
    }
}

/// Sockets that are read all the time; what arrives is counted, not kept.
struct Readers {
    count: usize,
    arrived: mpsc::Receiver<usize>,
}

impl Readers {
    fn over(sockets: Vec<TcpStream>) -> Self {
        let count = sockets.len();
        let (tell, arrived) = mpsc::channel(count);
        for mut socket in sockets {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut chunk = [0; 2048];
                while let Ok(read @ 1..) = socket.read(&mut chunk).await {
                    if tell.send(read).await.is_err() {
                        return;
                    }
                }
            });
        }
        Self { count, arrived }
    }

    /// Waits until nothing more comes; returns how many bytes each reader got.
    async fn quiet(&mut self) -> usize {
        let mut bytes = 0;
        while let Ok(Some(read)) =
            tokio::time::timeout(Duration::from_secs(1), self.arrived.recv()).await
        {
            bytes += read;
        }
        bytes / self.count
    }

    /// Waits until as many bytes came as if each reader got a frame. Frames of one round are as long as each other to a few bytes,
    /// so all but the last few hundred bytes of all readers count.
    async fn all_have(&mut self, frame: usize) -> anyhow::Result<()> {
        let wanted = self.count * frame;
        let mut bytes = 0;
        while bytes < wanted.saturating_sub(frame / 2) {
            let read = tokio::time::timeout(Duration::from_secs(30), self.arrived.recv()).await?;
            bytes += read.context("readers live")?;
        }
        Ok(())
    }
}
