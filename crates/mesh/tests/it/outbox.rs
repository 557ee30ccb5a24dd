use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use guildhall_kernel::{EventId, Time};
use guildhall_mesh::{
    Bus, Heard, LocalBus, Note, Tasks,
    outbox::{Follower, Journal, JournalError, follow, relay},
};
use tokio::sync::watch;

/// An outbox in memory that outlives its readers, as a file outlives a process.
struct Rows {
    notes: Mutex<Vec<Note>>,
    cursors: Mutex<std::collections::HashMap<String, u64>>,
    grown: watch::Sender<u64>,
}

impl Rows {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            notes: Mutex::default(),
            cursors: Mutex::default(),
            grown: watch::Sender::new(0),
        })
    }

    fn commit(&self, n: u8) {
        let mut rows = self.notes.lock().expect("whole");
        rows.push(Note {
            id: EventId::from_bytes([n; 16]),
            subject: "test.v1.scope.Happened".into(),
            payload: vec![n].into(),
            at: Time::from_micros(0),
        });
        self.grown.send_replace(rows.len() as u64);
    }
}

#[async_trait]
impl Journal for Rows {
    fn name(&self) -> &'static str {
        "test"
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, Note)>, JournalError> {
        let rows = self.notes.lock().expect("whole");
        let numbered = (1_u64..).zip(rows.iter().cloned());
        Ok(numbered.filter(|(n, _)| *n > after).take(limit).collect())
    }

    async fn cursor(&self, reader: &str) -> Result<u64, JournalError> {
        Ok(self
            .cursors
            .lock()
            .expect("whole")
            .get(reader)
            .copied()
            .unwrap_or(0))
    }

    async fn advance(&self, reader: &str, to: u64) -> Result<(), JournalError> {
        self.cursors
            .lock()
            .expect("whole")
            .insert(reader.to_owned(), to);
        Ok(())
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}

/// Fails at its third event, once; keeps what it took.
#[derive(Clone, Default)]
struct Stumbler {
    taken: Arc<Mutex<Vec<u8>>>,
    stumbled: Arc<Mutex<bool>>,
    done: Arc<tokio::sync::Notify>,
}

#[async_trait]
impl Follower for Stumbler {
    async fn take(&self, note: Note) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut stumbled = self.stumbled.lock().expect("whole");
        if note.payload[0] == 3 && !*stumbled {
            *stumbled = true;
            return Err("stumbled".into());
        }
        self.taken.lock().expect("whole").push(note.payload[0]);
        if note.payload[0] == 5 {
            self.done.notify_one();
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_was_committed_before_a_crash_is_told_after_the_next_start() {
    let (rows, bus) = (Rows::new(), LocalBus::new());
    rows.commit(1);
    rows.commit(2);
    let mut listener = bus.listen("test.v1.*.Happened", 16).await.expect("listens");

    let tasks = Tasks::new();
    relay(&tasks, rows.clone(), Arc::new(bus));
    rows.commit(3);

    for n in 1..=3 {
        match listener.next().await.expect("hears") {
            Heard::Note(note) => assert_eq!(note.payload[0], n),
            Heard::Lagged => panic!("room for all"),
        }
    }
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_fails_takes_the_event_again_and_misses_none() {
    let rows = Rows::new();
    for n in 1..=5 {
        rows.commit(n);
    }
    let tasks = Tasks::new();
    let follower = Stumbler::default();

    follow(&tasks, rows.clone(), "stumbler", follower.clone());
    follower.done.notified().await;
    tasks.stop(Duration::from_secs(5)).await;

    assert_eq!(*follower.taken.lock().expect("whole"), [1, 2, 3, 4, 5]);
    assert_eq!(rows.cursor("stumbler").await.expect("there"), 5);
}

#[tokio::test]
async fn a_follower_goes_on_where_it_was_when_the_process_ended() {
    let rows = Rows::new();
    for n in 1..=4 {
        rows.commit(n);
    }
    rows.advance("stumbler", 3).await.expect("moves");
    rows.commit(5);
    let tasks = Tasks::new();
    let follower = Stumbler::default();

    follow(&tasks, rows.clone(), "stumbler", follower.clone());
    follower.done.notified().await;
    tasks.stop(Duration::from_secs(5)).await;

    assert_eq!(*follower.taken.lock().expect("whole"), [4, 5]);
}
