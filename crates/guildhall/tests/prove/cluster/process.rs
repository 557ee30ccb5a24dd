//! Processes of the hall that are killed, frozen, and told to stop.

use std::time::{Duration, Instant};

use rand::{Rng as _, seq::IndexedRandom as _};

use super::campaign::Ground;

/// Kills processes at random instants, as many times, and starts each again.
pub(super) async fn killed(ground: &mut Ground<'_>, times: usize) -> anyhow::Result<Instant> {
    let names: Vec<_> = ground
        .cluster
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .collect();
    let mut slowest = Duration::ZERO;
    for n in 0..times {
        // Each once before any twice.
        let name = match names.get(n) {
            Some(name) => name,
            None => names
                .choose(&mut ground.random)
                .expect("a hall has processes"),
        };
        let before = ground.random.random_range(50..500);
        ground.pass(Duration::from_millis(before)).await;
        let away = Duration::from_millis(ground.random.random_range(0..300));
        let node = ground.cluster.node(name)?;
        node.kill().await?;
        tokio::time::sleep(away).await;
        node.launch()?;
        slowest = slowest.max(node.ready().await?);
    }
    ground.notes.push(format!(
        "{times} kills, ready again after at most {:.1} s",
        slowest.as_secs_f32()
    ));
    Ok(Instant::now())
}

/// Freezes one process for a while.
pub(super) async fn frozen(
    ground: &mut Ground<'_>,
    name: &str,
    time: Duration,
) -> anyhow::Result<Instant> {
    ground.cluster.node(name)?.freeze()?;
    ground.pass(time).await;
    ground.cluster.node(name)?.thaw()?;
    Ok(Instant::now())
}

/// Tells one process after the other to stop, and starts it again: no retry-safe call may fail by it.
pub(super) async fn rolled(ground: &mut Ground<'_>) -> anyhow::Result<Instant> {
    let names: Vec<_> = ground
        .cluster
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .collect();
    let mut slowest = Duration::ZERO;
    for name in &names {
        let node = ground.cluster.node(name)?;
        slowest = slowest.max(node.stop().await?);
        node.launch()?;
        node.ready().await?;
        ground.pass(Duration::from_millis(500)).await;
    }
    ground
        .notes
        .push(format!("stopped within {:.1} s", slowest.as_secs_f32()));
    ground.none_failed();
    Ok(Instant::now())
}
