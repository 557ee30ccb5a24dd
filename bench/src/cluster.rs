//! A hall of many processes beside one process with its files: durable posts, and how soon they are delivered.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use reqwest::Client;
use serde_json::json;

use crate::{
    hall::Hall,
    listener::{Listener, mark},
    people::Person,
    posts::{self, Plan, TEXT},
    processes::Ground,
    report::{self, Round, latencies, record, to_ms},
    servers::Servers,
};

/// How many posts of a round are followed to the other gateway, one after the other.
const FOLLOWED: usize = 50;
/// How soon a new channel must take posts at every gateway.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// Prints durable posts per second of both shapes for each number of senders, and the time from a post to its delivery.
pub(crate) async fn run(server: &Path, servers: &Servers, plan: &Plan) -> anyhow::Result<()> {
    println!(
        "\ncluster: durable posts by gRPC, one channel, {} bytes of text, {} rounds of {} s; everything on this machine",
        TEXT.len(),
        plan.rounds,
        plan.time.as_secs()
    );
    if let Some(missing) = servers.missing() {
        println!("  not measured: no {missing}; `./dev infra up` starts servers");
        return Ok(());
    }
    let ground = Ground::prepare(server, servers)?;
    let measured = measure(server, &ground, plan).await;
    let removed = ground.remove().await;
    measured.and(removed)
}

async fn measure(server: &Path, ground: &Ground, plan: &Plan) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let one = Hall::start(server, folder.path())?;
    let many = ground.start().await?;
    let mut sides = [
        Side::new("one process, files", vec![one.http.clone()]).await?,
        Side::new("2 gateways, 2 chats, 2 auths", many.gateways.clone()).await?,
    ];
    for _ in 0..plan.rounds {
        for side in &mut sides {
            side.follow().await?;
        }
    }
    println!(
        "  from a post to its delivery on a live socket of the other gateway, nothing else going on"
    );
    for side in &sides {
        side.print_latency("delivery", &side.delivered);
    }
    for &senders in &plan.senders {
        for side in &mut sides {
            side.begin().await?;
        }
        for round in 0..plan.rounds {
            for side in &mut sides {
                side.load(senders, plan.time, round).await?;
            }
        }
        println!("  {senders} senders");
        for side in &sides {
            report::line(side.name, "posts/s", &side.rounds);
            side.print_latency("heard after the load", &side.behind);
        }
        let [one, many] = &sides;
        println!(
            "  {:<34} {:>10.2} of one process",
            many.name,
            report::median(&many.rounds).0 / report::median(&one.rounds).0
        );
    }
    Ok(())
}

/// One shape of a hall, with somebody who posts and listens.
struct Side {
    name: &'static str,
    gateways: Vec<String>,
    person: Person,
    channel: String,
    listener: Listener,
    marks: usize,
    /// From sending a post to its frame, in an idle hall.
    delivered: Histogram<u64>,
    rounds: Vec<Round>,
    /// The same for a post behind a load: what was still to be told.
    behind: Histogram<u64>,
}

impl Side {
    async fn new(name: &'static str, gateways: Vec<String>) -> anyhow::Result<Self> {
        let (Some(here), Some(there)) = (gateways.first(), gateways.last()) else {
            bail!("a hall has a gateway");
        };
        let http = Client::new();
        let person = Person::register(&http, here, "sender").await?;
        let channel = person.channel_with(&[]).await?;
        for gateway in &gateways {
            knows(&http, gateway, &channel).await?;
        }
        Ok(Self {
            listener: Listener::open(there, &person, &channel).await?,
            name,
            gateways,
            person,
            channel,
            marks: 0,
            delivered: latencies(),
            rounds: Vec::new(),
            behind: latencies(),
        })
    }

    /// Posts at the first gateway and waits at the last one, again and again.
    async fn follow(&mut self) -> anyhow::Result<()> {
        for _ in 0..FOLLOWED {
            let took = self.deliver().await?;
            record(&mut self.delivered, took);
        }
        Ok(())
    }

    /// Makes ready for rounds with another number of senders.
    async fn begin(&mut self) -> anyhow::Result<()> {
        self.rounds.clear();
        self.behind.reset();
        // The token of the beginning may end before the last of many rounds.
        self.person = Person::login(&Client::new(), &self.gateways[0], "sender").await?;
        Ok(())
    }

    async fn load(&mut self, senders: usize, time: Duration, round: usize) -> anyhow::Result<()> {
        // No other load of this hall has posted under the same keys.
        let round = senders * 1_000_000 + round;
        let (gateways, person) = (&self.gateways, &self.person);
        let posted = posts::grpc(gateways, person, &self.channel, senders, time, round).await?;
        self.rounds.push(posted);
        let took = self.deliver().await.with_context(|| self.name)?;
        record(&mut self.behind, took);
        Ok(())
    }

    async fn deliver(&mut self) -> anyhow::Result<Duration> {
        self.marks += 1;
        let text = mark(self.marks);
        let path = format!("/channels/{}/messages", self.channel);
        let began = Instant::now();
        let post = json!({"text": text, "key": text});
        self.person.post(&path, &post).await?;
        let heard = self.listener.heard(self.marks).await?;
        Ok(heard.saturating_duration_since(began))
    }

    fn print_latency(&self, what: &str, took: &Histogram<u64>) {
        let name = format!("{}: {what}", self.name);
        println!(
            "  {name:<62} p50 {:>8.2} ms  p99 {:>8.2} ms  max {:>8.2} ms",
            to_ms(took.value_at_quantile(0.5)),
            to_ms(took.value_at_quantile(0.99)),
            to_ms(took.max())
        );
    }
}

/// Waits until a gateway shows a new channel.
async fn knows(http: &Client, gateway: &str, channel: &str) -> anyhow::Result<()> {
    let person = Person::login(http, gateway, "sender").await?;
    let began = Instant::now();
    loop {
        match person.get(&format!("/channels/{channel}")).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > KNOWN_WITHIN => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
