//! When a hall has recovered: every process says that it is ready, a post goes through every gateway, and every reader has it.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{Cluster, watch::why};
use crate::{
    load::{Crowd, Load},
    people::Outcome,
    record::Seen,
};

/// How long a hall may take once what was broken is there again.
const STEADY: Duration = Duration::from_secs(10);
/// How long to look on after that, to tell how late it was.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a hall is steady; tells how long it took. An error tells what was missing when it should have been steady, and how long it
/// took, if it was steady at all.
pub(crate) async fn steady(
    cluster: &Cluster,
    crowd: &Crowd,
    load: &Load,
    healed: Instant,
) -> Result<Duration, String> {
    let (mut round, mut late) = (0, None);
    loop {
        round += 1;
        let missing = missing(cluster, crowd, load, round).await;
        let after = healed.elapsed();
        let Some(missing) = missing else {
            if after <= STEADY {
                return Ok(after);
            }
            let missed = late.unwrap_or_else(|| "a post or its reader took so long".to_owned());
            return Err(format!("only {:.1} s after: {missed}", after.as_secs_f32()));
        };
        if after > PATIENCE {
            return Err(format!("not {} s after: {missing}", PATIENCE.as_secs()));
        }
        if after > STEADY {
            late.get_or_insert(missing);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The first thing that is missing.
async fn missing(cluster: &Cluster, crowd: &Crowd, load: &Load, round: u32) -> Option<String> {
    for node in &cluster.nodes {
        let said = node.probe().readyz().await;
        if !said.good {
            return Some(format!("{} is not ready: {}", node.name, why(&said.text)));
        }
    }
    let mut rev = 0;
    for place in 0..cluster.doors.count() {
        let person = crowd.owner.at(place);
        let key = format!("steady {place} {round} {}", load.acknowledged());
        let body = json!({"text": "is it steady?", "key": key});
        let path = format!("/channels/{}/messages", load.channel());
        match person.call(Method::POST, &path, Some(&body)).await {
            Outcome::Done(answer) => rev = Seen::of(&answer["message"]).map_or(0, |seen| seen.rev),
            other => return Some(format!("a post at gateway {place}: {other:?}")),
        }
    }
    for _ in 0..20 {
        if load.have_seen(rev) {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Some(format!("a reader has not seen rev {rev} after 2 s"))
}
