//! From a note told to the same note heard by another process, over NATS, beside JetStream alone: published, acknowledged, said on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        stream::{Config, Republish, StorageType},
    },
};
use bytes::Bytes;
use futures::StreamExt as _;
use guildhall_kernel::{Clock, EventId, Ids as _, SystemClock, SystemIds, Time};
use guildhall_mesh::{Bus as _, Heard, NatsBus, Note, Tasks, bus::NatsSettings};

use crate::{
    limit::rate,
    report::{self, Round, latencies, record, to_ms},
    servers::Servers,
};

/// As much as an event of a short message.
const PAYLOAD: usize = 300;
/// How long a note may be under way.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the server knows a note again, as in our streams.
const KNOWN: Duration = Duration::from_secs(120);

/// Prints the time from telling to hearing of both, and their ratio.
pub(crate) async fn run(servers: &Servers, rounds: usize, time: Duration) -> anyhow::Result<()> {
    let url = servers.nats()?;
    println!(
        "\nbus: {url}, {PAYLOAD} bytes, one note after the other, {rounds} rounds of {} s",
        time.as_secs()
    );
    let random = SystemIds.uuid().simple().to_string();
    let name = format!("bench{}", &random[20..]);
    let tasks = Tasks::new();
    let (mut ours, mut bare) = (
        Ours::open(url, &name, &tasks).await?,
        Bare::open(url, &name).await?,
    );
    let (mut through_us, mut at_best) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        through_us.push(ours.round(time).await?);
        at_best.push(bare.round(time).await?);
    }
    report::line("NatsBus", "notes/s", &through_us);
    report::line("limit: JetStream alone", "notes/s", &at_best);
    let (us, best) = (p50(&through_us)?, p50(&at_best)?);
    println!(
        "  told to heard, p50: {us:.3} ms, limit {best:.3} ms: {:.2} times",
        us / best
    );
    tasks.stop(Duration::from_secs(5)).await;
    bare.remove().await
}

fn p50(rounds: &[Round]) -> anyhow::Result<f64> {
    let mut all = latencies();
    for round in rounds {
        all.add(&round.took)?;
    }
    Ok(to_ms(all.value_at_quantile(0.5)))
}

/// Two processes of a hall.
struct Ours {
    here: NatsBus,
    ear: guildhall_mesh::bus::Listener,
    // Closed with its last holder.
    _there: NatsBus,
}

impl Ours {
    async fn open(url: &str, name: &str, tasks: &Tasks) -> anyhow::Result<Self> {
        let settings = NatsSettings {
            servers: vec![url.to_owned()],
            namespace: name.to_owned(),
            replicas: 1,
            ..NatsSettings::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let here = NatsBus::open(&settings, clock.clone(), tasks).await?;
        let there = NatsBus::open(&settings, clock, tasks).await?;
        let ear = there.listen("guildhall.chat.v1.*.*", 1_024).await?;
        Ok(Self {
            here,
            ear,
            _there: there,
        })
    }

    async fn round(&mut self, time: Duration) -> anyhow::Result<Round> {
        let (began, mut took) = (Instant::now(), latencies());
        while began.elapsed() < time {
            let note = Note {
                id: EventId::of(SystemIds.uuid()),
                subject: "guildhall.chat.v1.channel.MessagePosted".into(),
                payload: Bytes::from_static(&[42; PAYLOAD]),
                at: Time::from_micros(0),
            };
            let sent = Instant::now();
            let heard = async {
                let heard = tokio::time::timeout(PATIENCE, self.ear.next()).await;
                anyhow::ensure!(matches!(heard, Ok(Some(Heard::Note(_)))), "{heard:?}");
                Ok(sent.elapsed())
            };
            let told = async { self.here.send(note).await.map_err(anyhow::Error::from) };
            let (heard, ()) = tokio::try_join!(heard, told)?;
            record(&mut took, heard);
        }
        Ok(Round {
            per_second: rate(took.len(), began.elapsed()),
            took,
        })
    }
}

/// Two connections and a stream.
struct Bare {
    jetstream: jetstream::Context,
    ear: async_nats::Subscriber,
    name: String,
}

impl Bare {
    async fn open(url: &str, name: &str) -> anyhow::Result<Self> {
        let here = async_nats::connect(url).await?;
        let there = async_nats::connect(url).await?;
        let jetstream = jetstream::new(here);
        let stream = Config {
            name: format!("{name}_bare"),
            subjects: vec![format!("{name}.bare.>")],
            storage: StorageType::File,
            num_replicas: 1,
            duplicate_window: KNOWN,
            republish: Some(Republish {
                source: format!("{name}.bare.>"),
                destination: format!("rt.{name}.bare.>"),
                headers_only: false,
            }),
            ..Config::default()
        };
        jetstream.create_stream(stream).await?;
        let ear = there.subscribe(format!("rt.{name}.bare.>")).await?;
        there.flush().await?;
        Ok(Self {
            jetstream,
            ear,
            name: name.to_owned(),
        })
    }

    async fn round(&mut self, time: Duration) -> anyhow::Result<Round> {
        let subject = format!("{}.bare.channel.MessagePosted", self.name);
        let (began, mut took) = (Instant::now(), latencies());
        while began.elapsed() < time {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", SystemIds.uuid().simple().to_string());
            let sent = Instant::now();
            let heard = async {
                let heard = tokio::time::timeout(PATIENCE, self.ear.next()).await?;
                heard.context("the subscription ended")?;
                Ok(sent.elapsed())
            };
            let payload = Bytes::from_static(&[42; PAYLOAD]);
            let (jetstream, subject) = (&self.jetstream, subject.clone());
            let told = async {
                let kept = jetstream.publish_with_headers(subject, headers, payload);
                kept.await?.await?;
                Ok::<_, anyhow::Error>(())
            };
            let (heard, ()) = tokio::try_join!(heard, told)?;
            record(&mut took, heard);
        }
        Ok(Round {
            per_second: rate(took.len(), began.elapsed()),
            took,
        })
    }

    /// Takes all streams of the measurement away.
    async fn remove(self) -> anyhow::Result<()> {
        for stream in ["bare", "GH_CHAT", "GH_ENTITY"] {
            let name = format!("{}_{stream}", self.name);
            self.jetstream.delete_stream(name).await?;
        }
        Ok(())
    }
}
