//! Nothing is missed: catching up, holes, slow readers, coming back.

use std::{sync::atomic::Ordering, time::Duration};

use guildhall_gateway::live::LiveSettings;
use serde_json::json;

use crate::{
    clients::{Copy, Events, Socket},
    hall::{ALICE, BOB, CHANNEL, SECOND, SPACE, hall, hall_with},
};

#[tokio::test]
async fn a_wish_is_answered_by_the_heads_and_then_by_what_happens() {
    let hall = hall().await;
    hall.chat.post(CHANNEL, "before").await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;

    let ready = bob.until("ready").await;
    hall.chat.post(CHANNEL, "hello").await;
    let hello = bob.next().await.expect("a frame");

    assert_eq!(ready["ready"]["heads"][0]["channelId"], CHANNEL.to_string());
    assert_eq!(ready["ready"]["heads"][0]["rev"], 1);
    assert_eq!(ready["ready"]["epoch"], "e1");
    assert_eq!(ready["ready"]["heartbeatMs"], 25_000);
    assert_eq!(hello["message"]["text"], "hello");
    assert_eq!((&hello["rev"], &hello["afterRev"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn a_reader_gets_what_it_missed_and_then_what_happens() {
    let hall = hall().await;
    for n in 1..=120 {
        hall.chat.post(CHANNEL, &n.to_string()).await;
    }
    hall.chat.edit(CHANNEL, 40, "forty").await;
    let mut copy = Copy {
        seen: 30,
        ..Copy::default()
    };

    let wish = json!({"seen": {CHANNEL.to_string(): 30}, "epoch": "e1"});
    let mut bob = Socket::open(&hall, BOB, wish).await;
    bob.until("ready").await;
    hall.chat.post(CHANNEL, "last").await;
    while copy.seen < 122 {
        copy.apply(CHANNEL, &bob.next().await.expect("a frame"));
    }

    let stored = hall.chat.stored(CHANNEL).await;
    let missed: Vec<_> = stored.into_iter().filter(|(_, rev, _)| *rev > 30).collect();
    assert_eq!(copy.list(), missed);
}

#[tokio::test]
async fn what_is_delivered_is_what_is_stored_however_readers_come_and_events_go() {
    let hall = hall().await;
    hall.chat.open(SECOND, SPACE).await;
    let posting = async {
        for n in 0..600_u32 {
            // A third of the events is lost on the way.
            hall.chat
                .mute
                .store(n % 3 == 1 && n < 590, Ordering::SeqCst);
            if n % 7 == 3 {
                hall.chat
                    .edit(CHANNEL, 1 + n / 20, &format!("edit {n}"))
                    .await;
            } else {
                hall.chat.post(CHANNEL, &format!("post {n}")).await;
            }
            if n % 10 == 0 {
                hall.chat.post(SECOND, &format!("second {n}")).await;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    };
    let reading = async |reader: u64| {
        let mut copies = [Copy::default(), Copy::default()];
        let channels = [CHANNEL, SECOND];
        for round in 0.. {
            let seen: serde_json::Map<_, _> = std::iter::zip(channels, &copies)
                .map(|(channel, copy)| (channel.to_string(), copy.seen.into()))
                .collect();
            let mut socket = Socket::open(&hall, BOB, json!({"seen": seen, "epoch": "e1"})).await;
            // Each reader leaves after another number of frames, and in the end stays.
            let frames = if round < 4 {
                40 + reader * 13
            } else {
                u64::MAX
            };
            for _ in 0..frames {
                let frame = socket.next().await.expect("a frame");
                for (channel, copy) in std::iter::zip(channels, &mut copies) {
                    copy.apply(channel, &frame);
                }
                if copies[0].seen == 600 && copies[1].seen == 60 {
                    return copies;
                }
            }
        }
        copies
    };

    let readers = futures::future::join_all((0..6).map(reading));
    let ((), copies) = tokio::join!(posting, readers);

    let stored = [
        hall.chat.stored(CHANNEL).await,
        hall.chat.stored(SECOND).await,
    ];
    for copy in copies {
        assert_eq!(copy[0].list(), stored[0]);
        assert_eq!(copy[1].list(), stored[1]);
    }
}

#[tokio::test]
async fn a_lost_event_is_found_by_the_next_one() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.chat.mute.store(true, Ordering::SeqCst);
    hall.chat.post(CHANNEL, "lost").await;
    hall.chat.mute.store(false, Ordering::SeqCst);
    hall.chat.post(CHANNEL, "told").await;

    assert_eq!(
        bob.next().await.expect("a frame")["message"]["text"],
        "lost"
    );
    assert_eq!(
        bob.next().await.expect("a frame")["message"]["text"],
        "told"
    );
}

#[tokio::test]
async fn a_lost_event_is_found_in_turn_where_no_other_comes() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;
    hall.chat.mute.store(true, Ordering::SeqCst);

    hall.chat.post(CHANNEL, "lost").await;

    assert_eq!(
        bob.next().await.expect("a frame")["message"]["text"],
        "lost"
    );
}

#[tokio::test]
async fn a_hole_is_filled_once_chat_answers_again() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;
    hall.chat.away.store(true, Ordering::SeqCst);
    hall.chat.mute.store(true, Ordering::SeqCst);
    hall.chat.post(CHANNEL, "lost").await;
    hall.chat.mute.store(false, Ordering::SeqCst);
    hall.chat.post(CHANNEL, "told").await;

    assert!(bob.is_quiet(300).await);
    hall.chat.away.store(false, Ordering::SeqCst);

    assert_eq!(
        bob.next().await.expect("a frame")["message"]["text"],
        "lost"
    );
}

#[tokio::test]
async fn who_is_too_far_back_is_told_to_load_the_newest_page() {
    let hall = hall().await;
    for _ in 0..1_005 {
        hall.chat.post(CHANNEL, "x").await;
    }
    for (seen, epoch, after) in [
        (3, "e1", None),
        (1_000, "e0", None),
        (9_999, "e1", None),
        (1_000, "e1", Some(1_000)),
    ] {
        let wish = json!({"seen": {CHANNEL.to_string(): seen}, "epoch": epoch});
        let mut bob = Socket::open(&hall, BOB, wish).await;

        bob.until("ready").await;
        let next = bob.next().await.expect("a frame");

        match after {
            Some(after) => assert_eq!(next["afterRev"], after),
            None => assert_eq!(next["reset"]["head"]["rev"], 1_005, "{seen} {epoch}"),
        }
    }
}

#[tokio::test]
async fn a_store_that_counts_anew_resets_its_readers() {
    let hall = hall().await;
    hall.chat.post(CHANNEL, "x").await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.chat.restore("e2");

    assert_eq!(bob.until("reset").await["reset"]["head"]["epoch"], "e2");
}

#[tokio::test]
async fn a_new_wish_goes_on_where_its_reader_stands() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;
    let mut copy = Copy::default();

    for n in 0..50 {
        hall.chat.post(CHANNEL, &n.to_string()).await;
        if n % 10 == 0 {
            let wish = json!({"typingChannelIds": [CHANNEL.to_string()]});
            bob.say(json!({"id": n + 1, "subscribe": wish})).await;
        }
    }
    while copy.seen < 50 {
        copy.apply(CHANNEL, &bob.next().await.expect("a frame"));
    }

    assert_eq!(copy.list(), hall.chat.stored(CHANNEL).await);
}

#[tokio::test]
async fn a_slow_reader_is_cut_and_comes_back_for_the_rest() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;
    let long = "x".repeat(60_000);
    for _ in 0..600 {
        hall.chat.post(CHANNEL, &long).await;
        tokio::task::yield_now().await;
    }

    let mut copy = Copy::default();
    let bye = loop {
        let frame = bob.next().await.expect("a Bye");
        copy.apply(CHANNEL, &frame);
        if let Some(bye) = frame.get("bye") {
            break bye.clone();
        }
    };
    while bob.next().await.is_some() {}
    assert_eq!(bye["problem"]["reason"], "REASON_SLOW_READER");
    assert_eq!(bob.code, Some(4429));
    assert!(copy.seen < 600);

    let wish = json!({"seen": {CHANNEL.to_string(): copy.seen}, "epoch": "e1"});
    let mut bob = Socket::open(&hall, BOB, wish).await;
    while copy.seen < 600 {
        copy.apply(CHANNEL, &bob.next().await.expect("a frame"));
    }
    assert_eq!(copy.messages.len(), 600);
}

#[tokio::test]
async fn one_slow_reader_does_not_hold_up_another() {
    let hall = hall_with(LiveSettings {
        queue_frames: 8,
        ..LiveSettings::default()
    })
    .await;
    let mut slow = Socket::open(&hall, ALICE, json!({})).await;
    let mut quick = Socket::open(&hall, BOB, json!({})).await;
    slow.until("ready").await;
    quick.until("ready").await;
    let long = "x".repeat(60_000);

    for rev in 1..=300 {
        hall.chat.post(CHANNEL, &long).await;
        assert_eq!(quick.until("message").await["rev"], rev);
    }

    assert_eq!(
        slow.until("bye").await["bye"]["problem"]["reason"],
        "REASON_SLOW_READER"
    );
}

#[tokio::test]
async fn a_reader_of_events_goes_on_after_the_last_one_it_got() {
    let hall = hall().await;
    hall.chat.open(SECOND, SPACE).await;
    let mut bob = Events::open(&hall, BOB, None).await;
    bob.until("ready").await;
    hall.chat.post(CHANNEL, "one").await;
    hall.chat.post(SECOND, "uno").await;
    let mut last = String::new();
    for _ in 0..2 {
        last = bob.until("message").await.id.expect("an id");
    }
    // These are sent, and never arrive.
    hall.chat.post(CHANNEL, "two").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(bob);
    hall.chat.post(SECOND, "due").await;

    let mut bob = Events::open(&hall, BOB, Some(&last)).await;
    bob.until("ready").await;
    let mut texts = Vec::new();
    for _ in 0..2 {
        texts.push(bob.until("message").await.data["message"]["text"].clone());
    }

    texts.sort_by_key(ToString::to_string);
    assert_eq!(texts, [json!("due"), json!("two")]);
}

#[tokio::test]
async fn an_event_that_is_not_known_any_more_is_answered_by_the_heads_alone() {
    let hall = hall().await;
    let mut bob = Events::open(&hall, BOB, None).await;
    let first = bob.until("ready").await.id.expect("an id");
    drop(bob);
    tokio::time::sleep(Duration::from_millis(200)).await;
    hall.chat.post(CHANNEL, "missed").await;
    hall.clock.turn(121);
    tokio::time::sleep(Duration::from_millis(1_200)).await;

    for last in [first.as_str(), "nonsense.4"] {
        let mut bob = Events::open(&hall, BOB, Some(last)).await;
        bob.until("ready").await;
        hall.chat.post(CHANNEL, "now").await;

        assert_eq!(bob.until("message").await.data["message"]["text"], "now");
    }
}
