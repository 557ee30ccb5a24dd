//! Readers go by a cursor: no event may appear below one that was seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use guildhall_kernel::{EventId, Time};
use guildhall_store::{
    StoreError, Write,
    outbox::{self, Event},
};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Place;

const WRITERS: usize = 8;
const EACH: usize = 40;

/// How long a transaction goes on after it has told its event: now long, now short.
fn rest(n: usize) -> Duration {
    Duration::from_millis([7, 0, 3, 1, 0, 5][n % 6])
}

/// Follows with a cursor until the writers are done, and then once more. Returns how many it saw.
async fn follow(done: &AtomicUsize, read: impl AsyncFn(u64) -> Vec<u64>) -> usize {
    let (mut cursor, mut seen) = (0, 0);
    loop {
        let was_last = done.load(Ordering::SeqCst) == WRITERS;
        let numbers = read(cursor).await;
        assert!(numbers.is_sorted());
        seen += numbers.len();
        cursor = numbers.last().copied().unwrap_or(cursor);
        if was_last && numbers.is_empty() {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_with_a_cursor_sees_every_event_of_many_writers_and_no_gap() {
    let Some(place) = Place::new().await else {
        return;
    };
    let entities = place.entities().await;
    let (done, mut writers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for writer in 0..WRITERS {
        let (entities, done) = (entities.clone(), done.clone());
        writers.spawn(async move {
            for n in 0..EACH {
                let kept = entities.write(async |write: &Write| {
                    outbox::append(write, event(writer * EACH + n));
                    tokio::time::sleep(rest(writer + n)).await;
                    Ok::<_, StoreError>(())
                });
                kept.await.expect("writes");
            }
            done.fetch_add(1, Ordering::SeqCst);
        });
    }

    let seen = follow(&done, async |after| {
        let events = outbox::read(&entities, after, 1_000).await.expect("reads");
        let numbers: Vec<_> = events.into_iter().map(|(number, _)| number).collect();
        let expected: Vec<_> = (after + 1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "no gap, not even for a moment");
        numbers
    })
    .await;

    writers.join_all().await;
    assert_eq!(seen, WRITERS * EACH);
    entities.close().await;
    place.drop().await;
}

/// Why one row counts: the same with numbers from a sequence. Were this to see everything, the test above would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_sequence_would_miss_events() {
    let Some(place) = Place::new().await else {
        return;
    };
    let entities = place.entities().await;
    let database = place.database().await;
    let table = "CREATE TABLE numbered(n bigint GENERATED ALWAYS AS IDENTITY, x int)";
    database.execute_unprepared(table).await.expect("makes");
    let (done, mut writers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for writer in 0..WRITERS {
        let (entities, done) = (entities.clone(), done.clone());
        writers.spawn(async move {
            for n in 0..EACH {
                let kept = entities.write(async |write: &Write| {
                    let tell = "INSERT INTO numbered(x) VALUES (1)";
                    write.execute_unprepared(tell).await?;
                    tokio::time::sleep(rest(writer + n)).await;
                    Ok::<_, StoreError>(())
                });
                kept.await.expect("writes");
            }
            done.fetch_add(1, Ordering::SeqCst);
        });
    }

    let seen = follow(&done, async |after| {
        let ask = format!("SELECT n FROM numbered WHERE n > {after} ORDER BY n");
        let ask = Statement::from_string(sea_orm::DbBackend::Postgres, ask);
        let rows = entities.read().query_all_raw(ask).await.expect("reads");
        let number = |row: &sea_orm::QueryResult| {
            let number: i64 = row.try_get("", "n").expect("a number");
            u64::try_from(number).expect("counted from 1")
        };
        rows.iter().map(number).collect()
    })
    .await;

    writers.join_all().await;
    assert!(seen < WRITERS * EACH, "all of {seen} seen");
    entities.close().await;
    database.close().await.expect("closes");
    place.drop().await;
}

fn event(n: usize) -> Event {
    Event {
        id: EventId::of(Uuid::from_u128(n as u128)),
        subject: format!("test.{n}.Done"),
        payload: Vec::new(),
        at: Time::from_micros(0),
    }
}
