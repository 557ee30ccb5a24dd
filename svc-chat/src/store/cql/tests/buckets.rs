//! From one bucket to the next.

use guildhall_kernel::Time;
use guildhall_mesh::{Bus as _, Heard, LocalBus};

use super::{Keyspace, bench, channel, draft, user, words};
use crate::{
    model::{Head, MessageId, Rev, Seq},
    store::{
        contract::Bench as _,
        timeline::{Appended, Changed, Changes, Place, Timeline},
    },
};

const LATER: Time = Time::from_micros(77);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_on_in_the_next_bucket_without_a_gap() {
    let Some(bench) = bench().await else { return };
    let timeline = near_the_end(&bench, None).await;

    let posted = fill(timeline.as_ref(), 1..=6).await;

    assert_eq!(posted, [8_190, 8_191, 8_192, 8_193, 8_194, 8_195]);
    for place in [
        Place::Newest,
        Place::After(Seq(8_189)),
        Place::Around(Seq(8_192)),
    ] {
        let page = timeline.history(channel(1), place, 6).await.expect("reads");
        let seqs: Vec<_> = page.messages.iter().map(|it| it.id.seq.0).collect();
        assert_eq!(seqs, posted, "{place:?}");
        assert_eq!(page.head, head(8_195, 8_195));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_message_is_changed_from_the_next_bucket() {
    let Some(bench) = bench().await else { return };
    let timeline = near_the_end(&bench, None).await;
    fill(timeline.as_ref(), 1..=5).await;

    let edited = timeline.edit(id(8_191), user(1), words("new"), LATER).await;
    let deleted = timeline.delete(id(8_190), user(1), false, LATER).await;
    let both = futures::join!(
        timeline.edit(id(8_192), user(1), words("one"), LATER),
        timeline.edit(id(8_192), user(1), words("two"), LATER),
        timeline.append(channel(1), draft(1, "6")),
    );

    let edited = done(edited.expect("answers"));
    assert_eq!((edited.rev, edited.text.as_str()), (Rev(8_195), "new"));
    assert_eq!(done(deleted.expect("answers")).rev, Rev(8_196));
    let mut revs = vec![
        done(both.0.expect("answers")).rev,
        done(both.1.expect("answers")).rev,
    ];
    let Appended::New(posted) = both.2.expect("answers") else {
        panic!("the key is new")
    };
    revs.push(posted.rev);
    revs.sort_unstable();
    assert_eq!(revs, [Rev(8_197), Rev(8_198), Rev(8_199)]);

    let page = timeline
        .history(channel(1), Place::After(Seq(8_189)), 9)
        .await
        .expect("reads");
    assert_eq!(page.head, head(8_195, 8_199));
    assert_eq!(page.messages[1], edited);
    assert_eq!(
        timeline.message(edited.id).await.expect("reads"),
        Some(edited)
    );
    // Since before the bucket's change: the posts up to there, the changes in the next.
    let changes = timeline
        .changes(channel(1), Rev(8_189), 99)
        .await
        .expect("reads");
    let Changes::Since {
        messages, through, ..
    } = changes
    else {
        panic!("within reach")
    };
    let mut logged = page.messages;
    logged.sort_by_key(|message| message.rev);
    assert_eq!((messages, through), (logged, Rev(8_199)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_known_over_buckets_and_restarts() {
    let Some(bench) = bench().await else { return };
    let timeline = near_the_end(&bench, None).await;
    fill(timeline.as_ref(), 1..=4).await;
    bench.close().await;
    // Two more buckets on: what was posted before is in the table.
    bench.wind(channel(1), head(8_192 * 3 - 1, 30_000)).await;
    let timeline = bench.open(None).await;

    let next = fill(timeline.as_ref(), 5..=6).await;

    assert_eq!(next, [8_192 * 3, 8_192 * 3 + 1]);
    for (key, seq) in [
        ("1", 8_190),
        ("4", 8_193),
        ("5", 8_192 * 3),
        ("6", 8_192 * 3 + 1),
    ] {
        let again = timeline
            .append(channel(1), draft(1, key))
            .await
            .expect("answers");
        let Appended::Repeat(first) = again else {
            panic!("{key} was there")
        };
        assert_eq!(first.id.seq, Seq(seq), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_goes_on_over_buckets_in_the_order_of_revs() {
    let Some(bench) = bench().await else { return };
    let untold = near_the_end(&bench, None).await;
    // The end before is told: there are no rows of it.
    let core = bench.start(None).await.0;
    core.core
        .database
        .put_told(channel(1), Rev(8_189))
        .await
        .expect("writes");
    fill(untold.as_ref(), 1..=5).await;
    done(
        untold
            .edit(id(8_191), user(1), words("new"), LATER)
            .await
            .expect("answers"),
    );
    bench.close().await;

    let bus = LocalBus::new();
    let mut ear = bus
        .listen("guildhall.chat.v1.*.*", 99)
        .await
        .expect("listens");
    let timeline = bench.open(Some(bus)).await;
    fill(timeline.as_ref(), 6..=6).await;

    let mut events = Vec::new();
    for _ in 0..7 {
        let heard = tokio::time::timeout(std::time::Duration::from_secs(20), ear.next()).await;
        let Ok(Some(Heard::Note(note))) = heard else {
            panic!("no event came after {events:?}")
        };
        events.push(note.event().to_owned());
    }
    let mut expected = vec!["MessagePosted"; 7];
    expected[5] = "MessageEdited";
    assert_eq!(events, expected);
}

/// A channel that stands at 8,189, three before the end of its bucket.
async fn near_the_end(bench: &Keyspace, bus: Option<LocalBus>) -> std::sync::Arc<dyn Timeline> {
    bench.wind(channel(1), head(8_189, 8_189)).await;
    bench.open(bus).await
}

async fn fill(timeline: &dyn Timeline, keys: std::ops::RangeInclusive<u32>) -> Vec<u32> {
    let mut seqs = Vec::new();
    for key in keys {
        let posted = timeline
            .append(channel(1), draft(1, &key.to_string()))
            .await;
        match posted.expect("is posted") {
            Appended::New(message) => seqs.push(message.id.seq.0),
            Appended::Repeat(first) => panic!("{key} was there: {first:?}"),
        }
    }
    seqs
}

fn done(changed: Changed) -> crate::model::Message {
    match changed {
        Changed::Done(message) => message,
        other @ (Changed::Unchanged(_)
        | Changed::Missing
        | Changed::NotAuthor
        | Changed::Deleted) => panic!("{other:?}"),
    }
}

fn id(seq: u32) -> MessageId {
    MessageId {
        channel: channel(1),
        seq: Seq(seq),
    }
}

fn head(seq: u32, rev: u32) -> Head {
    Head {
        seq: Seq(seq),
        rev: Rev(rev),
    }
}
