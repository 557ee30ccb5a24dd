//! Durable posts per second.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use guildhall_proto::chat::v1::{PostMessageRequest, message_service_client::MessageServiceClient};
use reqwest::Client;
use serde_json::json;
use tonic::{
    Request,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use crate::{
    hall::Hall,
    limit::{self, rate},
    people::Person,
    report::{self, Round, latencies, record},
};

/// What a post says.
pub(crate) const TEXT: &str = "the quick brown fox jumps over the lazy dog";

/// How much is measured.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How many rounds each contender takes.
    pub(crate) rounds: usize,
    /// How long a round lasts.
    pub(crate) time: Duration,
    /// How many post at once, one after the other.
    pub(crate) senders: Vec<usize>,
}

/// Prints posts per second for each number of senders, by gRPC, by REST, and of the limit program.
pub(crate) async fn run(server: &Path, plan: &Plan) -> anyhow::Result<()> {
    println!(
        "\nposts: durable, one channel, {} bytes of text, {} rounds of {} s",
        TEXT.len(),
        plan.rounds,
        plan.time.as_secs()
    );
    let time = plan.time;
    for &senders in &plan.senders {
        let folder = tempfile::tempdir()?;
        let hall = Hall::start(server, folder.path())?;
        let http = Client::new();
        let person = Person::register(&http, &hall.http, "sender").await?;
        let channel = person.channel_with(&[]).await?;
        let doors = [hall.http.clone()];
        let (mut by_grpc, mut by_rest, mut at_best) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..plan.rounds {
            by_grpc.push(grpc(&doors, &person, &channel, senders, time, round).await?);
            by_rest.push(rest(&person, &channel, senders, time, round).await?);
            let limit_folder = folder.path().to_owned();
            at_best.push(
                tokio::task::spawn_blocking(move || limit::commits(&limit_folder, senders, time))
                    .await??,
            );
        }
        println!("  {senders} senders");
        report::line("gRPC", "posts/s", &by_grpc);
        report::line("REST", "posts/s", &by_rest);
        report::line("limit: commits of the same rows", "commits/s", &at_best);
        report::ratio("gRPC", &by_grpc, &at_best);
        report::ratio("REST", &by_rest, &at_best);
    }
    Ok(())
}

/// Posts for a while by gRPC, the senders spread evenly over the gateways at these addresses.
pub(crate) async fn grpc(
    gateways: &[String],
    person: &Person,
    channel: &str,
    senders: usize,
    time: Duration,
    round: usize,
) -> anyhow::Result<Round> {
    let token: MetadataValue<_> = format!("Bearer {}", person.token).parse()?;
    // A connection carries up to 64 calls at once.
    let count = senders.div_ceil(32).max(gateways.len().min(senders));
    let connecting = (0..count).map(|n| connect(&gateways[n % gateways.len()]));
    let connections = try_join_all(connecting).await?;
    let began = Instant::now();
    let all = (0..senders).map(|sender| {
        let mut client = MessageServiceClient::new(connections[sender % connections.len()].clone());
        let (token, channel_id) = (token.clone(), channel.to_owned());
        tokio::spawn(async move {
            let mut took = latencies();
            for n in 0_u64.. {
                if began.elapsed() >= time {
                    break;
                }
                let key = format!("g{round}-{sender}-{n}");
                let mut request = Request::new(PostMessageRequest {
                    channel_id: channel_id.clone(),
                    text: TEXT.into(),
                    key,
                });
                request
                    .metadata_mut()
                    .insert("authorization", token.clone());
                let sent = Instant::now();
                client.post_message(request).await?;
                record(&mut took, sent.elapsed());
            }
            Ok::<_, tonic::Status>(took)
        })
    });
    gather(all.collect(), began).await
}

async fn connect(gateway: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{gateway}"))?;
    endpoint.tcp_nodelay(true).connect().await
}

async fn rest(
    person: &Person,
    channel: &str,
    senders: usize,
    time: Duration,
    round: usize,
) -> anyhow::Result<Round> {
    let began = Instant::now();
    let path: Arc<str> = format!("/channels/{channel}/messages").into();
    let all = (0..senders).map(|sender| {
        let (person, path) = (person.clone(), path.clone());
        tokio::spawn(async move {
            let mut took = latencies();
            for n in 0_u64.. {
                if began.elapsed() >= time {
                    break;
                }
                let body = json!({"text": TEXT, "key": format!("r{round}-{sender}-{n}")});
                let sent = Instant::now();
                person.post(&path, &body).await?;
                record(&mut took, sent.elapsed());
            }
            Ok::<_, anyhow::Error>(took)
        })
    });
    gather(all.collect(), began).await
}

async fn gather<E>(
    senders: Vec<tokio::task::JoinHandle<Result<hdrhistogram::Histogram<u64>, E>>>,
    began: Instant,
) -> anyhow::Result<Round>
where
    anyhow::Error: From<E>,
{
    let mut took = latencies();
    for sender in senders {
        took.add(sender.await?.map_err(anyhow::Error::from)?)?;
    }
    Ok(Round {
        per_second: rate(took.len(), began.elapsed()),
        took,
    })
}
