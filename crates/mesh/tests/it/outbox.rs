use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use guildhall_kernel::{EventId, Time};
use guildhall_mesh::{
    Bus, Heard, LocalBus, Note, Tasks,
    bus::{BusError, Listener, Overheard},
    outbox::{Follower, Journal, JournalError, follow, relay},
};
use tokio::sync::watch;

/// An outbox in memory that outlives its readers, as a file outlives a process.
pub(crate) struct Rows {
    notes: Mutex<Vec<Note>>,
    cursors: Mutex<std::collections::HashMap<String, u64>>,
    grown: watch::Sender<u64>,
}

impl Rows {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            notes: Mutex::default(),
            cursors: Mutex::default(),
            grown: watch::Sender::new(0),
        })
    }

    fn commit(&self, n: u8) {
        self.keep(Note {
            id: EventId::from_bytes([n; 16]),
            subject: "test.v1.scope.Happened".into(),
            payload: vec![n].into(),
            at: Time::from_micros(0),
        });
    }

    /// Takes the next event.
    pub(crate) fn keep(&self, note: Note) {
        let mut rows = self.notes.lock().expect("whole");
        rows.push(note);
        self.grown.send_replace(rows.len() as u64);
    }

    /// Waits until the relay has told that many.
    pub(crate) async fn told(&self, many: u64) {
        while self.cursor("bus").await.expect("there") < many {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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

    async fn readers(&self) -> Result<Vec<(String, u64)>, JournalError> {
        let cursors = self.cursors.lock().expect("whole");
        Ok(cursors
            .iter()
            .map(|(name, to)| (name.clone(), *to))
            .collect())
    }

    async fn leave(&self, reader: &str) -> Result<(), JournalError> {
        self.cursors.lock().expect("whole").remove(reader);
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

/// A bus that can forget what it was told.
#[derive(Clone, Default)]
struct Forgetful {
    told: Arc<Mutex<Vec<u8>>>,
    forgot: Arc<watch::Sender<u64>>,
    /// Whether followers read what it keeps.
    is_followed: bool,
}

impl Forgetful {
    fn told(&self) -> Vec<u8> {
        self.told.lock().expect("whole").clone()
    }

    async fn has_been_told(&self, all: &[u8]) {
        while self.told() != all {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl Bus for Forgetful {
    async fn send(&self, note: Note) -> Result<(), BusError> {
        self.told.lock().expect("whole").push(note.payload[0]);
        Ok(())
    }

    async fn listen(&self, _: &str, _: usize) -> Result<Listener, BusError> {
        Err(BusError::Closed)
    }

    async fn whisper(&self, _: &str, _: bytes::Bytes) -> Result<(), BusError> {
        Err(BusError::Closed)
    }

    async fn overhear(&self, _: &str, _: usize) -> Result<Overheard, BusError> {
        Err(BusError::Closed)
    }

    async fn remembers(&self, note: &Note) -> Result<bool, BusError> {
        Ok(self.told().contains(&note.payload[0]))
    }

    fn is_followed(&self) -> bool {
        self.is_followed
    }

    fn forgot(&self) -> watch::Receiver<u64> {
        self.forgot.subscribe()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_told_before_what_the_bus_forgot() {
    let (rows, bus, tasks) = (Rows::new(), Forgetful::default(), Tasks::new());
    for n in 1..=3 {
        rows.commit(n);
    }
    relay(&tasks, rows.clone(), Arc::new(bus.clone()));
    rows.told(3).await;

    bus.told.lock().expect("whole").clear();
    rows.commit(4);
    bus.forgot.send_modify(|times| *times += 1);

    bus.has_been_told(&[4, 1, 2, 3]).await;
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
    assert_eq!(bus.told(), [4, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_told_again_before_the_process_ended_is_after_the_next_start() {
    let (rows, bus) = (Rows::new(), Forgetful::default());
    for n in 1..=3 {
        rows.commit(n);
    }
    // It told what was new, and had come to the first of what was forgotten.
    rows.advance("bus", 3).await.expect("moves");
    rows.advance("bus-again", 1).await.expect("moves");
    bus.told.lock().expect("whole").push(3);

    let tasks = Tasks::new();
    relay(&tasks, rows.clone(), Arc::new(bus.clone()));

    bus.has_been_told(&[3, 2, 3]).await;
    rows.commit(4);
    rows.told(4).await;
    tasks.stop(Duration::from_secs(5)).await;
    let left = rows.readers().await.expect("there");
    assert_eq!(left, [("bus".to_owned(), 4)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_forgot_is_told_again_though_nothing_new_happens() {
    let (rows, bus, tasks) = (Rows::new(), Forgetful::default(), Tasks::new());
    rows.commit(1);
    relay(&tasks, rows.clone(), Arc::new(bus.clone()));
    rows.told(1).await;

    bus.told.lock().expect("whole").clear();
    bus.forgot.send_modify(|times| *times += 1);

    bus.has_been_told(&[1]).await;
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_forgot_while_nobody_looked_is_told_again_at_the_next_start() {
    let (rows, bus, tasks) = (Rows::new(), Forgetful::default(), Tasks::new());
    for n in 1..=3 {
        rows.commit(n);
    }
    rows.advance("bus", 3).await.expect("moves");

    relay(&tasks, rows.clone(), Arc::new(bus.clone()));

    bus.has_been_told(&[1, 2, 3]).await;
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_remembers_is_told_nothing_twice() {
    let (rows, bus) = (Rows::new(), Forgetful::default());
    rows.commit(1);
    for n in 2..=4 {
        let tasks = Tasks::new();
        relay(&tasks, rows.clone(), Arc::new(bus.clone()));
        rows.commit(n);
        rows.told(u64::from(n)).await;
        tasks.stop(Duration::from_secs(5)).await;
    }

    assert_eq!(bus.told(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_is_followed_gets_what_readers_of_the_outbox_had_not_come_to() {
    for (is_followed, told, readers) in [(true, [3, 2, 3].as_slice(), 1), (false, &[3], 2)] {
        let bus = Forgetful {
            is_followed,
            ..Forgetful::default()
        };
        let (rows, tasks) = (Rows::new(), Tasks::new());
        for n in 1..=3 {
            rows.commit(n);
        }
        rows.advance("bus", 3).await.expect("moves");
        rows.advance("chat", 1).await.expect("moves");
        // The newest it has, or would not have any more.
        bus.told.lock().expect("whole").push(3);

        relay(&tasks, rows.clone(), Arc::new(bus.clone()));

        bus.has_been_told(told).await;
        rows.commit(4);
        rows.told(4).await;
        let left = rows.readers().await.expect("there");
        assert_eq!(left.len(), readers, "{left:?}");
        tasks.stop(Duration::from_secs(5)).await;
    }
}
