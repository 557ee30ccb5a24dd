//! PostgreSQL is away, silent, or what it says of a COMMIT is lost.

use std::time::{Duration, Instant};

use guildhall_testkit::chaos::Reply;
use rustix::process::Signal;

use super::campaign::Ground;

/// PostgreSQL is stopped without a word to anybody ("immediate"), and comes back.
pub(super) async fn stopped(ground: &mut Ground<'_>, time: Duration) -> anyhow::Result<Instant> {
    let broke = Instant::now();
    ground
        .cluster
        .servers
        .kill("postgres", Signal::QUIT)
        .await?;
    ground.pass(time).await;
    let mut names = ground.cluster.with_role("auth");
    names.extend(ground.cluster.with_role("chat"));
    names.dedup();
    ground.not_ready(&names, broke);
    ground.cluster.servers.up().await?;
    Ok(Instant::now())
}

/// Every few answers to COMMIT are lost with their connection: it is committed, and nobody hears of it.
pub(super) async fn cut_at_commit(
    ground: &mut Ground<'_>,
    time: Duration,
) -> anyhow::Result<Instant> {
    const EVERY: u32 = 3;
    let names: Vec<_> = ground
        .cluster
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .collect();
    let set = |ground: &Ground<'_>, every| {
        let ways = names
            .iter()
            .flat_map(|name| ground.cluster.ways(name, "postgres"));
        ways.inspect(|way| way.swallow(Reply::postgres_commit(), every))
            .map(|way| way.swallowed())
            .sum::<u32>()
    };
    let before = set(ground, EVERY);
    ground.pass(time).await;
    let cut = set(ground, 0) - before;
    ground.notes.push(format!("{cut} answers cut"));
    if cut == 0 {
        ground
            .wrong
            .push("no answer was cut: nothing was proved".to_owned());
    }
    Ok(Instant::now())
}
