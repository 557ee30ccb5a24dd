//! Ways between processes and servers on which nothing passes, in one direction or both, while each end is well.

use std::time::{Duration, Instant};

use guildhall_testkit::chaos::{Way, Weather};

use super::campaign::Ground;

/// Nothing passes that way between one process and all that `to` names: "postgres", "nats", or a role.
///
/// `is_needed`: without it the process cannot do its work, and has to say so.
pub(super) async fn silent(
    ground: &mut Ground<'_>,
    from: &str,
    to: &str,
    way: Way,
    time: Duration,
    is_needed: bool,
) -> anyhow::Result<Instant> {
    let broke = Instant::now();
    set(ground, from, to, Weather::Silent(way))?;
    ground.pass(time).await;
    set(ground, from, to, Weather::Clear)?;
    if is_needed {
        ground.not_ready(&[from.to_owned()], broke);
    }
    Ok(Instant::now())
}

fn set(ground: &Ground<'_>, from: &str, to: &str, weather: Weather) -> anyhow::Result<()> {
    let mut meant = ground.cluster.with_role(to);
    if matches!(to, "postgres" | "nats") {
        meant = vec![to.to_owned()];
    }
    let ways: Vec<_> = meant
        .iter()
        .flat_map(|to| ground.cluster.ways(from, to))
        .collect();
    anyhow::ensure!(!ways.is_empty(), "{from} has no way to {to}");
    for way in ways {
        way.set(weather);
    }
    Ok(())
}
