//! Several processes on one keyspace, and what a process leaves to the next.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use guildhall_kernel::Time;
use guildhall_mesh::{Bus as _, Heard, LocalBus};

use super::{super::CqlTimeline, bench, channel, draft, user, words};
use crate::{
    event,
    model::{Head, MessageId, Rev, Seq},
    store::{
        StoreError,
        contract::Bench as _,
        timeline::{Appended, Changed, Place, Timeline},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_one_log_also_over_the_end_of_a_bucket() {
    let Some(bench) = bench().await else { return };
    bench.wind(channel(1), head(8_150)).await;
    let both = [bench.start(None).await.0, bench.start(None).await.0];
    let write = async |number: u8| {
        let mut made = Vec::new();
        for post in 0..12 {
            let own = &both[usize::from(number % 2)];
            let posted = persist(async || {
                let draft = draft(number, &format!("{post}"));
                own.append(channel(1), draft).await
            });
            let (Appended::New(message) | Appended::Repeat(message)) = posted.await;
            let id = message.id;
            made.push(message.rev);
            if post % 3 == 0 {
                let edited = persist(async || {
                    own.edit(id, user(number), words("edited"), Time::from_micros(7))
                        .await
                });
                if let Changed::Done(message) = edited.await {
                    made.push(message.rev);
                }
            }
        }
        made
    };

    let mut made = join_all((1..=8).map(write)).await.concat();

    made.sort_unstable();
    let all: Vec<_> = (8_151..=8_150 + 8 * 16).map(Rev).collect();
    assert_eq!(
        made, all,
        "each change has a rev of its own, and there are no others"
    );
    let page = both[0]
        .history(channel(1), Place::After(Seq(8_150)), 999)
        .await
        .expect("reads");
    let seqs: Vec<_> = page
        .messages
        .iter()
        .map(|message| message.id.seq.0)
        .collect();
    assert_eq!(seqs, (8_151..=8_150 + 96).collect::<Vec<_>>());
    assert_eq!(page.head.rev, Rev(8_150 + 8 * 16));
    let mut order: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for message in &page.messages {
        let post = message.key.as_str().parse().expect("a number");
        order.entry(message.author).or_default().push(post);
    }
    assert!(
        order
            .values()
            .all(|posts| *posts == (0..12).collect::<Vec<_>>()),
        "{order:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_two_processes_try_leaves_one_message() {
    let Some(bench) = bench().await else { return };
    let both = [bench.start(None).await.0, bench.start(None).await.0];
    // Both know the head and the keys so far.
    for own in &both {
        let posted = own.append(channel(1), draft(9, "first")).await;
        posted.expect("answers");
    }

    for round in 0..10 {
        let key = format!("key {round}");
        let tries = (0..6).map(|number| {
            let own = &both[number % 2];
            persist(async || own.append(channel(1), draft(1, &key)).await)
        });
        let answers = join_all(tries).await;
        let new = answers
            .iter()
            .filter(|answer| matches!(answer, Appended::New(_)))
            .count();
        assert_eq!(new, 1, "{answers:?}");
    }
    let heads = both[0].heads(&[channel(1)]).await.expect("reads");
    assert_eq!(heads[0].head.seq, Seq(11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_did_not_tell_is_told_without_a_further_change() {
    let Some(bench) = bench().await else { return };
    let timeline = bench.open(None).await;
    let posted = timeline
        .append(channel(1), draft(1, "a"))
        .await
        .expect("is posted");
    let Appended::New(posted) = posted else {
        panic!("the key is new")
    };
    bench.close().await;

    let bus = LocalBus::new();
    let mut ear = bus
        .listen("guildhall.chat.v1.*.*", 9)
        .await
        .expect("listens");
    let timeline = bench.open(Some(bus)).await;

    let heard = tokio::time::timeout(Duration::from_secs(20), ear.next()).await;
    let expected = event::posted(timeline.epoch(), &posted);
    assert_eq!(heard.ok().flatten(), Some(Heard::Note(expected)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_near_that_of_the_servers_is_ready() {
    let Some(bench) = bench().await else { return };
    let (timeline, _tasks) = bench.start(None).await;

    assert_eq!(timeline.ready().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_engine_refuses_changes_and_answers_questions() {
    let Some(bench) = bench().await else { return };
    let (timeline, _tasks): (Arc<CqlTimeline>, _) = bench.start(None).await;
    timeline.close();

    let refused = timeline.append(channel(1), draft(1, "a")).await;
    let id = MessageId {
        channel: channel(1),
        seq: Seq(1),
    };

    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert_eq!(timeline.message(id).await.expect("answers"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_through_in_a_bucket_that_was_closed() {
    let Some(bench) = bench().await else { return };
    bench.wind(channel(1), head(8_191)).await;
    let [one, two] = [bench.start(None).await.0, bench.start(None).await.0];
    let last = one
        .append(channel(1), draft(1, "last"))
        .await
        .expect("is posted");
    let Appended::New(last) = last else {
        panic!("the key is new")
    };
    let edit = async |editor| {
        let edited = two
            .edit(last.id, user(editor), words("new"), Time::from_micros(7))
            .await;
        edited.expect("answers")
    };
    // The other one learns of the end where it is closed, and the next bucket is opened behind its back.
    assert_eq!(edit(2).await, Changed::NotAuthor);
    let next = one
        .append(channel(1), draft(1, "next"))
        .await
        .expect("is posted");

    let edited = edit(1).await;

    assert!(matches!(next, Appended::New(it) if it.rev == Rev(8_193)));
    assert!(
        matches!(edited, Changed::Done(ref it) if it.rev == Rev(8_194)),
        "{edited:?}"
    );
}

/// Tries again what may be tried again, as a client does.
async fn persist<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    for _ in 0..20 {
        match ask().await {
            Ok(answer) => return answer,
            Err(StoreError::Busy | StoreError::OutcomeUnknown(_) | StoreError::Refused(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    panic!("no answer")
}

fn head(number: u32) -> Head {
    Head {
        seq: Seq(number),
        rev: Rev(number),
    }
}
