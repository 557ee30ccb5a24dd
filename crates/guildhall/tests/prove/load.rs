//! The load under which halls are broken: callers who post, edit, delete and read, a clerk who makes spaces and channels, readers who
//! follow, and the verdict on all of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::try_join_all;
use tokio::task::JoinHandle;

use crate::{
    caller::Caller,
    clerk::Clerk,
    doors::Doors,
    judge,
    people::Person,
    reader::Reader,
    record::{Record, Seen},
};

/// People who know a hall: they are registered once, and every load is theirs.
pub(crate) struct Crowd {
    /// Owns every channel, and makes no load.
    pub(crate) owner: Person,
    /// Whose load it is.
    pub(crate) people: Vec<Person>,
    readers: usize,
}

/// When what a caller sent and nobody answered has happened, if it has at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Before the caller's next answer: there is one process, and it was killed.
    Decided,
    /// Any time: another process may be frozen with it in its hands.
    Open,
}

/// What a load showed.
pub(crate) struct Verdict {
    /// Everything that is wrong; empty: nothing was lost.
    pub(crate) wrong: Vec<String>,
    /// How many answers said that something was done.
    pub(crate) acknowledged: usize,
    /// The last change of the channel.
    pub(crate) rev: u64,
}

impl Crowd {
    /// Registers `callers` people; the first `readers` of them read too.
    pub(crate) async fn register(
        doors: &Doors,
        callers: usize,
        readers: usize,
    ) -> anyhow::Result<Self> {
        let owner = Person::register(doors, "owner").await?;
        let people = (0..callers).map(|n| async move {
            let person = Person::register(doors, &format!("caller{n}")).await?;
            anyhow::Ok(person.at(n))
        });
        let people = try_join_all(people).await?;
        Ok(Self {
            owner,
            people,
            readers,
        })
    }

    /// Begins a load on a channel of its own, whose callers rest for `pause` between two calls. `part` seeds it.
    pub(crate) async fn load(
        &self,
        name: &str,
        unanswered: Unanswered,
        pause: Duration,
        part: u64,
    ) -> anyhow::Result<Load> {
        let channel = self.owner.channel_for(name, &self.people).await?;
        let readers = self.people.iter().take(self.readers).enumerate();
        let readers = readers
            .map(|(n, person)| Reader::follow(person.at(n), channel.clone()))
            .collect();
        let (ending, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let callers = (part..)
            .zip(&self.people)
            .map(|(part, person)| {
                let person = person.clone();
                let (channel, done) = (channel.clone(), acknowledged.clone());
                let caller = Caller::new(person, channel, unanswered, pause, part, done);
                tokio::spawn(caller.work(ending.clone()))
            })
            .collect();
        let clerk = Clerk::of(self.owner.at(0), name, &channel, part + 50).await?;
        Ok(Load {
            clerk: tokio::spawn(clerk.work(ending.clone())),
            owner: self.owner.clone(),
            channel,
            callers,
            readers,
            ending,
            acknowledged,
        })
    }
}

/// A running load.
pub(crate) struct Load {
    owner: Person,
    channel: String,
    clerk: JoinHandle<anyhow::Result<Vec<String>>>,
    callers: Vec<JoinHandle<anyhow::Result<Record>>>,
    readers: Vec<Reader>,
    ending: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Load {
    /// The channel that it is on.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// How many answers said that something was done, so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Whether every reader has come as far as `rev`.
    pub(crate) fn have_seen(&self, rev: u64) -> bool {
        self.readers.iter().all(|reader| reader.seen() >= rev)
    }

    /// Lets the callers finish and holds what they and the readers know against what is stored.
    pub(crate) async fn end(self) -> anyhow::Result<Verdict> {
        self.ending.store(true, Ordering::SeqCst);
        let mut records = Vec::new();
        for caller in self.callers {
            records.push(caller.await??);
        }
        let mut wrong = self.clerk.await??;
        let (stored, seq, rev) = judge::stored(&self.owner, &self.channel).await?;
        wrong.extend(judge::compare(&stored, seq, rev, &records));
        for (n, reader) in self.readers.into_iter().enumerate() {
            wrong.extend(reader_wrong(n, reader, &stored, rev).await);
        }
        Ok(Verdict {
            wrong,
            acknowledged: self.acknowledged.load(Ordering::SeqCst),
            rev,
        })
    }
}

async fn reader_wrong(n: usize, reader: Reader, stored: &[Seen], rev: u64) -> Vec<String> {
    let view = reader.finish(rev).await;
    let mut wrong: Vec<_> = view
        .wrong
        .iter()
        .map(|wrong| format!("reader {n}: {wrong}"))
        .collect();
    if view.messages.into_values().collect::<Vec<_>>() != stored {
        wrong.push(format!(
            "reader {n} ended at rev {} in another state than the store at {rev}",
            view.seen
        ));
    }
    wrong
}
