//! Promises of `history`, `heads` and `message`.
#![expect(missing_docs, reason = "the names are sentences")]

use futures::future::join_all;
use guildhall_kernel::Time;

use super::{Bench, Stage, channel, draft, user};
use crate::{
    model::{Head, MessageId, Rev, Seq},
    store::timeline::{History, Newest, Place},
};

pub async fn a_page_is_cut_where_its_place_says(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(1), 10).await;
    stage
        .delete(
            MessageId {
                channel: channel(1),
                seq: Seq(4),
            },
            user(1),
        )
        .await;
    let cases: &[(Place, usize, std::ops::RangeInclusive<u32>, bool, bool)] = &[
        (Place::Newest, 3, 8..=10, true, false),
        (Place::Newest, 10, 1..=10, false, false),
        (Place::Newest, 99, 1..=10, false, false),
        (Place::Newest, 0, NONE, true, false),
        (Place::Before(Seq(6)), 3, 3..=5, true, true),
        (Place::Before(Seq(6)), 5, 1..=5, false, true),
        (Place::Before(Seq(6)), 9, 1..=5, false, true),
        (Place::Before(Seq(1)), 9, NONE, false, true),
        (Place::Before(Seq(0)), 9, NONE, false, true),
        (Place::Before(Seq(11)), 2, 9..=10, true, false),
        (Place::Before(Seq(u32::MAX)), 2, 9..=10, true, false),
        (Place::Before(Seq(6)), 0, NONE, true, true),
        (Place::After(Seq(3)), 3, 4..=6, true, true),
        (Place::After(Seq(7)), 3, 8..=10, true, false),
        (Place::After(Seq(0)), 2, 1..=2, false, true),
        (Place::After(Seq(10)), 2, NONE, true, false),
        (Place::After(Seq(u32::MAX)), 2, NONE, true, false),
        (Place::Around(Seq(5)), 4, 4..=7, true, true),
        (Place::Around(Seq(5)), 5, 3..=7, true, true),
        (Place::Around(Seq(5)), 1, 5..=5, true, true),
        (Place::Around(Seq(1)), 6, 1..=4, false, true),
        (Place::Around(Seq(10)), 6, 8..=10, true, false),
        (Place::Around(Seq(0)), 6, 1..=3, false, true),
        (Place::Around(Seq(99)), 6, 8..=10, true, false),
        (Place::Around(Seq(5)), 99, 1..=10, false, false),
    ];

    for (place, limit, seqs, older, newer) in cases {
        let page = stage
            .timeline
            .history(channel(1), *place, *limit)
            .await
            .expect("reads");

        let case = format!("{limit} at {place:?}");
        assert_eq!(numbers(&page), seqs.clone().collect::<Vec<_>>(), "{case}");
        assert_eq!((page.has_older, page.has_newer), (*older, *newer), "{case}");
        assert_eq!(
            page.head,
            Head {
                seq: Seq(10),
                rev: Rev(11)
            },
            "{case}"
        );
    }
    for place in [
        Place::Newest,
        Place::Around(Seq(1)),
        Place::BeforeTime(Time::from_micros(9)),
    ] {
        let empty = stage
            .timeline
            .history(channel(2), place, 9)
            .await
            .expect("reads");
        let nothing = History {
            messages: vec![],
            has_older: false,
            has_newer: false,
            head: Head::default(),
        };
        assert_eq!(empty, nothing, "{place:?}");
    }
}

pub async fn an_instant_stands_before_the_first_message_from_it_on(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    // A clock went back, twice.
    for (at, key) in [10, 20, 15, 30, 5, 40]
        .into_iter()
        .zip(["1", "2", "3", "4", "5", "6"])
    {
        let draft = draft(user(1), "text", key, at);
        stage
            .timeline
            .append(channel(1), draft)
            .await
            .expect("is posted");
    }
    let stage = stage.reopen().await;

    for (time, last) in [
        (4, 0),
        (10, 0),
        (11, 1),
        (20, 1),
        (21, 3),
        (30, 3),
        (31, 5),
        (41, 6),
    ] {
        let place = Place::BeforeTime(Time::from_micros(time));
        let page = stage
            .timeline
            .history(channel(1), place, 9)
            .await
            .expect("reads");
        let two = stage
            .timeline
            .history(channel(1), place, 2)
            .await
            .expect("reads");

        assert_eq!(
            numbers(&page),
            (1..=last).collect::<Vec<_>>(),
            "before {time}"
        );
        assert_eq!(
            (page.has_older, page.has_newer),
            (false, last < 6),
            "before {time}"
        );
        assert!(
            page.messages
                .iter()
                .all(|message| message.posted_at.micros() < time)
        );
        let nearest: Vec<_> = (1..=last).filter(|seq| seq + 2 > last).collect();
        assert_eq!(
            (numbers(&two), two.has_older),
            (nearest, last > 2),
            "before {time}"
        );
    }
}

pub async fn walking_page_by_page_meets_every_message_once(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(1), 23).await;
    let page = async |place| {
        stage
            .timeline
            .history(channel(1), place, 5)
            .await
            .expect("reads")
    };

    let (mut back, mut place) = (Vec::new(), Place::Newest);
    loop {
        let page = page(place).await;
        back.splice(0..0, numbers(&page));
        if !page.has_older {
            break;
        }
        place = Place::Before(page.messages[0].id.seq);
    }
    let (mut forth, mut after) = (Vec::new(), Seq(0));
    loop {
        let page = page(Place::After(after)).await;
        forth.extend(numbers(&page));
        if !page.has_newer {
            break;
        }
        after = page.messages[page.messages.len() - 1].id.seq;
    }

    let all: Vec<_> = (1..=23).collect();
    assert_eq!(back, all);
    assert_eq!(forth, all);
}

pub async fn a_page_lacks_nothing_that_its_head_counts(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let write = async |number: u8| {
        for post in 0..40_u8 {
            stage
                .post(channel(1), user(number), "text", &post.to_string())
                .await;
        }
    };
    let read = async || {
        let mut last = Head::default();
        while last.seq < Seq(160) {
            let page = stage
                .timeline
                .history(channel(1), Place::Newest, 200)
                .await
                .expect("reads");
            let newest = &stage.timeline.heads(&[channel(1)]).await.expect("reads")[0];

            assert_eq!(numbers(&page), (1..=page.head.seq.0).collect::<Vec<_>>());
            assert!(!page.has_newer && page.head.seq >= last.seq && page.head.rev >= last.rev);
            assert!(newest.head.seq >= page.head.seq);
            assert_eq!(
                newest
                    .message
                    .as_ref()
                    .map(|it| it.id.seq)
                    .unwrap_or_default(),
                newest.head.seq
            );
            last = page.head;
        }
    };

    futures::join!(join_all((1..=4).map(write)), read(), read());
}

pub async fn heads_come_in_the_order_asked_with_the_newest_message(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let one = stage.post(channel(1), user(1), "one", "a").await;
    let two = stage.post(channel(2), user(1), "two", "a").await;
    let one = stage.edit(one.id, user(1), "edited").await;
    let two = stage.delete(two.id, user(1)).await;

    let heads = stage
        .timeline
        .heads(&[channel(2), channel(9), channel(1), channel(2)])
        .await;

    let newest = |message| {
        let head = Head {
            seq: Seq(1),
            rev: Rev(2),
        };
        Newest {
            head,
            message: Some(message),
        }
    };
    let expected = [
        newest(two.clone()),
        Newest::default(),
        newest(one),
        newest(two),
    ];
    assert_eq!(heads.expect("reads"), expected);
    let many: Vec<_> = (0..=250).map(channel).collect();
    let heads = stage.timeline.heads(&many).await.expect("reads");
    assert_eq!(heads.len(), many.len());
    assert_eq!(
        heads
            .iter()
            .filter(|newest| newest.message.is_some())
            .count(),
        2
    );
    assert_eq!(stage.timeline.heads(&[]).await.expect("reads"), []);
}

pub async fn a_message_is_found_by_its_id_only(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;
    let find = async |number, seq| {
        let id = MessageId {
            channel: channel(number),
            seq: Seq(seq),
        };
        stage.timeline.message(id).await.expect("reads")
    };

    assert_eq!(find(1, 1).await, Some(posted));
    for (channel, seq) in [(1, 0), (1, 2), (2, 1), (1, u32::MAX)] {
        assert_eq!(find(channel, seq).await, None, "{channel} {seq}");
    }
}

pub async fn what_was_written_is_read_after_a_restart(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(1), 3).await;
    let id = |seq| MessageId {
        channel: channel(1),
        seq: Seq(seq),
    };
    stage.edit(id(1), user(1), "edited").await;
    stage.delete(id(2), user(1)).await;
    let before = stage
        .timeline
        .history(channel(1), Place::Newest, 9)
        .await
        .expect("reads");

    let stage = stage.reopen().await;

    let after = stage
        .timeline
        .history(channel(1), Place::Newest, 9)
        .await
        .expect("reads");
    assert_eq!(after, before);
}

#[expect(clippy::reversed_empty_ranges, reason = "no numbers")]
const NONE: std::ops::RangeInclusive<u32> = 1..=0;

fn numbers(page: &History) -> Vec<u32> {
    page.messages
        .iter()
        .map(|message| message.id.seq.0)
        .collect()
}
