//! Nodes of Cassandra that are killed or frozen.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::campaign::Ground;

/// How a node goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    /// Its connections stand, and nothing is answered.
    Frozen,
    /// It is gone.
    Killed,
}

/// Some nodes are away for a while. Where a quorum is left no retry-safe call may fail; where none is, whoever needs it says so.
pub(super) async fn away(
    ground: &mut Ground<'_>,
    nodes: &[&str],
    how: Away,
    time: Duration,
    has_quorum: bool,
) -> anyhow::Result<Instant> {
    let broke = Instant::now();
    for node in nodes {
        match how {
            Away::Frozen => ground.cluster.servers.signal(node, Signal::STOP)?,
            Away::Killed => ground.cluster.servers.kill(node, Signal::KILL).await?,
        }
    }
    ground.pass(time).await;
    if has_quorum {
        ground.none_failed();
    } else {
        let chats = ground.cluster.with_role("chat");
        ground.not_ready(&chats, broke);
    }
    for node in nodes {
        if how == Away::Frozen {
            ground.cluster.servers.signal(node, Signal::CONT)?;
        }
    }
    ground.cluster.servers.up().await?;
    Ok(Instant::now())
}
