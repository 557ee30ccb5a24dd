//! Nothing acknowledged is ever lost: callers post, edit and delete while the server is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::try_join_all;
use rand::{Rng as _, rngs::StdRng};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    judge,
    people::{Outcome, Person},
    reader::Reader,
    record::{Record, Seen},
    seed,
    server::Server,
};

const CALLERS: usize = 16;
const READERS: usize = 4;
const KILLS: usize = 20;

/// What a run showed.
pub(crate) struct Verdict {
    /// Everything that is wrong; empty: nothing was lost.
    pub(crate) wrong: Vec<String>,
    /// How many answers said that something was done.
    pub(crate) acknowledged: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() -> anyhow::Result<()> {
    let verdict = run(Server::new()?, KILLS * seed::times()).await?;

    println!(
        "{} acknowledged over {} kills",
        verdict.acknowledged,
        KILLS * seed::times()
    );
    assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    assert!(
        verdict.acknowledged > 100,
        "only {} calls went through",
        verdict.acknowledged
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_server_that_answers_before_the_commit_is_found_out() -> anyhow::Result<()> {
    found_out("answers-early").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_server_that_forgets_keys_is_found_out() -> anyhow::Result<()> {
    found_out("forgets-keys").await
}

/// Runs the proof on a server without one of its guards, until it goes red.
async fn found_out(fault: &'static str) -> anyhow::Result<()> {
    for _ in 0..5 {
        let verdict = run(Server::without(fault)?, KILLS).await?;
        if let Some(wrong) = verdict.wrong.first() {
            println!(
                "{fault}: {} things wrong, the first: {wrong}",
                verdict.wrong.len()
            );
            return Ok(());
        }
    }
    panic!("{fault} was not found out over {} kills", 5 * KILLS);
}

/// Kills a server `kills` times under load and judges what it kept.
pub(crate) async fn run(mut server: Server, kills: usize) -> anyhow::Result<Verdict> {
    server.start().await?;
    let address = server.address();
    let owner = Person::register(&address, "owner").await?;
    let people = try_join_all((0..CALLERS).map(|n| {
        let address = address.clone();
        async move { Person::register(&address, &format!("caller{n}")).await }
    }))
    .await?;
    let channel = owner.channel_with(&people).await?;
    let readers: Vec<_> = (0..READERS)
        .map(|n| Reader::follow(people[n].clone(), channel.clone()))
        .collect();

    let (ending, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let callers: Vec<_> = (0..)
        .zip(&people)
        .map(|(n, person)| {
            let caller = Caller {
                person: person.clone(),
                channel: channel.clone(),
                random: seed::random(n),
                record: Record::default(),
                acknowledged: acknowledged.clone(),
            };
            tokio::spawn(caller.work(ending.clone()))
        })
        .collect();

    let mut random = seed::random(1_000);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..500))).await;
        server.kill().await?;
        server.start().await?;
    }
    ending.store(true, Ordering::SeqCst);
    let mut records = Vec::new();
    for caller in callers {
        records.push(caller.await??);
    }

    let (stored, seq, rev) = judge::stored(&owner, &channel).await?;
    let mut wrong = judge::compare(&stored, seq, rev, &records);
    for (n, reader) in readers.into_iter().enumerate() {
        let view = reader.finish(rev).await;
        wrong.extend(
            view.wrong
                .iter()
                .map(|wrong| format!("reader {n}: {wrong}")),
        );
        if view.messages.into_values().collect::<Vec<_>>() != stored {
            wrong.push(format!(
                "reader {n} ended at rev {} in another state than the store at {rev}",
                view.seen
            ));
        }
    }
    server.stop().await?;
    wrong.extend(judge::files(server.data(), rev)?);
    Ok(Verdict {
        wrong,
        acknowledged: acknowledged.load(Ordering::SeqCst),
    })
}

/// Somebody who posts, edits and deletes, and writes down every answer.
struct Caller {
    person: Person,
    channel: String,
    random: StdRng,
    record: Record,
    acknowledged: Arc<AtomicUsize>,
}

impl Caller {
    async fn work(mut self, ending: Arc<AtomicBool>) -> anyhow::Result<Record> {
        for n in 0_u32.. {
            if ending.load(Ordering::SeqCst) {
                break;
            }
            match self.random.random_range(0..10) {
                0..6 => self.post(n).await?,
                6..9 => self.edit(n).await?,
                _ => self.delete().await?,
            }
        }
        Ok(self.record)
    }

    /// Posts until it is answered; sometimes once more, as a client does whose answer was lost.
    async fn post(&mut self, n: u32) -> anyhow::Result<()> {
        let key = format!("post {n}");
        let body = json!({"text": format!("{n} of {}", self.person.id), "key": key});
        let path = format!("/channels/{}/messages", self.channel);
        let times = if self.random.random_bool(0.2) { 2 } else { 1 };
        for _ in 0..times {
            let Some(message) = self.done(Method::POST, &path, Some(&body)).await? else {
                continue;
            };
            self.record
                .posted
                .entry(key.clone())
                .or_default()
                .push(message);
        }
        Ok(())
    }

    async fn edit(&mut self, n: u32) -> anyhow::Result<()> {
        let Some(id) = self.own_message() else {
            return Ok(());
        };
        let text = format!("edit {n} of {}", self.person.id);
        let path = format!("/channels/{}/messages/{id}", self.channel);
        match self
            .person
            .call(Method::PATCH, &path, Some(&json!({"text": text})))
            .await
        {
            Outcome::Done(body) => {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                if let Some(message) = Seen::of(&body["message"]) {
                    // What was unknown before this answer is decided by it.
                    self.record.maybe_text.remove(&id);
                    self.record.changed.entry(id).or_default().push(message);
                }
            }
            Outcome::Unknown => self.record.maybe_text.entry(id).or_default().push(text),
            Outcome::Refused(..) => {}
        }
        Ok(())
    }

    async fn delete(&mut self) -> anyhow::Result<()> {
        let Some(id) = self.own_message() else {
            return Ok(());
        };
        let path = format!("/channels/{}/messages/{id}", self.channel);
        match self.person.call(Method::DELETE, &path, None).await {
            Outcome::Done(_) => {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                self.record.deleted.push(id);
            }
            Outcome::Unknown => self.record.maybe_deleted.push(id),
            Outcome::Refused(..) => {}
        }
        Ok(())
    }

    /// A message of mine that I did not delete.
    fn own_message(&mut self) -> Option<String> {
        let posted: Vec<&Seen> = self
            .record
            .posted
            .values()
            .filter_map(|answers| answers.first())
            .collect();
        if posted.is_empty() {
            return None;
        }
        let id = posted[self.random.random_range(0..posted.len())].id.clone();
        (!self.record.deleted.contains(&id)).then_some(id)
    }

    async fn done(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Option<Seen>> {
        match self.person.until_known(method, path, body).await? {
            Outcome::Done(body) => {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                Ok(Seen::of(&body["message"]))
            }
            Outcome::Refused(StatusCode::CONFLICT, _) => Ok(None),
            other => anyhow::bail!("{path}: {other:?}"),
        }
    }
}
