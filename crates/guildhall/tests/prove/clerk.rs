//! Somebody who makes spaces and channels under keys: what two services keep in rows, as callers make what is kept in timelines.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use rand::{Rng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::{people::Person, seed};

/// Between two rooms, so that lists stay short.
const REST: Duration = Duration::from_millis(100);

/// Makes rooms until the load ends.
pub(crate) struct Clerk {
    person: Person,
    /// Begins the name of everything that this one makes.
    name: String,
    space: String,
    random: StdRng,
    kept: Kept,
}

/// What a clerk was told: by name, every id that an answer held.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    spaces: BTreeMap<String, BTreeSet<String>>,
    channels: BTreeMap<String, BTreeSet<String>>,
}

impl Clerk {
    /// Works in the space of that channel.
    pub(crate) async fn of(
        person: Person,
        name: &str,
        channel: &str,
        part: u64,
    ) -> anyhow::Result<Self> {
        let shown = person.get(&format!("/channels/{channel}")).await?;
        let space = shown.pointer("/channel/spaceId").and_then(Value::as_str);
        Ok(Self {
            space: space.context("the space of the channel")?.to_owned(),
            name: name.to_owned(),
            person,
            random: seed::random(part),
            kept: Kept::default(),
        })
    }

    /// Goes on until the load ends; then says what is wrong with what is there.
    pub(crate) async fn work(mut self, ending: Arc<AtomicBool>) -> anyhow::Result<Vec<String>> {
        for n in 0_u32.. {
            if ending.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("{} {n}", self.name);
            let times = if self.random.random_bool(0.3) { 2 } else { 1 };
            for _ in 0..times {
                if n.is_multiple_of(2) {
                    self.make_space(&name).await?;
                } else {
                    self.make_channel(&name).await?;
                }
            }
            tokio::time::sleep(REST).await;
        }
        self.judge().await
    }

    async fn make_space(&mut self, name: &str) -> anyhow::Result<()> {
        let new = json!({"kind": "SPACE_KIND_TEAM", "name": name, "memberIds": [], "key": name});
        let answer = self.person.create("/spaces", &new).await?;
        let id = id_of(&answer["space"])?;
        self.kept
            .spaces
            .entry(name.to_owned())
            .or_default()
            .insert(id);
        Ok(())
    }

    async fn make_channel(&mut self, name: &str) -> anyhow::Result<()> {
        let path = format!("/spaces/{}/channels", self.space);
        let answer = self
            .person
            .create(&path, &json!({"name": name, "key": name}))
            .await?;
        let id = id_of(&answer["channel"])?;
        self.kept
            .channels
            .entry(name.to_owned())
            .or_default()
            .insert(id);
        Ok(())
    }

    async fn judge(&self) -> anyhow::Result<Vec<String>> {
        let spaces = self.listed("/spaces", "spaces").await?;
        let channels = self
            .listed(&format!("/spaces/{}/channels", self.space), "channels")
            .await?;
        let mut wrong = compare("space", &self.kept.spaces, &spaces);
        wrong.extend(compare("channel", &self.kept.channels, &channels));
        Ok(wrong)
    }

    /// The names of what there is of ours, with their ids.
    async fn listed(
        &self,
        path: &str,
        what: &str,
    ) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        let (mut found, mut token) = (BTreeMap::<_, Vec<_>>::new(), String::new());
        loop {
            let page = self
                .person
                .get(&format!("{path}?pageSize=100&pageToken={token}"))
                .await?;
            for one in page[what].as_array().into_iter().flatten() {
                let name = one["name"].as_str().unwrap_or_default();
                if name.starts_with(&format!("{} ", self.name)) {
                    found.entry(name.to_owned()).or_default().push(id_of(one)?);
                }
            }
            match page["nextPageToken"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut token),
                _ => return Ok(found),
            }
        }
    }
}

fn compare(
    what: &str,
    told: &BTreeMap<String, BTreeSet<String>>,
    there: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, ids) in told {
        if ids.len() > 1 {
            wrong.push(format!("{what} {name} was answered with {} ids", ids.len()));
        }
        let found = there.get(name).map(Vec::as_slice).unwrap_or_default();
        if !ids.iter().all(|id| found.contains(id)) {
            wrong.push(format!("lost: the acknowledged {what} {name}"));
        }
    }
    let doubled = there.iter().filter(|(_, found)| found.len() > 1);
    wrong.extend(
        doubled.map(|(name, found)| format!("{what} {name} is there {} times", found.len())),
    );
    wrong
}

fn id_of(shown: &Value) -> anyhow::Result<String> {
    let id = shown["id"].as_str().map(str::to_owned);
    id.with_context(|| format!("an id in {shown}"))
}
