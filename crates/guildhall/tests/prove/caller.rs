//! Somebody who posts, edits, deletes and reads, and writes down every answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    load::Unanswered,
    people::{Outcome, Person},
    record::{Record, Seen},
    seed,
};

/// One caller of a load.
pub(crate) struct Caller {
    person: Person,
    channel: String,
    unanswered: Unanswered,
    /// How long it rests between two calls, on average.
    pause: Duration,
    random: StdRng,
    record: Record,
    acknowledged: Arc<AtomicUsize>,
    /// The last own message that was acknowledged: whoever was told so reads it from then on.
    posted: u64,
}

impl Caller {
    /// Somebody who has done nothing yet.
    pub(crate) fn new(
        person: Person,
        channel: String,
        unanswered: Unanswered,
        pause: Duration,
        part: u64,
        acknowledged: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            person,
            channel,
            unanswered,
            pause,
            random: seed::random(part),
            record: Record::default(),
            acknowledged,
            posted: 0,
        }
    }

    /// Goes on until the load ends.
    pub(crate) async fn work(mut self, ending: Arc<AtomicBool>) -> anyhow::Result<Record> {
        for n in 0_u32.. {
            if ending.load(Ordering::SeqCst) {
                break;
            }
            match self.random.random_range(0..12) {
                0..6 => self.post(n).await?,
                6..9 => self.edit(n).await,
                9..11 => self.read().await?,
                _ => self.delete().await,
            }
            let pause = self.random.random_range(0..=2 * self.pause.as_millis());
            tokio::time::sleep(Duration::from_millis(u64::try_from(pause)?)).await;
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
            self.posted = self.posted.max(message.seq);
            let answers = self.record.posted.entry(key.clone()).or_default();
            answers.push(message);
        }
        Ok(())
    }

    /// Reads the newest page, which holds what this caller posted or something newer.
    async fn read(&mut self) -> anyhow::Result<()> {
        let path = format!("/channels/{}/messages?limit=10", self.channel);
        let page = self.person.get(&path).await?;
        let seq = page
            .pointer("/head/seq")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        if seq < self.posted {
            let told = format!(
                "the own post {} is not there: the head says {seq}",
                self.posted
            );
            self.record.wrong.push(told);
        }
        Ok(())
    }

    async fn edit(&mut self, n: u32) {
        let Some(id) = self.own_message() else {
            return;
        };
        let text = format!("edit {n} of {}", self.person.id);
        let path = format!("/channels/{}/messages/{id}", self.channel);
        let body = json!({"text": text});
        match self.person.call(Method::PATCH, &path, Some(&body)).await {
            Outcome::Done(body) => {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                if let Some(message) = Seen::of(&body["message"]) {
                    if self.unanswered == Unanswered::Decided {
                        // What was unknown before this answer is decided by it.
                        self.record.maybe_text.remove(&id);
                    }
                    self.record.changed.entry(id).or_default().push(message);
                }
            }
            Outcome::Unknown(_) => {
                self.record.maybe_text.entry(id).or_default().push(text);
                self.person.move_on();
            }
            Outcome::Refused(..) => {}
        }
    }

    async fn delete(&mut self) {
        let Some(id) = self.own_message() else {
            return;
        };
        let path = format!("/channels/{}/messages/{id}", self.channel);
        match self.person.call(Method::DELETE, &path, None).await {
            Outcome::Done(_) => {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                self.record.deleted.push(id);
            }
            Outcome::Unknown(_) => {
                self.record.maybe_deleted.push(id);
                self.person.move_on();
            }
            Outcome::Refused(..) => {}
        }
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
