//! One post to many sockets.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
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
/// What they say; a frame that holds it is a delivery.
const TEXT: &str = "to all of you";

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
        let post = async |n: String| poster.post(&path, &json!({"text": TEXT, "key": n})).await;

        // The loop of write() sends what our readers got of the first post, byte for byte.
        post("first".into()).await?;
        let frame = listening.all_have().await?;
        let (address, tell) = limit::writer(count, frame)?;
        // Few at once: what does not fit a listener's queue of connections is lost without a word.
        let connecting = (0..count).map(|_| TcpStream::connect(address));
        let connected = stream::iter(connecting).buffer_unordered(sockets::AT_ONCE);
        let mut plain = Readers::over(connected.try_collect().await?);

        let (mut ours, mut at_best) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let mut took = latencies();
            for n in 0..POSTS {
                let began = Instant::now();
                post(format!("{round}-{n}")).await?;
                listening.all_have().await?;
                record(&mut took, began.elapsed());
            }
            ours.push(as_round(count, took));
            let mut took = latencies();
            for _ in 0..POSTS {
                let began = Instant::now();
                tell.send(()).context("the writer lives")?;
                plain.all_have().await?;
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

/// Sockets that are read all the time. A message that arrives is counted; other frames, of the time or of presence, are not.
struct Readers {
    count: usize,
    arrived: mpsc::Receiver<Vec<u8>>,
}

impl Readers {
    fn over(sockets: Vec<TcpStream>) -> Self {
        let count = sockets.len();
        let (tell, arrived) = mpsc::channel(count);
        for socket in sockets {
            let tell = tell.clone();
            tokio::spawn(read(socket, tell));
        }
        Self { count, arrived }
    }

    /// Waits until each reader has one more message; returns the last one's frame.
    async fn all_have(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut last = Vec::new();
        for n in 0..self.count {
            let frame = tokio::time::timeout(Duration::from_secs(30), self.arrived.recv()).await;
            last = frame
                .with_context(|| format!("{} readers wait in vain", self.count - n))?
                .context("readers live")?;
        }
        Ok(last)
    }
}

async fn read(mut socket: TcpStream, tell: mpsc::Sender<Vec<u8>>) -> std::io::Result<()> {
    let mut waiting = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let read = socket.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        waiting.extend_from_slice(&chunk[..read]);
        while let Some(length) = frame_length(&waiting).filter(|length| *length <= waiting.len()) {
            let frame: Vec<u8> = waiting.drain(..length).collect();
            if frame
                .windows(TEXT.len())
                .any(|part| part == TEXT.as_bytes())
                && tell.send(frame).await.is_err()
            {
                return Ok(());
            }
        }
    }
}

/// How long the frame at the beginning is, header included: RFC 6455, section 5.2. A server's frames are not masked, and none of ours
/// is longer than 64 KiB here.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [_, 126, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        [_, 126, ..] | [] | [_] => None,
        [_, short, ..] => Some(2 + usize::from(*short)),
    }
}
