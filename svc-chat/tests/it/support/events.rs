//! Auth's outbox in memory. It outlives chat, as auth's database does.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use guildhall_kernel::{EventId, Ids as _, SpaceId};
use guildhall_mesh::{
    Note,
    outbox::{Journal, JournalError},
};
use guildhall_proto::auth::v1::{AccessChange, AccessChanged};
use guildhall_testkit::World;
use prost_types::Timestamp;
use tokio::sync::watch;

pub(crate) struct AuthEvents {
    notes: Mutex<Vec<Note>>,
    cursors: watch::Sender<HashMap<String, u64>>,
    grown: watch::Sender<u64>,
    held: AtomicBool,
}

impl AuthEvents {
    pub(crate) fn new() -> Self {
        Self {
            notes: Mutex::default(),
            cursors: watch::Sender::new(HashMap::new()),
            grown: watch::Sender::new(0),
            held: AtomicBool::new(false),
        }
    }

    /// Puts a change of rights into the outbox, as of the clock's present.
    pub(crate) fn tell(&self, world: &World, space: SpaceId, mut change: AccessChange) {
        let now = world.clock().now();
        change.at = Some(Timestamp {
            seconds: now.seconds(),
            nanos: now.nanos(),
        });
        let event = AccessChanged {
            change: Some(change),
        };
        let note = Note::of(EventId::of(world.ids.uuid()), now, space, &event);
        self.put(note);
    }

    pub(crate) fn put(&self, note: Note) {
        let mut notes = self.notes.lock().expect("whole");
        notes.push(note);
        self.grown
            .send_replace(u64::try_from(notes.len()).expect("few"));
    }

    /// Tells nobody anything, or everything again.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
        self.grown.send_modify(|_| {});
    }

    /// Everything is told again to whoever starts next.
    pub(crate) fn rewind(&self) {
        self.cursors.send_modify(HashMap::clear);
    }

    /// Waits until a reader has come to the end.
    pub(crate) async fn followed_by(&self, reader: &str) {
        let end = *self.grown.borrow();
        let mut cursors = self.cursors.subscribe();
        let there = cursors.wait_for(|all| all.get(reader).copied().unwrap_or(0) >= end);
        let waited = tokio::time::timeout(Duration::from_secs(5), there).await;
        waited
            .expect("the reader comes to the end")
            .expect("the outbox is there");
    }
}

#[async_trait]
impl Journal for AuthEvents {
    fn name(&self) -> &'static str {
        "auth"
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, Note)>, JournalError> {
        if self.held.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let notes = self.notes.lock().expect("whole");
        let numbered = (1..).zip(notes.iter().cloned());
        Ok(numbered.filter(|(n, _)| *n > after).take(limit).collect())
    }

    async fn cursor(&self, reader: &str) -> Result<u64, JournalError> {
        Ok(self.cursors.borrow().get(reader).copied().unwrap_or(0))
    }

    async fn advance(&self, reader: &str, to: u64) -> Result<(), JournalError> {
        self.cursors.send_modify(|all| {
            all.insert(reader.to_owned(), to);
        });
        Ok(())
    }

    async fn readers(&self) -> Result<Vec<(String, u64)>, JournalError> {
        let all = self.cursors.borrow().clone();
        Ok(all.into_iter().collect())
    }

    async fn leave(&self, reader: &str) -> Result<(), JournalError> {
        self.cursors.send_modify(|all| {
            all.remove(reader);
        });
        Ok(())
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}
