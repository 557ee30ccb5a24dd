//! Outcomes that nobody knows, and changes left half done.

use std::{collections::VecDeque, sync::Arc};

use guildhall_kernel::Time;

use super::{
    super::{
        CqlTimeline,
        commit::{Ask, Known},
        plan::{Answer, Wish},
    },
    bench, channel, draft, user, words,
};
use crate::{
    model::{Head, MessageId, Rev, Seq},
    store::{
        StoreError,
        contract::Bench as _,
        timeline::{Appended, Changed, Changes, Place, Timeline},
    },
};

const LATER: Time = Time::from_micros(77);

type Reply = tokio::sync::oneshot::Receiver<Result<Answer, StoreError>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_made_after_all_is_not_made_again() {
    let Some(bench) = bench().await else { return };
    let (timeline, _tasks) = bench.start(None).await;
    let (mut asks, reply) = asking(Wish::Append(draft(1, "a")));
    let mut known = Known::default();
    let mut attempt = prepared(&timeline, &mut asks, &mut known).await;
    // Its answer is lost.
    assert!(
        timeline
            .core
            .send(channel(1), &attempt)
            .await
            .expect("answers")
    );
    attempt.doubt();
    let other = timeline.append(channel(1), draft(2, "b")).await;
    assert!(matches!(other, Ok(Appended::New(_))), "{other:?}");

    let made = timeline
        .core
        .work_off(channel(1), &mut asks, &mut known, Some(attempt))
        .await;

    made.expect("in time");
    let answer = reply.await.expect("is answered").expect("is made");
    let Answer::Appended(Appended::New(message)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((message.id.seq, message.rev), (Seq(1), Rev(1)));
    assert_eq!(head(&timeline).await, at(2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_in_doubt_that_lost_is_judged_anew() {
    let Some(bench) = bench().await else { return };
    let (timeline, _tasks) = bench.start(None).await;
    let posted = timeline.append(channel(1), draft(1, "a")).await;
    posted.expect("is posted");
    let edit = Wish::Edit {
        seq: Seq(1),
        editor: user(1),
        text: words("new"),
        at: LATER,
    };
    let (mut asks, reply) = asking(edit);
    let mut known = Known::default();
    let mut attempt = prepared(&timeline, &mut asks, &mut known).await;
    // It never arrives, and the message is deleted meanwhile.
    attempt.doubt();
    let deleted = timeline.delete(id(1), user(1), false, LATER).await;
    deleted.expect("is deleted");

    let made = timeline
        .core
        .work_off(channel(1), &mut asks, &mut known, Some(attempt))
        .await;

    made.expect("in time");
    let answer = reply.await.expect("is answered").expect("is judged");
    assert_eq!(answer, Answer::Changed(Changed::Deleted));
    assert_eq!(head(&timeline).await, at(1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_its_message_lacks_counts_for_nobody_until_somebody_completes_it() {
    let Some(bench) = bench().await else { return };
    bench.wind(channel(1), at(8_191, 8_191)).await;
    let (timeline, _tasks) = bench.start(None).await;
    for key in ["a", "b"] {
        timeline
            .append(channel(1), draft(1, key))
            .await
            .expect("is posted");
    }
    let edit = Wish::Edit {
        seq: Seq(8_192),
        editor: user(1),
        text: words("new"),
        at: LATER,
    };
    let (mut asks, _reply) = asking(edit);
    let attempt = prepared(&timeline, &mut asks, &mut Known::default()).await;
    // The process dies between the batch and the message.
    assert!(
        timeline
            .core
            .send(channel(1), &attempt)
            .await
            .expect("answers")
    );
    let (other, _tasks) = bench.start(None).await;

    let seen = other
        .history(channel(1), Place::After(Seq(8_191)), 9)
        .await
        .expect("reads");
    let changes = other
        .changes(channel(1), Rev(8_192), 9)
        .await
        .expect("reads");
    let next = other
        .edit(id(8_192), user(1), words("new"), LATER)
        .await
        .expect("answers");

    assert_eq!(
        (seen.head, seen.messages[0].text.as_str()),
        (at(8_193, 8_193), "said under a")
    );
    let Changes::Since { through, .. } = changes else {
        panic!("within reach")
    };
    assert_eq!(through, Rev(8_193));
    // Completed first, so the same text again is no change.
    let Changed::Unchanged(message) = next else {
        panic!("{next:?}")
    };
    assert_eq!((message.rev, message.edited_at), (Rev(8_194), Some(LATER)));
    assert_eq!(head(&other).await, at(8_193, 8_194));
}

fn asking(wish: Wish) -> (VecDeque<Ask>, Reply) {
    let (reply, answer) = tokio::sync::oneshot::channel();
    (VecDeque::from([Ask { wish, reply }]), answer)
}

/// The batch for what is asked, once its bucket is open.
async fn prepared(
    timeline: &Arc<CqlTimeline>,
    asks: &mut VecDeque<Ask>,
    known: &mut Known,
) -> super::super::attempt::Attempt {
    for _ in 0..3 {
        let attempt = timeline.core.prepare(channel(1), asks, known).await;
        if let Some(attempt) = attempt.expect("prepares") {
            return attempt;
        }
    }
    panic!("nothing to write")
}

async fn head(timeline: &CqlTimeline) -> Head {
    timeline.heads(&[channel(1)]).await.expect("reads")[0].head
}

fn id(seq: u32) -> MessageId {
    MessageId {
        channel: channel(1),
        seq: Seq(seq),
    }
}

fn at(seq: u32, rev: u32) -> Head {
    Head {
        seq: Seq(seq),
        rev: Rev(rev),
    }
}
