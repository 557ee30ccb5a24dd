//! Promises about what is told.
#![expect(missing_docs, reason = "the names are sentences")]

use std::{collections::HashMap, time::Duration};

use futures::future::join_all;
use guildhall_kernel::Time;
use guildhall_mesh::{Bus as _, Heard, LocalBus, Note, bus::Listener};

use super::{Bench, Stage, channel, draft, user, words};
use crate::{event, model::Seq};

/// How long an event may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn every_change_is_told_once_in_the_order_of_revs(bench: &dyn Bench) {
    let (stage, mut ear) = stage_and_ear(bench).await;
    let epoch = stage.timeline.epoch().clone();

    let posted = stage.post(channel(1), user(1), "one", "a").await;
    let edited = stage.edit(posted.id, user(1), "two").await;
    let deleted = stage.delete(posted.id, user(1)).await;

    let expected = [
        event::posted(&epoch, &posted),
        event::edited(&epoch, &edited),
        event::deleted(&epoch, &deleted),
    ];
    for note in expected {
        assert_eq!(next(&mut ear).await, note);
    }
    nothing_more(&stage, &mut ear).await;
}

pub async fn what_changes_nothing_is_not_told(bench: &dyn Bench) {
    let (stage, mut ear) = stage_and_ear(bench).await;
    let at = Time::from_micros(5);
    let posted = stage.post(channel(1), user(1), "one", "a").await;
    stage.delete(posted.id, user(1)).await;
    next(&mut ear).await;
    next(&mut ear).await;

    let timeline = &stage.timeline;
    timeline
        .append(channel(1), draft(user(1), "one", "a", 0))
        .await
        .expect("answers");
    timeline
        .edit(posted.id, user(1), words("two"), at)
        .await
        .expect("answers");
    timeline
        .edit(posted.id, user(2), words("two"), at)
        .await
        .expect("answers");
    timeline
        .delete(posted.id, user(1), false, at)
        .await
        .expect("answers");
    timeline
        .mark_read(channel(1), user(2), Seq(1), at)
        .await
        .expect("answers");

    nothing_more(&stage, &mut ear).await;
}

pub async fn what_was_not_told_before_a_cut_is_told_after_it(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let epoch = stage.timeline.epoch().clone();
    let posted = stage.post(channel(1), user(1), "one", "a").await;
    let edited = stage.edit(posted.id, user(1), "two").await;
    bench.close().await;

    let (stage, mut ear) = stage_and_ear(bench).await;
    let later = stage.post(channel(1), user(1), "three", "b").await;

    assert_eq!(next(&mut ear).await, event::posted(&epoch, &posted));
    assert_eq!(next(&mut ear).await, event::edited(&epoch, &edited));
    assert_eq!(next(&mut ear).await, event::posted(&epoch, &later));
    nothing_more(&stage, &mut ear).await;
}

pub async fn writers_at_the_same_moment_are_told_in_the_order_of_revs(bench: &dyn Bench) {
    let (stage, mut ear) = stage_and_ear(bench).await;
    let write = async |number: u8| {
        for post in 0..10 {
            let place = channel(1 + number % 3);
            let posted = stage
                .post(place, user(number), "text", &post.to_string())
                .await;
            stage.edit(posted.id, user(number), "edited").await;
        }
    };

    join_all((1..=9).map(write)).await;

    let mut told: HashMap<_, Vec<_>> = HashMap::new();
    for _ in 0..180 {
        let note = next(&mut ear).await;
        told.entry(note.subject.split('.').nth(3).expect("a scope").to_owned())
            .or_default()
            .push(note.id);
    }
    // What each channel's changes are called by their rev is what was told, in that order.
    for number in 1..=3 {
        let mut logged = HashMap::new();
        let page = stage
            .timeline
            .history(channel(number), crate::store::Place::Newest, 99)
            .await;
        for mut message in page.expect("reads").messages {
            logged.insert(
                message.rev.0,
                event::edited(stage.timeline.epoch(), &message).id,
            );
            for rev in 1..=60 {
                message.rev = crate::model::Rev(rev);
                let id = event::posted(stage.timeline.epoch(), &message).id;
                logged.entry(rev).or_insert(id);
            }
        }
        let expected: Vec<_> = (1..=60).map(|rev| logged[&rev]).collect();
        assert_eq!(told[&channel(number).to_string()], expected);
    }
}

async fn stage_and_ear(bench: &dyn Bench) -> (Stage<'_>, Listener) {
    let bus = LocalBus::new();
    let ear = bus
        .listen("guildhall.chat.v1.*.*", 10_000)
        .await
        .expect("listens");
    let timeline = bench.open(Some(bus)).await;
    (Stage { bench, timeline }, ear)
}

async fn next(ear: &mut Listener) -> Note {
    match tokio::time::timeout(PATIENCE, ear.next()).await {
        Ok(Some(Heard::Note(note))) => note,
        other => panic!("no event came: {other:?}"),
    }
}

/// One more change is the next thing told.
async fn nothing_more(stage: &Stage<'_>, ear: &mut Listener) {
    let last = stage.post(channel(99), user(99), "last", "last").await;
    assert_eq!(
        next(ear).await,
        event::posted(stage.timeline.epoch(), &last)
    );
}
