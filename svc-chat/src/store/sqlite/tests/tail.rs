//! Telling from memory, from the file, and where readers of events stand.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use guildhall_mesh::{
    Bus as _, Heard, LocalBus, Note, Tasks,
    bus::Listener,
    outbox::{Follower, Journal as _, follow, relay},
};
use tokio::sync::Notify;

use super::{Options, bench, channel, draft, engine::number, held::Held};
use crate::store::{contract::Bench as _, timeline::Timeline as _};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn telling_needs_no_query() {
    let (file, bus, tasks) = (bench(), LocalBus::new(), Tasks::new());
    let mut ear = bus
        .listen("guildhall.chat.v1.*.*", 9)
        .await
        .expect("listens");
    let timeline = file.start(Options::default()).await;
    relay(&tasks, timeline.clone(), Arc::new(bus));
    let held = Held::readers(&timeline, Options::default().readers.get()).await;

    number(timeline.append(channel(1), draft(1, "a")).await);

    assert_eq!(hear(&mut ear).await.event(), "MessagePosted");
    held.let_go().await;
    tasks.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_was_told_before_a_clean_end_is_not_told_again() {
    let file = bench();
    let bus = LocalBus::new();
    let mut ear = bus
        .listen("guildhall.chat.v1.*.*", 9)
        .await
        .expect("listens");
    let timeline = file.open(Some(bus.clone())).await;
    number(timeline.append(channel(1), draft(1, "a")).await);
    let first = hear(&mut ear).await;
    file.close().await;

    let timeline = file.open(Some(bus)).await;
    number(timeline.append(channel(1), draft(1, "b")).await);

    assert_ne!(hear(&mut ear).await.id, first.id);
}

#[tokio::test]
async fn cursors_are_written_with_the_next_commit() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    number(timeline.append(channel(1), draft(1, "a")).await);
    timeline.advance("bus", 1).await.expect("moves");

    number(timeline.append(channel(1), draft(1, "b")).await);

    let kept = "SELECT id FROM cursor WHERE name = 'bus'";
    let kept: u32 = file
        .beside()
        .query_row(kept, [], |row| row.get(0))
        .expect("is there");
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn cursors_are_written_when_nothing_else_is() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    number(timeline.append(channel(1), draft(1, "a")).await);
    timeline.advance("bus", 1).await.expect("moves");

    let beside = file.beside();
    let kept = || -> Option<u32> {
        beside
            .query_row("SELECT id FROM cursor WHERE name = 'bus'", [], |row| {
                row.get(0)
            })
            .ok()
    };
    let written = async {
        while kept() != Some(1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written)
        .await
        .expect("in a second or two");
}

#[tokio::test]
async fn a_reader_that_is_far_behind_hears_everything_in_order() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    // More than memory holds.
    for thousand in 0..5 {
        let posts = (0..1_000).map(|post| {
            let timeline = timeline.clone();
            async move {
                number(
                    timeline
                        .append(channel(1), draft(1, &format!("{thousand} {post}")))
                        .await,
                )
            }
        });
        join_all(posts).await;
    }
    let (tasks, all) = (Tasks::new(), All::default());
    let journal = timeline.clone();

    follow(&tasks, journal, "late", all.clone());

    let heard = async {
        while all.heard().len() < 5_000 {
            all.more.notified().await;
        }
    };
    tokio::time::timeout(PATIENCE, heard)
        .await
        .expect("hears all");
    tasks.stop(PATIENCE).await;
    let rows = timeline.read(0, 5_000).await.expect("reads");
    let logged: Vec<_> = rows.into_iter().map(|(_, note)| note).collect();
    assert_eq!(*all.heard(), logged);
}

async fn hear(ear: &mut Listener) -> Note {
    match tokio::time::timeout(PATIENCE, ear.next()).await {
        Ok(Some(Heard::Note(note))) => note,
        other => panic!("no event came: {other:?}"),
    }
}

/// Keeps everything that it hears. Clones keep together.
#[derive(Clone, Default)]
struct All {
    heard: Arc<Mutex<Vec<Note>>>,
    more: Arc<Notify>,
}

impl All {
    fn heard(&self) -> std::sync::MutexGuard<'_, Vec<Note>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Follower for All {
    async fn take(&self, note: Note) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.heard().push(note);
        self.more.notify_one();
        Ok(())
    }
}
