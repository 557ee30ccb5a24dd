//! Who has to hear every event hears it, though the process is killed between the commit of a change and the telling of it.
//!
//! The subscriber is chat, which follows the changes of people in auth's outbox: whoever comes into a space has read its channels as
//! far as they go, and the lists of reads say so. The change is acknowledged when auth has committed it, and chat hears of it after that. Many channels keep chat behind
//! with it, and there the process is killed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, future::try_join_all, stream::FuturesUnordered};
use rand::Rng as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    people::{Outcome, Person},
    seed,
    server::Server,
};

const PEOPLE: usize = 16;
const CHANNELS: usize = 16;
const KILLS: usize = 5;
/// How long chat may take to catch up after a start.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a run showed.
struct Verdict {
    /// Who came in, by an answer that said so, and was not heard of.
    unheard: Vec<String>,
    /// How many came in by such an answer right before a kill.
    came: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_subscriber_hears_every_event_over_kills_between_commit_and_telling() -> anyhow::Result<()>
{
    let kills = KILLS * seed::times();

    let verdict = run(Server::new()?, kills).await?;

    println!("{} came in right before {kills} kills", verdict.came);
    assert!(verdict.unheard.is_empty(), "{:#?}", verdict.unheard);
    assert!(verdict.came > kills, "only {} came in", verdict.came);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_subscriber_that_begins_at_the_newest_event_is_found_out() -> anyhow::Result<()> {
    let verdict = run(Server::without("no-sweep")?, 5 * KILLS).await?;

    let first = verdict.unheard.first();
    println!("no-sweep: {}", first.context("no-sweep was not found out")?);
    Ok(())
}

/// Kills a server `kills` times while people come in, or until one of them was not heard of.
async fn run(mut server: Server, kills: usize) -> anyhow::Result<Verdict> {
    server.start().await?;
    let doors = server.doors();
    let owner = Person::register(&doors, "owner").await?;
    let names = (0..PEOPLE).map(|n| format!("person{n}"));
    let people = names.map(|name| {
        let doors = doors.clone();
        async move { Person::register(&doors, &name).await }
    });
    let people = try_join_all(people).await?;
    let (space, channels) = furnish(&owner, &people, "proof", CHANNELS).await?;
    let members = format!("/spaces/{space}/members");

    let mut random = seed::random(2_000);
    let mut verdict = Verdict {
        unheard: Vec::new(),
        came: 0,
    };
    for kill in 1..=kills {
        try_join_all(people.iter().map(|person| leave(&owner, &members, person))).await?;
        try_join_all(channels.iter().map(|channel| {
            let owner = &owner;
            async move {
                let missed = json!({"text": "while they were away", "key": format!("away {kill}")});
                let path = format!("/channels/{channel}/messages");
                owner.create(&path, &missed).await
            }
        }))
        .await?;

        let enough = random.random_range(1..PEOPLE);
        let came = come_in(&owner, &members, &people, enough, &mut server).await?;
        server.start().await?;
        verdict.came += came.len();
        let unheard = unheard(&owner, &channels, kill, &came, PATIENCE).await?;
        let told = |id| format!("kill {kill}: {id} came in, and chat never heard");
        verdict.unheard.extend(unheard.into_iter().map(told));
        if !verdict.unheard.is_empty() {
            break;
        }
    }
    server.stop().await?;
    Ok(verdict)
}

/// Makes a space with everybody and some channels in it; returns the ids.
pub(crate) async fn furnish(
    owner: &Person,
    people: &[Person],
    name: &str,
    count: usize,
) -> anyhow::Result<(String, Vec<String>)> {
    let text = |answer: &Value, pointer: &str| {
        let id = answer.pointer(pointer).and_then(Value::as_str);
        id.map(str::to_owned).with_context(|| pointer.to_owned())
    };
    let mut channels = vec![owner.channel_for(name, people).await?];
    let shown = owner.get(&format!("/channels/{}", channels[0])).await?;
    let space = text(&shown, "/channel/spaceId")?;
    for n in 1..count {
        let new = json!({"name": format!("log {n}"), "key": format!("channel {n}")});
        let path = format!("/spaces/{space}/channels");
        channels.push(text(&owner.create(&path, &new).await?, "/channel/id")?);
    }
    Ok((space, channels))
}

pub(crate) async fn leave(owner: &Person, members: &str, person: &Person) -> anyhow::Result<()> {
    let path = format!("{members}/{}", person.id);
    match owner.until_known(Method::DELETE, &path, None).await? {
        Outcome::Done(_) | Outcome::Refused(StatusCode::NOT_FOUND, _) => Ok(()),
        Outcome::Refused(status, problem) => bail!("DELETE {path}: {status} {problem}"),
        Outcome::Unknown(_) => bail!("DELETE {path} is not answered"),
    }
}

/// Lets all come in at once and kills the server as soon as `enough` are known to be in; returns whose answer said so.
async fn come_in<'p>(
    owner: &Person,
    members: &str,
    people: &'p [Person],
    enough: usize,
    server: &mut Server,
) -> anyhow::Result<Vec<&'p Person>> {
    let mut coming: FuturesUnordered<_> = people
        .iter()
        .map(|person| async move {
            let body = json!({"userId": person.id, "role": "SPACE_ROLE_MEMBER"});
            let outcome = owner.call(Method::POST, members, Some(&body)).await;
            matches!(outcome, Outcome::Done(_)).then_some(person)
        })
        .collect();
    let mut came = Vec::new();
    while came.len() < enough {
        match coming.next().await {
            Some(person) => came.extend(person),
            None => break,
        }
    }
    server.kill().await?;
    // What was answered before the kill and not read yet.
    while let Some(person) = coming.next().await {
        came.extend(person);
    }
    Ok(came)
}

/// Whom of those who came chat did not hear of in time: in some channel what was said before, `said` messages, does not count as read
/// by them.
pub(crate) async fn unheard(
    owner: &Person,
    channels: &[String],
    said: usize,
    came: &[&Person],
    patience: Duration,
) -> anyhow::Result<BTreeSet<String>> {
    let began = Instant::now();
    loop {
        let mut unheard = BTreeSet::new();
        for channel in channels {
            let path = format!("/channels/{channel}/reads?pageSize=100");
            let answer = owner.get(&path).await?;
            let reads = answer["reads"].as_array().context("reads")?;
            let has_read = |person: &&&Person| {
                reads
                    .iter()
                    .any(|read| read["userId"] == person.id.as_str() && read["readSeq"] == said)
            };
            let missing = came.iter().filter(|person| !has_read(person));
            unheard.extend(missing.map(|person| person.id.clone()));
        }
        if unheard.is_empty() || began.elapsed() > patience {
            return Ok(unheard);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
