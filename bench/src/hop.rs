//! What a call from service to service costs, by the way that it takes: within the process, over plain HTTP/2, over a link with
//! certificates. The server and the guard before it are the same ones.
//!
//! In reading order: this file calls and prints; `house` is what is called, `ways` are the three ways there.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use guildhall_mesh::Link;
use guildhall_proto::chat::v1::{
    GetChannelRequest, PostMessageRequest, channel_service_client::ChannelServiceClient,
    message_service_client::MessageServiceClient,
};
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use tonic::Status;

use crate::{
    limit::rate,
    report::{self, Round, latencies, record},
};

mod house;
mod ways;

use house::House;

/// How many call at once.
const AT_ONCE: [usize; 2] = [1, 64];
/// The longest text of a message, in bytes: what a big body costs.
const LONG: usize = 16_000;
/// How much longer than a round its calls may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is called. Both answer from memory or by one look into a file, without a sync.
#[derive(Debug, Clone, Copy)]
enum What {
    /// A small question with a small answer.
    GetChannel,
    /// A message of [`LONG`] bytes, posted before under the same key, so that the first one comes back.
    PostAgain,
}

/// One way, its rounds, and the CPU time that client and server took for all its calls together.
struct Contender {
    name: &'static str,
    link: Link,
    rounds: Vec<Round>,
    cpu: Duration,
}

/// Prints latency, calls per second and CPU time of a call for each way.
pub(crate) async fn run(server: &Path, rounds: usize, time: Duration) -> anyhow::Result<()> {
    println!(
        "\nhop: a call to svc-chat behind its guard, client and server in one process, {rounds} rounds of {} s",
        time.as_secs()
    );
    let folder = tempfile::tempdir()?;
    let house = House::open(folder.path()).await?;
    let links = [
        ("in process", ways::in_process(&house)),
        ("limit: plain HTTP/2", ways::plain(&house).await?),
        (
            "link, mutual TLS",
            ways::linked(&house, server, folder.path()).await?,
        ),
    ];
    for (_, link) in &links {
        // The connection stands, and the message is there that is posted again.
        let link = link.on_behalf(&house.caller(PATIENCE));
        for what in [What::GetChannel, What::PostAgain] {
            what.ask(&link, &house.channel).await?;
        }
    }
    for (what, name) in [
        (What::GetChannel, "GetChannel".to_owned()),
        (What::PostAgain, format!("PostMessage again, {LONG} bytes")),
    ] {
        for at_once in AT_ONCE {
            let mut contenders = links.clone().map(|(name, link)| Contender {
                name,
                link,
                rounds: Vec::new(),
                cpu: Duration::ZERO,
            });
            for _ in 0..rounds {
                for contender in &mut contenders {
                    contender.round(&house, what, at_once, time).await?;
                }
            }
            println!("  {name}, {at_once} at once");
            contenders.iter().for_each(Contender::print);
            compare(&contenders);
        }
    }
    house.close().await;
    Ok(())
}

impl Contender {
    async fn round(
        &mut self,
        house: &House,
        what: What,
        at_once: usize,
        time: Duration,
    ) -> anyhow::Result<()> {
        let cpu = cpu_time();
        let began = Instant::now();
        let calling = (0..at_once).map(|_| {
            let link = self.link.on_behalf(&house.caller(time + PATIENCE));
            let channel = house.channel.clone();
            tokio::spawn(async move {
                let mut took = latencies();
                while began.elapsed() < time {
                    let sent = Instant::now();
                    what.ask(&link, &channel).await?;
                    record(&mut took, sent.elapsed());
                }
                Ok::<_, Status>(took)
            })
        });
        let calling: Vec<_> = calling.collect();
        let mut took = latencies();
        for one in calling {
            took.add(one.await??)?;
        }
        self.rounds.push(Round {
            per_second: rate(took.len(), began.elapsed()),
            took,
        });
        self.cpu += cpu_time().saturating_sub(cpu);
        Ok(())
    }

    fn print(&self) {
        let (speed, spread) = report::median(&self.rounds);
        let all = self.all();
        let each = self.cpu.as_micros() / u128::from(all.len().max(1));
        println!(
            "  {:<34} {speed:>10.0} calls/s      spread {spread:>3.0} %   p50 {:>8} us  p99 {:>8} us  CPU {each:>5} us a call",
            self.name,
            all.value_at_quantile(0.5),
            all.value_at_quantile(0.99),
        );
    }

    fn all(&self) -> Histogram<u64> {
        let mut all = latencies();
        for round in &self.rounds {
            all.add(&round.took).expect("the same bounds");
        }
        all
    }
}

impl What {
    async fn ask(self, link: &Link, channel: &str) -> Result<(), Status> {
        let channel_id = channel.to_owned();
        match self {
            Self::GetChannel => {
                let mut client = ChannelServiceClient::new(link.clone());
                client.get_channel(GetChannelRequest { channel_id }).await?;
            }
            Self::PostAgain => {
                let post = PostMessageRequest {
                    channel_id,
                    text: "x".repeat(LONG),
                    key: "again".into(),
                };
                let mut client = MessageServiceClient::new(link.clone());
                client.post_message(post).await?;
            }
        }
        Ok(())
    }
}

/// Prints what certificates and the care of our links add to plain HTTP/2, and that to a call within the process.
fn compare([local, plain, linked]: &[Contender; 3]) {
    let [local_p50, plain_p50, linked_p50] =
        [local, plain, linked].map(|one| report::to_ms(one.all().value_at_quantile(0.5)) * 1_000.0);
    println!(
        "  p50 of the link: {:.2} times plain HTTP/2, {:+.0} us to a call in process (plain: {:+.0} us)",
        linked_p50 / plain_p50,
        linked_p50 - local_p50,
        plain_p50 - local_p50,
    );
    report::ratio("link, mutual TLS: calls/s", &linked.rounds, &plain.rounds);
}

/// What this process has used of its CPUs so far.
fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (
        u64::try_from(used.tv_sec).unwrap_or(0),
        u32::try_from(used.tv_nsec).unwrap_or(0),
    );
    Duration::new(seconds, nanos)
}
