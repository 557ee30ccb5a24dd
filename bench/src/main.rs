//! Measures a hall beside what the machine can do at best.
//!
//! Every measurement starts the release server itself, on a free port and a temporary folder, and runs in the same minutes as its
//! limit program: contenders take turns, round after round, so that a slow spell of the machine hits both. What is printed is the
//! median of the rounds, their spread, and the ratio. Nothing here asserts: numbers are read by people. The engines of a big
//! installation are measured in this process, on servers that stand already.
//!
//! In reading order: `hall` starts a server and `processes` many, `people` signs in, `listener` hears, `servers` are those that stand
//! already, `report` counts and prints; then one file per measurement, and `limit` and `bare` with the programs that do nothing but the unavoidable.
#![expect(clippy::print_stdout, reason = "it prints a report")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures with the machine's clock and spawns its load"
)]

mod bare;
mod bell;
mod cluster;
mod fanout;
mod hall;
mod hop;
mod limit;
mod listener;
mod opening;
mod people;
mod posts;
mod processes;
mod report;
mod servers;
mod sockets;
mod timelines;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

/// Measures a hall on this machine; the load generator runs beside it.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Command {
    /// The server to measure.
    #[arg(
        long,
        env = "GUILDHALL_BIN",
        default_value = "target/release/guildhall"
    )]
    server: PathBuf,
    /// How many rounds each contender takes.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a round of load lasts, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How many senders post at once; may be given several times.
    #[arg(long, default_values_t = [1, 16, 64, 256])]
    senders: Vec<usize>,
    #[command(flatten)]
    servers: servers::Servers,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum What {
    /// Durable posts per second with 1, 16, 64 and 256 senders by gRPC and REST, beside a program that only commits the rows.
    Posts,
    /// One post to 1,000 and 5,000 sockets, beside a loop of write().
    Fanout,
    /// Memory of 5,000 idle sockets.
    Sockets,
    /// From start to the first answer with 100,000 messages, idle memory, `start` and the newest 50 messages.
    Opening,
    /// Appends and newest pages in ScyllaDB or Cassandra, beside the driver alone. Needs `--cql-nodes`.
    Timelines,
    /// From telling to hearing over NATS, beside JetStream alone. Needs `--nats-url`.
    Bus,
    /// A call between services in one process, over plain HTTP/2, over a link with certificates.
    Hop,
    /// Durable posts and their delivery in a hall of six processes, beside one process. Needs PostgreSQL, CQL and NATS.
    Cluster,
    /// All of them; those that need servers where these are named.
    All,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let command = Command::parse();
    // The clients speak plain HTTP, but are built with TLS.
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    provider
        .install_default()
        .map_err(|_| anyhow::anyhow!("somebody chose another provider of cryptography"))?;
    hall::raise_file_limit();
    report::machine();
    let what = command.what.unwrap_or(What::All);
    let wanted = |one| what == one || what == What::All;

    let time = Duration::from_secs(command.seconds);
    let plan = posts::Plan {
        rounds: command.rounds,
        time,
        senders: command.senders,
    };
    if wanted(What::Posts) {
        posts::run(&command.server, &plan).await?;
    }
    if wanted(What::Fanout) {
        fanout::run(&command.server, command.rounds).await?;
    }
    if wanted(What::Sockets) {
        sockets::run(&command.server).await?;
    }
    if wanted(What::Opening) {
        opening::run(&command.server, command.rounds).await?;
    }
    let servers = &command.servers;
    if wanted(What::Hop) {
        hop::run(&command.server, command.rounds, time).await?;
    }
    if what == What::Timelines || wanted(What::Timelines) && servers.has_cql() {
        anyhow::ensure!(
            servers.has_cql(),
            "no server is named: --cql-nodes, or CQL_NODES from target/infra/env"
        );
        timelines::run(servers, command.rounds, time).await?;
    }
    if what == What::Bus || wanted(What::Bus) && servers.has_nats() {
        bell::run(servers, command.rounds, time).await?;
    }
    if wanted(What::Cluster) {
        cluster::run(&command.server, servers, &plan).await?;
    }
    Ok(())
}
