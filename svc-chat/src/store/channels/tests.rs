//! What is remembered of channels, and what becomes of a write whose caller goes away.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use guildhall_kernel::Key;
use guildhall_testkit::{CountedIds, TempDir};

use super::*;
use crate::model::Name;

async fn store(folder: &TempDir, tasks: &Tasks) -> ChannelStore {
    let ids = Arc::new(CountedIds::new());
    let home = Home::File(folder.path().join("chat.db"));
    ChannelStore::open(&home, ids, tasks.clone(), 10)
        .await
        .expect("opens")
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

async fn made(store: &ChannelStore, n: u8) -> Channel {
    let new = NewChannel {
        id: ChannelId::from_bytes([n; 16]),
        space: SpaceId::from_bytes([1; 16]),
        name: name(&format!("channel {n}")),
        topic: crate::model::Topic::default(),
        by: UserId::from_bytes([2; 16]),
        key: Key::parse(&n.to_string()).expect("a key"),
        at: Time::from_micros(1),
    };
    let Created::New(channel) = store.create(new).await.expect("writes") else {
        panic!("nobody else makes channels here");
    };
    channel
}

#[tokio::test]
async fn a_change_is_made_and_seen_though_its_caller_went_away() {
    let (folder, tasks) = (tempfile(), Tasks::new());
    let store = store(&folder, &tasks).await;
    let channel = made(&store, 7).await;
    let remembered = store
        .channel(channel.id)
        .await
        .expect("reads")
        .expect("is there");

    {
        let change = ChannelChange {
            name: Some(name("renamed")),
            topic: None,
        };
        let mut update = pin!(store.update(channel.id, change, Time::from_micros(2)));
        let once = poll_fn(|cx| Poll::Ready(update.as_mut().poll(cx).is_pending()));
        assert!(once.await, "under way");
    }
    tasks.stop(Duration::from_secs(5)).await;

    assert_eq!(remembered.name, "channel 7");
    let seen = store
        .channel(channel.id)
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(seen.name, "renamed");
}

#[tokio::test]
async fn more_channels_than_are_remembered_are_still_found() {
    let (folder, tasks) = (tempfile(), Tasks::new());
    let store = store(&folder, &tasks).await;
    let mut all = Vec::new();
    for n in 1..=40 {
        all.push(made(&store, n).await);
    }

    for channel in &all {
        let found = store.channel(channel.id).await.expect("reads");
        assert_eq!(found.as_deref(), Some(channel));
    }
    assert!(store.known.len() <= 10, "{}", store.known.len());
}

#[tokio::test]
async fn the_last_arrival_in_each_space_is_known_at_once_and_after_a_restart() {
    let (folder, tasks) = (tempfile(), Tasks::new());
    let here = store(&folder, &tasks).await;
    let user = |n| UserId::from_bytes([n; 16]);
    let space = |n| SpaceId::from_bytes([n; 16]);
    let arrivals = async |store: &ChannelStore, n| {
        let known = store.arrivals(user(n)).await.expect("reads");
        let mut all: Vec<_> = known
            .iter()
            .map(|(space, at)| (space.bytes()[0], at.micros()))
            .collect();
        all.sort_unstable();
        all
    };

    assert_eq!(arrivals(&here, 1).await, []);
    for (who, place, at) in [(1, 1, 5), (2, 1, 6), (1, 2, 7), (1, 1, 3)] {
        let put = here.put_arrival(user(who), space(place), Time::from_micros(at));
        put.await.expect("writes");
    }
    let before = (arrivals(&here, 1).await, arrivals(&here, 2).await);
    here.close().await;
    let again = store(&folder, &tasks).await;

    assert_eq!(before, (vec![(1, 3), (2, 7)], vec![(1, 6)]));
    assert_eq!(arrivals(&again, 1).await, before.0);
}

#[tokio::test]
async fn an_arrival_that_was_found_once_is_not_asked_for_again() {
    let (folder, tasks) = (tempfile(), Tasks::new());
    let store = store(&folder, &tasks).await;
    let (user, space) = (UserId::from_bytes([1; 16]), SpaceId::from_bytes([2; 16]));
    let at = Time::from_micros;
    let has = async |micros| {
        let has = store.has_arrived(user, space, at(micros)).await;
        has.expect("reads or remembers")
    };

    let before = has(5).await;
    store.put_arrival(user, space, at(5)).await.expect("writes");
    let found = (has(5).await, has(6).await);
    // As every second where others write, too.
    store.arrived.forget(&user);
    store.close().await;

    assert_eq!((before, found), (false, (true, false)));
    assert!(has(5).await);
    let another = store.has_arrived(user, space, at(6)).await;
    another.expect_err("nobody can be asked");
}

fn tempfile() -> TempDir {
    guildhall_testkit::World::new().dir
}
