//! Opening: the process, an app, a channel.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use reqwest::Client;
use serde_json::json;

use crate::{
    hall::Hall,
    limit::rate,
    people::Person,
    report::{self, Round, latencies, record, to_ms},
};

const MESSAGES: usize = 100_000;
const SENDERS: usize = 256;
const CALLS: usize = 500;

/// Prints how long a hall with 100,000 messages takes to start and to answer, and what it holds in memory when idle.
pub(crate) async fn run(server: &Path, rounds: usize) -> anyhow::Result<()> {
    println!("\nopening: a hall with {MESSAGES} messages");
    let folder = tempfile::tempdir()?;
    let http = Client::new();
    let hall = Hall::start(server, folder.path())?;
    let person = Person::register(&http, &hall.http, "reader").await?;
    let channel = person.channel_with(&[]).await?;
    fill(&person, &channel).await?;
    drop(hall);

    let mut answered = latencies();
    let mut ready = latencies();
    for _ in 0..rounds.max(3) {
        let began = Instant::now();
        let hall = Hall::start(server, folder.path())?;
        Client::new()
            .get(format!("http://{}/", hall.http))
            .send()
            .await?
            .error_for_status()?;
        record(&mut answered, began.elapsed());
        record(&mut ready, hall.ready_after);
    }
    println!(
        "  start to the ready line            p50 {:>8.2} ms",
        to_ms(ready.value_at_quantile(0.5))
    );
    println!(
        "  start to the first answer          p50 {:>8.2} ms",
        to_ms(answered.value_at_quantile(0.5))
    );

    let hall = Hall::start(server, folder.path())?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!(
        "  idle memory                        {:>10} KiB",
        hall.resident()? >> 10
    );
    let person = Person::login(&http, &hall.http, "reader").await?;
    let newest = format!("/channels/{channel}/messages?limit=50");
    let body = json!({"channelId": channel});
    let (mut starts, mut pages) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        starts.push(calls(async || person.post("/auth/start", &body).await.map(drop)).await?);
        pages.push(calls(async || person.get(&newest).await.map(drop)).await?);
    }
    report::line("start, one caller", "calls/s", &starts);
    report::line("newest 50 by REST, one caller", "calls/s", &pages);
    Ok(())
}

async fn fill(person: &Person, channel: &str) -> anyhow::Result<()> {
    let path = format!("/channels/{channel}/messages");
    let senders = (0..SENDERS).map(|sender| {
        let path = &path;
        async move {
            for n in (sender..MESSAGES).step_by(SENDERS) {
                let text = format!("message {n}: the quick brown fox jumps over the lazy dog");
                person
                    .post(path, &json!({"text": text, "key": format!("fill-{n}")}))
                    .await?;
            }
            anyhow::Ok(())
        }
    });
    try_join_all(senders).await.map(drop)
}

async fn calls(call: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<Round> {
    let mut took = latencies();
    let began = Instant::now();
    for _ in 0..CALLS {
        let sent = Instant::now();
        call().await?;
        record(&mut took, sent.elapsed());
    }
    Ok(Round {
        per_second: rate(took.len(), began.elapsed()),
        took,
    })
}
