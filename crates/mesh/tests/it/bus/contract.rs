//! The promises of [`Bus`](guildhall_mesh::Bus), one each.

use std::time::Duration;

use guildhall_mesh::{
    Heard,
    bus::{Overheard, Whisper},
};
use tokio::task::JoinSet;

use super::stage::{PATIENCE, Stage, heard, note, number, numbers};

pub(super) async fn a_note_arrives_as_it_was_sent(stage: Stage) {
    let mut listener = stage.listen("guildhall.chat.v1.a.E", 4).await;
    let sent = note("a", "E", 7);

    stage.send(sent.clone()).await;

    assert_eq!(heard(&mut listener).await, Some(Heard::Note(sent)));
}

pub(super) async fn a_listener_hears_what_its_pattern_covers_and_nothing_else(stage: Stage) {
    for (pattern, scope, event, covered) in [
        ("guildhall.chat.v1.p1.E", "p1", "E", true),
        ("guildhall.chat.v1.p2.E", "p2", "F", false),
        ("guildhall.chat.v1.p3.*", "p3", "E", true),
        ("guildhall.chat.v1.p4.*", "p5", "E", false),
        ("guildhall.chat.v1.*.E", "p6", "E", true),
        ("guildhall.chat.v1.*.E", "p7.q", "E", false),
        ("guildhall.chat.v1.*.*", "p8", "F", true),
        ("guildhall.*.v1.*.F", "p9", "F", true),
    ] {
        let mut listener = stage.listen(pattern, 4).await;
        let mut end = stage.listen("guildhall.chat.v1.end.End", 4).await;

        stage.send(note(scope, event, 1)).await;
        stage.send(note("end", "End", 2)).await;
        numbers(&mut end, 1).await;
        stage.arrived().await;

        let came = tokio::time::timeout(Duration::from_millis(1), listener.next()).await;
        assert_eq!(came.is_ok(), covered, "{pattern} {scope} {event}");
    }
}

pub(super) async fn a_listener_hears_from_when_it_began_and_nothing_before(stage: Stage) {
    for n in 0..8 {
        stage.send(note("begin", "E", 2 * n)).await;
        stage.arrived().await;

        let mut listener = stage.listen("guildhall.chat.v1.begin.*", 4).await;
        stage.send(note("begin", "E", 2 * n + 1)).await;

        assert_eq!(numbers(&mut listener, 1).await, [2 * n + 1]);
    }
}

pub(super) async fn notes_of_one_subject_come_in_their_order(stage: Stage) {
    let mut listener = stage.listen("guildhall.chat.v1.*.E", 400).await;

    for n in 0..300 {
        stage.send(note("order", "E", n)).await;
    }

    let all: Vec<_> = (0..300).collect();
    assert_eq!(numbers(&mut listener, 300).await, all);
}

pub(super) async fn notes_of_one_scope_come_in_their_order_whatever_they_tell(stage: Stage) {
    let mut listener = stage.listen("guildhall.chat.v1.scope.*", 400).await;

    for n in 0..100 {
        let event = ["Posted", "Edited", "Deleted"][n as usize % 3];
        stage.send(note("scope", event, n)).await;
    }

    let all: Vec<_> = (0..100).collect();
    assert_eq!(numbers(&mut listener, 100).await, all);
}

pub(super) async fn every_sender_of_many_is_heard_in_its_order(stage: Stage) {
    const SENDERS: u32 = 16;
    const EACH: u32 = 30;
    let mut listener = stage.listen("guildhall.chat.v1.crowd.*", 1_000).await;

    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let bus = stage.here.clone();
        senders.spawn(async move {
            for n in 0..EACH {
                bus.send(note("crowd", "E", sender * 1_000 + n))
                    .await
                    .expect("takes it");
            }
        });
    }
    senders.join_all().await;

    let all = numbers(&mut listener, (SENDERS * EACH) as usize).await;
    for sender in 0..SENDERS {
        let its: Vec<_> = all.iter().filter(|n| *n / 1_000 == sender).collect();
        assert!(
            its.is_sorted() && its.len() == EACH as usize,
            "{sender}: {its:?}"
        );
    }
}

pub(super) async fn a_repeat_moves_nothing(stage: Stage) {
    let mut listener = stage.listen("guildhall.chat.v1.again.E", 8).await;
    let first = note("again", "E", 1);

    stage.send(first.clone()).await;
    stage.send(first.clone()).await;
    stage.send(note("again", "E", 2)).await;

    let mut came = Vec::new();
    while came.last() != Some(&2) {
        match heard(&mut listener).await {
            Some(Heard::Note(note)) => {
                assert!(number(&note) == 2 || note == first);
                came.push(number(&note));
            }
            other => panic!("a note, not {other:?}"),
        }
    }
    assert!(came == [1, 2] || came == [1, 1, 2], "{came:?}");
}

pub(super) async fn who_lags_hears_it_once_after_what_fitted_and_then_hears_on(stage: Stage) {
    let mut listener = stage.listen("guildhall.chat.v1.lag.*", 3).await;

    for n in 0..50 {
        stage.send(note("lag", "E", n)).await;
    }
    stage.arrived().await;

    assert_eq!(numbers(&mut listener, 3).await, [0, 1, 2]);
    assert_eq!(heard(&mut listener).await, Some(Heard::Lagged));
    stage.send(note("lag", "E", 50)).await;
    assert_eq!(numbers(&mut listener, 1).await, [50]);
}

pub(super) async fn a_slow_listener_slows_neither_the_sender_nor_others(stage: Stage) {
    let mut slow = stage.listen("guildhall.chat.v1.*.*", 1).await;
    let mut quick = stage.listen("guildhall.chat.v1.slow.E", 600).await;

    let sending = async {
        for n in 0..500 {
            stage.send(note("slow", "E", n)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sending)
        .await
        .expect("the sender is not slowed");

    assert_eq!(numbers(&mut quick, 500).await.len(), 500);
    stage.arrived().await;
    assert_eq!(numbers(&mut slow, 1).await, [0]);
    assert_eq!(heard(&mut slow).await, Some(Heard::Lagged));
}

pub(super) async fn a_dropped_listener_leaves_the_others_hearing(stage: Stage) {
    let dropped = stage.listen("guildhall.chat.v1.drop.*", 1).await;
    let mut stays = stage.listen("guildhall.chat.v1.drop.*", 8).await;

    stage.send(note("drop", "E", 1)).await;
    drop(dropped);
    stage.send(note("drop", "E", 2)).await;

    assert_eq!(numbers(&mut stays, 2).await, [1, 2]);
}

pub(super) async fn a_closed_bus_ends_its_listeners_after_what_they_had(stage: Stage) {
    let mut listener = stage.listen("guildhall.chat.v1.close.*", 8).await;
    stage.send(note("close", "E", 1)).await;
    stage.arrived().await;

    let Stage {
        here, there, tasks, ..
    } = stage;
    drop((here, there));

    assert_eq!(numbers(&mut listener, 1).await, [1]);
    assert_eq!(heard(&mut listener).await, None);
    for tasks in tasks {
        assert_eq!(tasks.stop(PATIENCE).await, 0);
    }
}

pub(super) async fn an_open_bus_is_reachable_and_remembers_what_it_took(stage: Stage) {
    let (first, second) = (note("mind", "E", 1), note("mind", "E", 2));
    stage.send(first.clone()).await;
    stage.send(second.clone()).await;

    assert_eq!(stage.here.is_reachable(), Ok(()));
    for told in [first, second] {
        assert!(
            stage.there.remembers(&told).await.expect("answers"),
            "{told:?}"
        );
    }
    assert!(!stage.here.forgot().has_changed().unwrap_or(false));
}

fn words(n: u8) -> bytes::Bytes {
    vec![n].into()
}

async fn overheard(listener: &mut Overheard) -> Option<Whisper> {
    let next = tokio::time::timeout(PATIENCE, listener.next()).await;
    next.expect("something is overheard")
}

pub(super) async fn a_whisper_is_overheard_by_whom_its_topic_concerns(stage: Stage) {
    let mut one = stage
        .there
        .overhear("typing.a", 8)
        .await
        .expect("overhears");
    let mut all = stage
        .there
        .overhear("typing.*", 8)
        .await
        .expect("overhears");

    for (topic, n) in [
        ("presence.a", 0),
        ("typing.a", 1),
        ("typing.b", 2),
        ("typing.a", 3),
    ] {
        stage.here.whisper(topic, words(n)).await.expect("whispers");
    }

    let whisper = |topic: &str, n| {
        Some(Whisper {
            topic: topic.into(),
            words: words(n),
        })
    };
    for next in [whisper("typing.a", 1), whisper("typing.a", 3)] {
        assert_eq!(overheard(&mut one).await, next);
    }
    for next in [
        whisper("typing.a", 1),
        whisper("typing.b", 2),
        whisper("typing.a", 3),
    ] {
        assert_eq!(overheard(&mut all).await, next);
    }
}

pub(super) async fn a_whisper_waits_for_nobody_and_is_lost_without_a_word(stage: Stage) {
    let mut slow = stage
        .there
        .overhear("typing.*", 2)
        .await
        .expect("overhears");

    for n in 0..100 {
        stage
            .here
            .whisper("typing.a", words(n))
            .await
            .expect("whispers");
    }
    stage.arrived().await;

    for n in 0..2 {
        assert_eq!(
            overheard(&mut slow).await.map(|whisper| whisper.words),
            Some(words(n))
        );
    }
    stage
        .here
        .whisper("typing.a", words(200))
        .await
        .expect("whispers");
    assert_eq!(
        overheard(&mut slow).await.map(|whisper| whisper.words),
        Some(words(200))
    );
}

pub(super) async fn whispers_and_notes_do_not_mix(stage: Stage) {
    let mut notes = stage.listen("guildhall.chat.v1.mix.*", 8).await;
    let topic = "guildhall.chat.v1.mix.E";
    let mut whispers = stage.there.overhear(topic, 8).await.expect("overhears");

    stage.here.whisper(topic, words(1)).await.expect("whispers");
    stage.send(note("mix", "E", 2)).await;
    stage.arrived().await;

    assert_eq!(
        overheard(&mut whispers).await.map(|whisper| whisper.words),
        Some(words(1))
    );
    assert_eq!(numbers(&mut notes, 1).await, [2]);
    drop(stage);
    assert_eq!(overheard(&mut whispers).await, None);
    assert_eq!(heard(&mut notes).await, None);
}
