//! The bus is away, silent, or has forgotten everything: nothing that was acknowledged may need it.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::campaign::Ground;

/// nats-server is killed, and comes back on its files.
pub(super) async fn killed(ground: &mut Ground<'_>, time: Duration) -> anyhow::Result<Instant> {
    ground.cluster.servers.kill("nats", Signal::KILL).await?;
    ground.pass(time).await;
    ground.none_failed();
    ground.cluster.servers.up().await?;
    Ok(Instant::now())
}

/// nats-server answers nothing for a while.
pub(super) async fn frozen(ground: &mut Ground<'_>, time: Duration) -> anyhow::Result<Instant> {
    ground.cluster.servers.signal("nats", Signal::STOP)?;
    ground.pass(time).await;
    ground.cluster.servers.signal("nats", Signal::CONT)?;
    ground.none_failed();
    Ok(Instant::now())
}
