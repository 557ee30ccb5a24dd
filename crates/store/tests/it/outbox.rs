use guildhall_kernel::{EventId, Time};
use guildhall_store::{
    StoreError, Write,
    outbox::{self, Event, KEPT},
};
use uuid::Uuid;

use crate::support::Database;

fn event(n: u128) -> Event {
    Event {
        id: EventId::of(Uuid::from_u128(n)),
        subject: format!("test.{n}.Done"),
        payload: vec![1, 2],
        at: Time::from_micros(0),
    }
}

/// Appends one event and returns its number.
async fn append(database: &Database, n: u128) -> Result<u64, StoreError> {
    let mut grown = database.entities.grown();
    database
        .entities
        .write(async |write: &Write| {
            outbox::append(write, event(n));
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(*grown.borrow_and_update())
}

#[tokio::test]
async fn events_come_back_in_the_order_of_their_commits() {
    let database = Database::new().await;
    for n in 1..=3 {
        append(&database, n).await.expect("appends");
    }

    let all = outbox::read(&database.entities, 0, 10)
        .await
        .expect("reads");
    let rest = outbox::read(&database.entities, all[0].0, 1)
        .await
        .expect("reads");

    assert_eq!(
        all.iter()
            .map(|(_, event)| event.clone())
            .collect::<Vec<_>>(),
        [event(1), event(2), event(3)]
    );
    assert_eq!(rest, [all[1].clone()]);
}

#[tokio::test]
async fn an_event_is_kept_only_with_its_change_and_only_once() {
    let database = Database::new().await;
    append(&database, 1).await.expect("appends");

    let repeated = append(&database, 1).await;
    let undone = database.entities.write(async |write: &Write| {
        outbox::append(write, event(2));
        Err::<(), _>(StoreError::Busy)
    });

    assert!(undone.await.is_err());
    assert!(
        matches!(repeated, Err(StoreError::Taken(_))),
        "{repeated:?}"
    );
    assert_eq!(
        outbox::read(&database.entities, 0, 10)
            .await
            .expect("reads")
            .len(),
        1
    );
}

#[tokio::test]
async fn the_signal_comes_with_the_commit_of_an_event_and_of_nothing_else() {
    let database = Database::new().await;
    let mut grown = database.entities.grown();

    database.add("a").await.expect("adds");
    assert!(!grown.has_changed().expect("open"));
    let number = append(&database, 1).await.expect("appends");

    assert!(grown.has_changed().expect("open"));
    assert_eq!(*grown.borrow_and_update(), number);
}

#[tokio::test]
async fn a_cursor_moves_up_only() {
    let database = Database::new().await;
    let entities = &database.entities;

    assert_eq!(outbox::cursor(entities, "bus").await.expect("reads"), 0);
    for to in [5, 3] {
        outbox::advance(entities, "bus", to).await.expect("moves");
    }

    assert_eq!(outbox::cursor(entities, "bus").await.expect("reads"), 5);
}

#[tokio::test]
async fn what_is_old_and_read_by_everybody_is_forgotten() {
    let database = Database::new().await;
    let entities = &database.entities;
    for n in 1..=3 {
        append(&database, n).await.expect("appends");
    }
    let late = Time::from_micros(1).plus(KEPT);

    assert_eq!(
        outbox::prune(entities, late).await.expect("prunes"),
        0,
        "nobody has read yet"
    );
    outbox::advance(entities, "bus", 3).await.expect("moves");
    outbox::advance(entities, "mail", 2).await.expect("moves");
    assert_eq!(
        outbox::prune(entities, late.minus(std::time::Duration::from_secs(1)))
            .await
            .expect("prunes"),
        0,
        "not old"
    );
    assert_eq!(outbox::prune(entities, late).await.expect("prunes"), 2);

    let left = outbox::read(entities, 0, 10).await.expect("reads");
    assert_eq!(
        left.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [3]
    );
    let readers = outbox::readers(entities).await.expect("reads");
    assert_eq!(readers.len(), 2, "{readers:?}");
    outbox::leave(entities, "mail").await.expect("leaves");
    outbox::prune(entities, late).await.expect("prunes");
    assert_eq!(
        append(&database, 4).await.expect("appends"),
        4,
        "numbers are not given twice"
    );
}
