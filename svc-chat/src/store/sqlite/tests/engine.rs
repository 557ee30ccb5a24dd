//! Groups, queues, failures and what follows them.

use std::{sync::Arc, time::Duration};

use futures::{future::join_all, poll};
use guildhall_kernel::{Clock as _, SystemClock, SystemIds};
use guildhall_mesh::outbox::Journal as _;
use guildhall_testkit::StoppedClock;

use super::{File, bench, channel, draft, held::Held, user};
use crate::{
    model::{Head, Rev, Seq},
    store::{
        StoreError,
        sqlite::{OpenError, Options, SqliteTimeline, failure::Failure, ledger::Ledger},
        timeline::{Appended, Place, Timeline as _},
    },
};

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_what_it_took_is_done() {
    let file = bench();
    let timeline = file
        .start(Options {
            waiting: 2,
            ..Options::default()
        })
        .await;
    let held = Held::writer(&timeline).await;
    let mut first = Box::pin(timeline.append(channel(1), draft(1, "a")));
    let mut second = Box::pin(timeline.append(channel(1), draft(1, "b")));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());

    let third = timeline.append(channel(1), draft(1, "c")).await;
    held.let_go().await;

    assert!(matches!(third, Err(StoreError::Busy)), "{third:?}");
    assert!(first.await.is_ok() && second.await.is_ok());
    assert_eq!(head(&timeline).await, 2);
}

#[tokio::test]
async fn a_full_queue_of_questions_refuses_at_once() {
    let file = bench();
    let options = Options {
        waiting: 1,
        readers: 1.try_into().expect("not zero"),
        ..Options::default()
    };
    let timeline = file.start(options).await;
    let held = Held::readers(&timeline, 1).await;
    let mut waits = Box::pin(timeline.history(channel(1), Place::Newest, 1));
    assert!(poll!(&mut waits).is_pending());

    let refused = timeline.history(channel(1), Place::Newest, 1).await;
    held.let_go().await;

    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    assert!(waits.await.is_ok());
}

#[tokio::test]
async fn whoever_waits_at_a_moment_shares_one_transaction() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    let held = Held::writer(&timeline).await;
    let mut posts = Vec::new();
    for post in 0..100 {
        let mut post = Box::pin(timeline.append(channel(1), draft(1, &format!("{post}"))));
        assert!(poll!(&mut post).is_pending());
        posts.push(post);
    }
    // It stands at the end of the group, and looks from outside at what its transaction has made.
    let beside = file.beside();
    let looked = timeline.writer.make(0, move |ledger: &mut Ledger| {
        let count = "SELECT count(*) FROM message";
        let inside: u32 = ledger.connection.query_row(count, [], |row| row.get(0))?;
        let outside: u32 = beside.query_row(count, [], |row| row.get(0))?;
        Ok((inside, outside))
    });
    let mut looked = Box::pin(looked);
    assert!(poll!(&mut looked).is_pending());

    held.let_go().await;

    assert_eq!(looked.await.expect("answers"), (100, 0));
    assert!(join_all(posts).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_change_that_breaks_its_transaction_fails_alone() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    let held = Held::writer(&timeline).await;
    let mut before = Box::pin(timeline.append(channel(1), draft(1, "a")));
    let mut bad = Box::pin(timeline.writer.make(0, |ledger: &mut Ledger| {
        ledger.append(channel(1), &draft(1, "taken back with it"))?;
        Ok(ledger
            .connection
            .execute("INSERT INTO meta VALUES ('epoch', 1)", [])?)
    }));
    let mut after = Box::pin(timeline.append(channel(1), draft(1, "b")));
    assert!(poll!(&mut before).is_pending());
    assert!(poll!(&mut bad).is_pending());
    assert!(poll!(&mut after).is_pending());

    held.let_go().await;

    let (before, bad, after) = (before.await, bad.await, after.await);
    assert!(matches!(bad, Err(StoreError::Broken(_))), "{bad:?}");
    assert_eq!([number(before), number(after)], [1, 2]);
    assert_eq!(head(&timeline).await, 2);
}

#[tokio::test]
async fn after_a_failed_commit_nobody_knows_and_a_repeat_finds_out() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    number(timeline.append(channel(1), draft(1, "before")).await);
    let held = Held::writer(&timeline).await;
    let mut doubted = Box::pin(timeline.append(channel(1), draft(1, "doubted")));
    assert!(poll!(&mut doubted).is_pending());
    // Found wanting only when the transaction is to end.
    let mut bad = Box::pin(timeline.writer.make(0, |ledger: &mut Ledger| {
        Ok(ledger.connection.execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO child VALUES (1)",
        )?)
    }));
    assert!(poll!(&mut bad).is_pending());

    held.let_go().await;

    let doubted = doubted.await;
    assert!(
        matches!(doubted, Err(StoreError::OutcomeUnknown(_))),
        "{doubted:?}"
    );
    assert!(matches!(bad.await, Err(StoreError::OutcomeUnknown(_))));
    assert_eq!(head(&timeline).await, 1);
    assert_eq!(
        number(timeline.append(channel(1), draft(1, "doubted")).await),
        2
    );
    assert_eq!(
        number(timeline.append(channel(1), draft(1, "before")).await),
        1
    );
}

#[tokio::test]
async fn a_panic_in_a_change_leaves_the_engine_working() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    number(timeline.append(channel(1), draft(1, "before")).await);

    let lost = timeline
        .writer
        .make(0, |_: &mut Ledger| -> Result<(), Failure> {
            panic!("on purpose")
        });
    let lost = lost.await;
    let asked = timeline
        .readers
        .ask(|_| -> Result<(), Failure> { panic!("on purpose") })
        .await;

    assert!(
        matches!(lost, Err(StoreError::OutcomeUnknown(_))),
        "{lost:?}"
    );
    assert!(matches!(asked, Err(StoreError::Broken(_))), "{asked:?}");
    assert_eq!(
        number(timeline.append(channel(1), draft(1, "after")).await),
        2
    );
    assert_eq!(head(&timeline).await, 2);
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_is_left_out() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    let held = Held::writer(&timeline).await;
    let mut gone = Box::pin(timeline.append(channel(1), draft(1, "gone")));
    assert!(poll!(&mut gone).is_pending());
    drop(gone);

    held.let_go().await;

    assert_eq!(
        number(timeline.append(channel(1), draft(1, "here")).await),
        1
    );
    assert_eq!(
        number(timeline.append(channel(1), draft(1, "gone")).await),
        2
    );
}

#[tokio::test]
async fn closing_does_what_was_asked_and_refuses_the_rest() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    let mut asked = Box::pin(timeline.append(channel(1), draft(1, "asked")));
    assert!(poll!(&mut asked).is_pending());

    timeline.close().await;

    assert_eq!(number(asked.await), 1);
    let late = timeline.append(channel(1), draft(1, "late")).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    let read = timeline.heads(&[channel(1)]).await;
    assert!(matches!(read, Err(StoreError::Closed)), "{read:?}");
    assert!(
        !file.folder.path().join("timeline.db-wal").exists(),
        "the log is gone"
    );
}

#[tokio::test]
async fn a_hole_in_a_log_is_an_error_and_never_a_shorter_page() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    for key in ["a", "b", "c"] {
        number(timeline.append(channel(1), draft(1, key)).await);
    }
    file.beside()
        .execute("DELETE FROM message WHERE seq = 2", [])
        .expect("deletes");

    let page = timeline.history(channel(1), Place::Newest, 9).await;

    assert!(matches!(page, Err(StoreError::Broken(_))), "{page:?}");
    let whole = timeline
        .history(channel(1), Place::After(Seq(2)), 9)
        .await
        .expect("reads");
    assert_eq!(whole.messages.len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_in_a_sentence() {
    let file = bench();
    let timeline = file.start(Options::default()).await;
    timeline.close().await;
    drop(timeline);
    file.beside()
        .execute("UPDATE meta SET value = 99 WHERE name = 'schema'", [])
        .expect("updates");
    let newer = open(&file).await.err().expect("is newer");
    std::fs::write(
        file.folder.path().join("timeline.db"),
        "no database at all ".repeat(999),
    )
    .expect("writes");
    let other = open(&file).await.err().expect("is something else");

    let sentence = |error: &OpenError| {
        let cause = std::error::Error::source(error).expect("has a cause");
        format!("{error}: {cause}")
    };
    assert!(
        sentence(&newer).contains("timeline.db cannot be used: it was written by a newer version")
    );
    assert!(
        sentence(&other).contains("timeline.db cannot be opened"),
        "{}",
        sentence(&other)
    );
}

#[tokio::test]
async fn old_events_go_once_every_reader_has_had_them() {
    let (file, clock) = (bench(), StoppedClock::new());
    let path = file.folder.path().join("timeline.db");
    let options = Options::default();
    let timeline =
        SqliteTimeline::open(path, Arc::new(clock.clone()), Arc::new(SystemIds), options).await;
    let timeline = timeline.expect("opens");
    let post = async |key: &str| {
        let draft = crate::model::Draft {
            at: clock.now(),
            ..draft(1, key)
        };
        number(timeline.append(channel(1), draft).await);
        // A group is followed by chores: whoever comes after the next one finds them done.
        timeline
            .mark_read(channel(1), user(9), Seq(0), clock.now())
            .await
            .expect("answers");
        file.beside()
            .query_row("SELECT count(*), min(id) FROM outbox", [], |row| {
                Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?))
            })
    };
    post("a").await.expect("counts");
    post("b").await.expect("counts");
    timeline.advance("bus", 2).await.expect("moves");
    assert_eq!(timeline.cursor("slow").await.expect("answers"), 0);

    clock.pass(Duration::from_hours(8 * 24));
    assert_eq!(post("c").await.expect("counts"), (3, 1), "one has had none");
    timeline.advance("slow", 1).await.expect("moves");
    clock.pass(Duration::from_secs(61));
    assert_eq!(
        post("d").await.expect("counts"),
        (3, 2),
        "both have had the first"
    );
    timeline.advance("slow", 4).await.expect("moves");
    timeline.advance("bus", 4).await.expect("moves");
    clock.pass(Duration::from_secs(61));
    assert_eq!(
        post("e").await.expect("counts"),
        (3, 3),
        "the others are young"
    );
}

/// The number of a message that was posted, now or before.
pub(super) fn number(answer: Result<Appended, StoreError>) -> u32 {
    let (Appended::New(message) | Appended::Repeat(message)) = answer.expect("is posted");
    message.id.seq.0
}

/// How many messages and changes channel 1 has; the same number where nothing was edited.
pub(super) async fn head(timeline: &SqliteTimeline) -> u32 {
    let page = timeline
        .history(channel(1), Place::Newest, 9_999)
        .await
        .expect("reads");
    assert_eq!(
        page.head,
        Head {
            seq: Seq(page.head.seq.0),
            rev: Rev(page.head.seq.0)
        }
    );
    page.head.seq.0
}

async fn open(file: &File) -> Result<SqliteTimeline, OpenError> {
    let path = file.folder.path().join("timeline.db");
    let clock = Arc::new(SystemClock::new());
    SqliteTimeline::open(path, clock, Arc::new(SystemIds), Options::default()).await
}
