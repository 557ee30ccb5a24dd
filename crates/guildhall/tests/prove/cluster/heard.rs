//! A service hears what another has committed, though the bus forgot it before anybody came to fetch it.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use rustix::process::Signal;
use serde_json::json;

use super::campaign::Ground;
use crate::subscriber::{furnish, leave, unheard};

const CHANNELS: usize = 4;

/// People come into a space while the bus is silent; then it is killed and forgets everything. Chat has to hear that they came.
pub(super) async fn after_all(ground: &mut Ground<'_>, name: &str) -> anyhow::Result<Instant> {
    let (owner, people) = (&ground.crowd.owner, &ground.crowd.people);
    let (space, channels) = furnish(owner, people, name, CHANNELS).await?;
    let members = format!("/spaces/{space}/members");
    try_join_all(people.iter().map(|person| leave(owner, &members, person))).await?;
    for channel in &channels {
        let missed = json!({"text": "while they were away", "key": "away"});
        owner
            .create(&format!("/channels/{channel}/messages"), &missed)
            .await?;
    }

    ground.cluster.servers.signal("nats", Signal::STOP)?;
    for person in people {
        let body = json!({"userId": person.id, "role": "SPACE_ROLE_MEMBER"});
        owner.create(&members, &body).await?;
    }
    // Long enough for whoever was connected to give up what it was sending.
    ground.pass(Duration::from_secs(6)).await;
    ground.cluster.servers.kill("nats", Signal::KILL).await?;
    ground.cluster.servers.wipe_nats()?;
    ground.cluster.servers.up().await?;
    let healed = Instant::now();

    let came: Vec<_> = people.iter().collect();
    let unheard = unheard(owner, &channels, 1, &came).await?;
    let told = unheard
        .into_iter()
        .map(|id| format!("lost: {id} came in, and chat never heard"));
    ground.wrong.extend(told);
    ground.notes.push(format!(
        "all heard after {:.1} s",
        healed.elapsed().as_secs_f32()
    ));
    Ok(healed)
}
