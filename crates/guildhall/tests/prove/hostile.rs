//! Bad input on sockets: everything that a broken or hostile client may do to a port is refused or cut in bounded time, costs little
//! memory, and does not keep a good client from being served.
//!
//! `http` has the bad HTTP/1.1 clients, `socket` those of the live feed, `h2` those that write HTTP/2 frames by hand.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures::{FutureExt as _, future::join_all};
use reqwest::Method;
use serde_json::json;

use crate::{
    people::{Outcome, Person},
    server::Server,
};

mod h2;
mod http;
mod socket;

/// How many of each kind there are.
const PEERS: usize = 100;
/// How long the server may take to be rid of one of them.
const PATIENCE: Duration = Duration::from_secs(40);
/// How much the server may grow, in KiB.
const GROWTH: u64 = 256 << 10;

/// What bad clients need to know.
#[derive(Clone)]
struct Hall {
    address: String,
    token: String,
    channel: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn bad_clients_are_cut_and_good_ones_are_served() -> anyhow::Result<()> {
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut server = Server::new()?;
    server.start().await?;
    let pid = server.pid().context("it runs")?;
    let good = Person::register(&server.doors(), "good").await?;
    let channel = good.channel_with(&[]).await?;
    // Streams are counted by person: more of these than one may have.
    let bad = Person::register(&server.doors(), "bad").await?;
    let hall = Hall {
        address: server.doors().get(0),
        token: bad.token.clone(),
        channel: bad.channel_with(&[]).await?,
    };
    let before = memory(pid)?;
    let (ending, largest) = (Arc::<AtomicBool>::default(), Arc::new(Mutex::new(before)));
    let served = tokio::spawn(serve(good.clone(), channel, ending.clone()));
    let watched = tokio::spawn({
        let (ending, largest) = (ending.clone(), largest.clone());
        async move {
            while !ending.load(Ordering::SeqCst) {
                if let Ok(now) = memory(pid) {
                    let mut largest = largest.lock().expect("nobody panics");
                    *largest = now.max(*largest);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });

    let began = Instant::now();
    let kinds = join_all([
        all("half a head", &hall, http::half_head).boxed(),
        all("a slow body", &hall, http::slow_body).boxed(),
        all("a large body", &hall, http::large_body).boxed(),
        all("a large body in chunks", &hall, http::large_chunks).boxed(),
        all("deep JSON", &hall, http::deep_json).boxed(),
        all("no HTTP", &hall, http::no_http).boxed(),
        all("reserved bits", &hall, socket::reserved_bits).boxed(),
        all("a bad opcode", &hall, socket::bad_opcode).boxed(),
        all("an unmasked frame", &hall, socket::unmasked).boxed(),
        all("a control frame in parts", &hall, socket::control_in_parts).boxed(),
        all("a frame of 5 MiB", &hall, socket::oversized).boxed(),
        all("bad UTF-8", &hall, socket::bad_text).boxed(),
        all("no live frame", &hall, socket::no_frame).boxed(),
        all("no Hello", &hall, socket::no_hello).boxed(),
        all("a socket that is never read", &hall, socket::never_reads).boxed(),
        all("events that are never read", &hall, http::never_reads).boxed(),
        all("rapid reset", &hall, h2::rapid_reset).boxed(),
        all("endless CONTINUATION", &hall, h2::continuation).boxed(),
        all("a window of 0", &hall, h2::no_window).boxed(),
    ])
    .await;
    // By themselves: they take all the memory for bodies, and who is bad in another way would be refused for the lack of it.
    let fillers = join_all([
        all("most of a body", &hall, http::most_of_a_body).boxed(),
        all("a body of nobody", &hall, http::body_of_nobody).boxed(),
    ])
    .await;
    let took = began.elapsed();
    ending.store(true, Ordering::SeqCst);
    let (mut times, failed) = served.await?;
    watched.await?;

    let wrong: Vec<_> = kinds.into_iter().chain(fillers).flatten().collect();
    let grown = largest
        .lock()
        .expect("nobody panics")
        .saturating_sub(before);
    times.sort_unstable();
    let part = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{took:?} under attack, {} good calls, p50 {:?}, p99 {:?}; {} MiB before, {} MiB more",
        times.len(),
        part(50),
        part(99),
        before >> 10,
        grown >> 10
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        failed.is_empty(),
        "a good client was not served: {failed:#?}"
    );
    assert!(times.len() > 20, "only {} good calls", times.len());
    assert!(grown < GROWTH, "the server grew by {grown} KiB");
    good.get("/auth/me").await?;
    server.stop().await?;
    Ok(())
}

/// Sets many of one kind on the hall; says how it went and returns what was wrong.
async fn all<F>(kind: &'static str, hall: &Hall, bad: impl Fn(Hall) -> F) -> Vec<String>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let began = Instant::now();
    let outcomes = join_all((0..PEERS).map(|_| {
        let attack = bad(hall.clone());
        async move {
            tokio::time::timeout(PATIENCE, attack)
                .await
                .context("it is still there")?
        }
    }))
    .await;
    let wrong: Vec<_> = outcomes
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{kind}: {error:#}"))
        .collect();
    println!(
        "{kind}: {} of {PEERS} refused or cut within {:?}",
        PEERS - wrong.len(),
        began.elapsed()
    );
    // One of a kind is enough to read.
    wrong.into_iter().take(1).collect()
}

/// A good client, until told to end: how long each call took, and what failed.
async fn serve(
    person: Person,
    channel: String,
    ending: Arc<AtomicBool>,
) -> (Vec<Duration>, Vec<String>) {
    let (mut times, mut failed) = (Vec::new(), Vec::new());
    let path = format!("/channels/{channel}/messages");
    let mut n = 0_u32;
    while !ending.load(Ordering::SeqCst) {
        n += 1;
        let body = json!({"text": "served", "key": format!("good-{n}")});
        let began = Instant::now();
        match person.call(Method::POST, &path, Some(&body)).await {
            Outcome::Done(_) => times.push(began.elapsed()),
            other @ (Outcome::Refused(..) | Outcome::Unknown(_)) => {
                failed.push(format!("{other:?}"))
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (times, failed)
}

/// The memory of a process that is in use, in KiB.
fn memory(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let number = line.split_whitespace().next().context("a number")?;
    Ok(number.parse()?)
}

/// Connects, hands over what is to be sent, and reads until the server ends it; an error unless the answer begins with one of these.
async fn expect_answer(hall: &Hall, sent: &[u8], answers: &[&str]) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(&hall.address).await?;
    // Whoever is cut while writing is cut.
    let _ = stream.write_all(sent).await;
    let mut answer = vec![0; 4 << 10];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    let line = text.lines().next().unwrap_or_default();
    let is_cut = read == 0 && answers.contains(&"");
    ensure!(
        is_cut
            || answers
                .iter()
                .any(|answer| !answer.is_empty() && line.contains(answer)),
        "answered {text:?}"
    );
    Ok(())
}
