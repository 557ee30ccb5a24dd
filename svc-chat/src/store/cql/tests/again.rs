//! A bus that forgets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use guildhall_kernel::{Clock as _, SystemClock};
use guildhall_mesh::{
    Bus, LocalBus, Note,
    bus::{BusError, Listener, Overheard},
};
use tokio::sync::watch;

use super::{super::CqlTimeline, bench, channel, draft, user, words};
use crate::{
    model::Draft,
    store::timeline::{Appended, Timeline},
};

/// Keeps what it is told until it is made to forget.
#[derive(Clone)]
struct Forgetful {
    told: Arc<Mutex<Vec<Note>>>,
    forgot: watch::Sender<u64>,
    inner: LocalBus,
}

impl Forgetful {
    fn new() -> Self {
        Self {
            told: Arc::default(),
            forgot: watch::Sender::new(0),
            inner: LocalBus::new(),
        }
    }

    fn told(&self) -> Vec<String> {
        let told = self.told.lock().expect("whole");
        told.iter().map(|note| note.event().to_owned()).collect()
    }

    async fn has_been_told(&self, events: &[&str]) {
        let all = async {
            while self.told() != events {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(20), all).await;
        assert!(told.is_ok(), "{:?} and not {events:?}", self.told());
    }

    fn forget(&self) {
        self.told.lock().expect("whole").clear();
    }
}

#[async_trait]
impl Bus for Forgetful {
    async fn send(&self, note: Note) -> Result<(), BusError> {
        self.told.lock().expect("whole").push(note);
        Ok(())
    }

    async fn listen(&self, pattern: &str, room: usize) -> Result<Listener, BusError> {
        self.inner.listen(pattern, room).await
    }

    async fn whisper(&self, topic: &str, words: Bytes) -> Result<(), BusError> {
        self.inner.whisper(topic, words).await
    }

    async fn overhear(&self, pattern: &str, room: usize) -> Result<Overheard, BusError> {
        self.inner.overhear(pattern, room).await
    }

    async fn remembers(&self, note: &Note) -> Result<bool, BusError> {
        Ok(self.told.lock().expect("whole").contains(note))
    }

    fn forgot(&self) -> watch::Receiver<u64> {
        self.forgot.subscribe()
    }
}

const ALL: [&str; 3] = ["MessagePosted", "MessagePosted", "MessageEdited"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bus_forgot_is_told_again_in_order() {
    let Some(bench) = bench().await else { return };
    let bus = Forgetful::new();
    let (timeline, _tasks) = bench
        .start_on(&bench.settings, Some(Arc::new(bus.clone())))
        .await;
    say(&timeline).await;
    bus.has_been_told(&ALL).await;
    written(&timeline).await;

    bus.forget();
    bus.forgot.send_modify(|times| *times += 1);

    bus.has_been_told(&ALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bus_forgot_while_nobody_looked_is_told_again_at_the_next_start() {
    let Some(bench) = bench().await else { return };
    let bus = Forgetful::new();
    let start = || bench.start_on(&bench.settings, Some(Arc::new(bus.clone())));
    let (timeline, tasks) = start().await;
    say(&timeline).await;
    written(&timeline).await;
    timeline.close();
    tasks.stop(Duration::from_secs(5)).await;

    // A bus that remembers is told nothing.
    let (_, tasks) = start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    tasks.stop(Duration::from_secs(5)).await;
    assert_eq!(bus.told(), ALL);
    bus.forget();
    let _running = start().await;

    bus.has_been_told(&ALL).await;
}

/// Two posts and an edit, now: what is old is not told again.
async fn say(timeline: &Arc<CqlTimeline>) {
    let at = SystemClock::new().now();
    let mut last = None;
    for key in ["a", "b"] {
        let draft = Draft {
            at,
            ..draft(1, key)
        };
        last = Some(timeline.append(channel(1), draft).await.expect("is posted"));
    }
    let Some(Appended::New(last)) = last else {
        panic!("the key is new")
    };
    let edited = timeline.edit(last.id, user(1), words("new"), at).await;
    edited.expect("is edited");
}

/// Waits until it is written down that all was told.
async fn written(timeline: &Arc<CqlTimeline>) {
    for _ in 0..100 {
        let told = timeline.core.database.told(channel(1)).await;
        if told.expect("reads").0 == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never written down");
}
