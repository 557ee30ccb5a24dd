//! Ways between processes and servers on which nothing passes, in one direction or both, while each end is well.

use std::time::{Duration, Instant};

use guildhall_testkit::chaos::{Proxy, Way, Weather};

use super::{campaign::Ground, packets::Lost};

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
    let ways = ways(ground, from, to)?;
    let addresses: Vec<_> = ways.iter().map(|way| way.address()).collect();
    let lost = Lost::at(&addresses, way)?;
    let set = |weather| ways.iter().for_each(|way| way.set(weather));
    if lost.is_none() {
        set(Weather::Silent(way));
    }
    ground.pass(time).await;
    set(Weather::Clear);
    let how = lost.map_or("through proxies", |_| "packets lost");
    ground.notes.push(how.to_owned());
    if is_needed {
        ground.not_ready(&[from.to_owned()], broke);
    }
    Ok(Instant::now())
}

fn ways<'g>(ground: &'g Ground<'_>, from: &str, to: &str) -> anyhow::Result<Vec<&'g Proxy>> {
    let meant = match to {
        "postgres" | "nats" => vec![to.to_owned()],
        role => ground.cluster.with_role(role),
    };
    let ways: Vec<_> = meant
        .iter()
        .flat_map(|to| ground.cluster.ways(from, to))
        .collect();
    anyhow::ensure!(!ways.is_empty(), "{from} has no way to {to}");
    Ok(ways)
}
