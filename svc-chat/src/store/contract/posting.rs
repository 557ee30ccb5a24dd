//! Promises of `append`.
#![expect(missing_docs, reason = "the names are sentences")]

use std::collections::{BTreeSet, HashMap};

use futures::future::join_all;

use super::{Bench, Stage, channel, draft, user};
use crate::{
    model::{Head, Rev, Seq},
    store::{
        StoreError,
        timeline::{Appended, Place},
    },
};

pub async fn the_first_message_is_number_one_and_the_next_the_next(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;

    let first = stage.post(channel(1), user(1), "one", "a").await;
    let next = stage.post(channel(1), user(2), "two", "b").await;

    assert_eq!((first.id.seq, first.rev), (Seq(1), Rev(1)));
    assert_eq!((next.id.seq, next.rev), (Seq(2), Rev(2)));
    assert_eq!(
        (next.author, next.text.as_str(), next.key.as_str()),
        (user(2), "two", "b")
    );
    assert_eq!((next.edited_at, next.deleted_at), (None, None));
    assert_eq!(
        stage.head(channel(1)).await,
        Head {
            seq: Seq(2),
            rev: Rev(2)
        }
    );
}

pub async fn channels_count_for_themselves(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.post(channel(1), user(1), "one", "a").await;

    let other = stage.post(channel(2), user(1), "one", "a").await;

    assert_eq!(
        (other.id.channel, other.id.seq, other.rev),
        (channel(2), Seq(1), Rev(1))
    );
}

pub async fn a_repeated_post_returns_the_first_message_in_its_present_state(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let repeat = async |text| {
        stage
            .timeline
            .append(channel(1), draft(user(1), text, "key", 9))
            .await
            .expect("answers")
    };

    let first = stage.post(channel(1), user(1), "first", "key").await;
    assert_eq!(repeat("second").await, Appended::Repeat(first.clone()));
    let edited = stage.edit(first.id, user(1), "edited").await;
    assert_eq!(repeat("first").await, Appended::Repeat(edited));
    let deleted = stage.delete(first.id, user(1)).await;
    assert_eq!(repeat("first").await, Appended::Repeat(deleted));

    assert_eq!(
        stage.head(channel(1)).await,
        Head {
            seq: Seq(1),
            rev: Rev(3)
        }
    );
}

pub async fn a_key_belongs_to_its_author_and_its_channel(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;

    let one = stage.post(channel(1), user(1), "one", "key").await;
    let two = stage.post(channel(1), user(2), "two", "key").await;
    let three = stage.post(channel(1), user(1), "three", "Key").await;
    let four = stage.post(channel(2), user(1), "four", "key").await;

    let seqs = [one, two, three, four].map(|message| message.id.seq.0);
    assert_eq!(seqs, [1, 2, 3, 1]);
}

pub async fn a_repeat_is_known_after_a_restart(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let first = stage.post(channel(1), user(1), "first", "key").await;
    let stage = stage.reopen().await;

    let again = stage
        .timeline
        .append(channel(1), draft(user(1), "again", "key", 9))
        .await;
    let next = stage.post(channel(1), user(1), "next", "other").await;

    assert_eq!(again.expect("answers"), Appended::Repeat(first));
    assert_eq!((next.id.seq, next.rev), (Seq(2), Rev(2)));
}

pub async fn equal_keys_at_the_same_moment_leave_one_message(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let tries = (0..50).map(|number| {
        stage.timeline.append(
            channel(1),
            draft(user(1), &format!("try {number}"), "key", number),
        )
    });

    let answers = join_all(tries).await;

    let (mut new, mut texts) = (0, BTreeSet::new());
    for answer in answers {
        let (Appended::New(message) | Appended::Repeat(message)) =
            answer.as_ref().expect("answers");
        texts.insert(message.text.clone());
        new += usize::from(matches!(answer, Ok(Appended::New(_))));
    }
    assert_eq!((new, texts.len()), (1, 1));
    assert_eq!(
        stage.head(channel(1)).await,
        Head {
            seq: Seq(1),
            rev: Rev(1)
        }
    );
}

pub async fn posting_moves_its_authors_mark_and_repeating_moves_nothing(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.post(channel(1), user(1), "one", "a").await;
    stage.post(channel(1), user(2), "two", "b").await;
    assert_eq!(stage.mark(channel(1), user(1)).await, Seq(1));
    assert_eq!(stage.mark(channel(1), user(2)).await, Seq(2));

    stage
        .timeline
        .append(channel(1), draft(user(1), "one", "a", 0))
        .await
        .expect("answers");

    assert_eq!(stage.mark(channel(1), user(1)).await, Seq(1));
    assert_eq!(stage.mark(channel(2), user(1)).await, Seq(0));
}

pub async fn a_text_comes_back_as_it_was_said(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let long = "\u{1f389}".repeat(16_000);

    for text in [
        "' -- \"; \\ % _",
        " a\r\n\tb ",
        "e\u{301} \u{feff}\u{202e}",
        long.as_str(),
    ] {
        let key = format!("{}", text.len());
        let posted = stage.post(channel(1), user(1), text, &key).await;
        let read = stage
            .timeline
            .message(posted.id)
            .await
            .expect("reads")
            .expect("is there");
        assert_eq!(read.text, text);
        assert_eq!(read, posted);
    }
}

pub async fn a_full_channel_refuses_what_needs_a_number_and_knows_repeats(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let first = stage.post(channel(1), user(1), "first", "key").await;
    bench.close().await;
    bench
        .wind(
            channel(1),
            Head {
                seq: Seq(u32::MAX - 1),
                rev: Rev(u32::MAX - 1),
            },
        )
        .await;
    let stage = Stage::set(bench).await;

    let last = stage.post(channel(1), user(1), "last", "last").await;
    let full = stage
        .timeline
        .append(channel(1), draft(user(1), "more", "more", 0))
        .await;
    let repeat = stage
        .timeline
        .append(channel(1), draft(user(1), "first", "key", 0))
        .await;
    let edit = stage
        .timeline
        .edit(first.id, user(1), super::words("edit"), first.posted_at)
        .await;
    let delete = stage
        .timeline
        .delete(first.id, user(1), false, first.posted_at)
        .await;
    let elsewhere = stage.post(channel(2), user(1), "room", "room").await;

    assert_eq!((last.id.seq, last.rev), (Seq(u32::MAX), Rev(u32::MAX)));
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    assert!(matches!(edit, Err(StoreError::Full)), "{edit:?}");
    assert!(matches!(delete, Err(StoreError::Full)), "{delete:?}");
    assert_eq!(repeat.expect("answers"), Appended::Repeat(first));
    assert_eq!(elsewhere.id.seq, Seq(1));
}

pub async fn many_writers_leave_no_gap_and_each_keeps_its_order(bench: &dyn Bench) {
    const WRITERS: u8 = 16;
    const POSTS: u32 = 20;
    let stage = Stage::set(bench).await;
    let write = async |number: u8| {
        for post in 0..POSTS {
            stage
                .post(
                    channel(1),
                    user(number),
                    &post.to_string(),
                    &post.to_string(),
                )
                .await;
        }
    };

    join_all((1..=WRITERS).map(write)).await;

    let all = usize::from(WRITERS) * 20;
    let log = stage
        .timeline
        .history(channel(1), Place::Newest, all + 1)
        .await
        .expect("reads");
    let mut last = HashMap::new();
    assert_eq!(log.messages.len(), all);
    for (number, message) in (1..).zip(log.messages) {
        assert_eq!((message.id.seq, message.rev), (Seq(number), Rev(number)));
        let post: u32 = message.text.parse().expect("a number");
        let before = last.insert(message.author, post);
        assert_eq!(
            before.map_or(0, |before| before + 1),
            post,
            "{}",
            message.author
        );
    }
}

pub async fn an_epoch_outlives_a_restart_and_no_two_stores_share_one(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let epoch = stage.timeline.epoch().clone();

    let stage = stage.reopen().await;

    assert_eq!(*stage.timeline.epoch(), epoch);
    assert!(!epoch.0.is_empty() && epoch.0.len() <= 64, "{epoch:?}");
    assert_ne!(*bench.another().await.epoch(), epoch);
}
