//! A service hears what another has committed, though the bus forgot it before anybody came to fetch it.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use rustix::process::Signal;
use serde_json::json;

use super::campaign::Ground;
use crate::subscriber::{furnish, leave, unheard};

const CHANNELS: usize = 4;
/// How long it may take until everything is told and heard.
const DRAINED: Duration = Duration::from_secs(30);
/// How long to look on, to tell late from lost.
const PATIENCE: Duration = Duration::from_secs(45);

/// People come into a space while chat does not listen; then the bus is killed and forgets everything. Chat has to hear that they came.
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

    // Where chat is a process of its own, it is away while the bus is told; else nobody tells the bus until it is gone.
    let chats = ground.cluster.with_role("chat");
    let are_apart = ground.cluster.with_role("auth") != chats;
    if are_apart {
        for chat in &chats {
            ground.cluster.node(chat)?.freeze()?;
        }
    } else {
        ground.cluster.servers.signal("nats", Signal::STOP)?;
    }
    for person in people {
        let body = json!({"userId": person.id, "role": "SPACE_ROLE_MEMBER"});
        owner.create(&members, &body).await?;
    }
    // Long enough to tell the bus, or to give it up.
    ground.pass(Duration::from_secs(5)).await;
    ground.cluster.servers.kill("nats", Signal::KILL).await?;
    ground.cluster.servers.wipe_nats()?;
    ground.cluster.servers.up().await?;
    for chat in chats.iter().filter(|_| are_apart) {
        ground.cluster.node(chat)?.thaw()?;
    }
    let healed = Instant::now();

    let came: Vec<_> = people.iter().collect();
    let unheard = unheard(owner, &channels, 1, &came, PATIENCE).await?;
    let told = unheard
        .into_iter()
        .map(|id| format!("lost: {id} came in, and chat never heard"));
    ground.wrong.extend(told);
    let after = healed.elapsed();
    ground
        .notes
        .push(format!("all heard after {:.1} s", after.as_secs_f32()));
    if after > DRAINED {
        ground.late(format!("heard only after {:.1} s", after.as_secs_f32()));
    }
    // How soon it is steady counts from here: the load went on, and nobody looked.
    Ok(Instant::now())
}
