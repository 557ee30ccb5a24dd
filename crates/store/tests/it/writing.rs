use std::{pin::pin, time::Duration};

use guildhall_kernel::{Failure as _, Kind};
use guildhall_store::{StoreError, Write};
use sea_orm::{ConnectionTrait as _, Statement};

use crate::{
    engine::is_on_postgres,
    support::{Database, add},
};

#[tokio::test]
async fn an_error_undoes_everything() {
    let database = Database::new().await;

    let result = database
        .entities
        .write(async |write: &Write| {
            add(write, "a").await?;
            Err::<(), _>(StoreError::Busy)
        })
        .await;

    assert!(matches!(result, Err(StoreError::Busy)));
    assert!(database.names().await.is_empty());
    database.add("b").await.expect("the writer works on");
}

#[tokio::test]
async fn readers_cannot_write() {
    let database = Database::new().await;

    let refused = database
        .entities
        .read()
        .execute_unprepared("INSERT INTO thing VALUES ('a')")
        .await;

    let refused = StoreError::from(refused.expect_err("read-only"));
    assert!(matches!(refused, StoreError::Io(_)), "{refused:?}");
}

#[tokio::test]
async fn a_taken_value_is_told_apart() {
    let database = Database::new().await;
    database.add("a").await.expect("adds");

    let refused = database.add("a").await.expect_err("taken");

    assert!(matches!(refused, StoreError::Taken(_)), "{refused:?}");
    assert_eq!(refused.kind(), Kind::Exists);
}

#[tokio::test]
async fn after_a_failed_commit_the_outcome_is_unknown_and_the_writer_is_a_new_one() {
    // On a server others write beside it; `a_failed_commit_leaves_the_others_alone` looks at that.
    if is_on_postgres() {
        return;
    }
    let database = Database::new().await;

    // The missing parent shows at the commit only.
    let result = database
        .entities
        .write(async |write: &Write| {
            // Would be seen by the next transaction if it ran on the same connection.
            write
                .execute_unprepared("CREATE TEMP TABLE mark(x)")
                .await?;
            write
                .execute_unprepared("INSERT INTO part VALUES ('nobody')")
                .await?;
            Ok::<_, StoreError>(())
        })
        .await;

    assert!(
        matches!(result, Err(StoreError::OutcomeUnknown(_))),
        "{result:?}"
    );
    let mark = database
        .entities
        .write(async |write: &Write| {
            let ask = Statement::from_string(
                write.get_database_backend(),
                "SELECT 1 FROM sqlite_temp_schema WHERE name = 'mark'",
            );
            Ok::<_, StoreError>(write.query_one_raw(ask).await?)
        })
        .await
        .expect("a new writer");
    assert!(mark.is_none());
    database.add("a").await.expect("writes on");
}

#[tokio::test]
async fn a_write_whose_caller_goes_away_is_undone_and_others_go_on() {
    let database = Database::new().await;

    {
        let stuck = pin!(database.entities.write(async |write: &Write| {
            add(write, "a").await?;
            std::future::pending::<Result<(), StoreError>>().await
        }));
        let cut = tokio::time::timeout(Duration::from_millis(100), stuck).await;
        assert!(cut.is_err());
    }

    database.add("b").await.expect("writes on");
    assert_eq!(database.names().await, ["b"]);
}

#[tokio::test]
async fn a_failed_commit_leaves_the_others_alone() {
    let database = Database::new().await;

    // The missing parent shows at the commit only.
    let result = database
        .entities
        .write(async |write: &Write| {
            write
                .execute_unprepared("INSERT INTO part VALUES ('nobody')")
                .await?;
            Ok::<_, StoreError>(())
        })
        .await;

    assert!(
        matches!(result, Err(StoreError::OutcomeUnknown(_))),
        "{result:?}"
    );
    database.add("a").await.expect("writes on");
    assert_eq!(database.names().await, ["a"]);
}

#[tokio::test]
async fn what_goes_on_after_a_failed_statement_is_not_committed() {
    let database = Database::new().await;
    database.add("a").await.expect("adds");

    let result = database
        .entities
        .write(async |write: &Write| {
            add(write, "b").await?;
            // An engine may answer the commit of this as if all were well.
            let _passed_over = add(write, "a").await;
            Ok::<_, StoreError>(())
        })
        .await;

    assert!(matches!(result, Err(StoreError::Taken(_))), "{result:?}");
    assert_eq!(database.names().await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_first_and_is_overtaken_looks_again() {
    let database = Database::new().await;
    let mut tasks = tokio::task::JoinSet::new();

    for _ in 0..32 {
        let entities = database.entities.clone();
        tasks.spawn(async move {
            let made = entities.write(async |write: &Write| {
                let backend = write.get_database_backend();
                let ask = Statement::from_string(backend, "SELECT name FROM thing");
                let is_there = write.query_one_raw(ask).await?.is_some();
                if !is_there {
                    add(write, "only").await?;
                }
                Ok::<_, StoreError>(!is_there)
            });
            made.await.expect("never in the way of each other")
        });
    }
    let made = tasks.join_all().await;

    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    assert_eq!(database.names().await, ["only"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_alone_reads_what_stays_true() {
    let database = Database::new().await;
    let mut tasks = tokio::task::JoinSet::new();

    for _ in 0..32 {
        let entities = database.entities.clone();
        tasks.spawn(async move {
            let numbered = entities.write(async |write: &Write| {
                write.alone("things").await?;
                let ask = Statement::from_string(
                    write.get_database_backend(),
                    "SELECT COUNT(*) AS n FROM thing",
                );
                let row = write.query_one_raw(ask).await?.expect("a row");
                let n: i64 = row.try_get("", "n")?;
                add(write, &n.to_string()).await
            });
            numbered.await
        });
    }
    let done = tasks.join_all().await;

    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(database.names().await.len(), 32);
}

#[tokio::test]
async fn too_many_writes_are_refused_as_busy() {
    let database = Database::new().await;
    let mut first = Box::pin(
        database
            .entities
            .write(async |_: &Write| std::future::pending::<Result<(), StoreError>>().await),
    );
    assert!(
        tokio::time::timeout(Duration::from_millis(50), first.as_mut())
            .await
            .is_err()
    );
    let mut waiting = Vec::new();
    for _ in 1..1_024 {
        let mut next = Box::pin(database.add("a"));
        std::future::poll_fn(|cx| {
            let _ = next.as_mut().poll(cx);
            std::task::Poll::Ready(())
        })
        .await;
        waiting.push(next);
    }

    let refused = database.add("b").await.expect_err("too many");

    assert!(matches!(refused, StoreError::Busy), "{refused:?}");
    assert_eq!(refused.kind(), Kind::Exhausted);
}

#[tokio::test]
async fn a_snapshot_sees_one_state() {
    let database = Database::new().await;
    database.add("a").await.expect("adds");

    let counts = database
        .entities
        .snapshot(async |read: &sea_orm::DatabaseTransaction| {
            let backend = read.get_database_backend();
            let ask = || Statement::from_string(backend, "SELECT name FROM thing");
            let before = read.query_all_raw(ask()).await?.len();
            database.add("b").await?;
            let after = read.query_all_raw(ask()).await?.len();
            Ok::<_, StoreError>((before, after))
        })
        .await
        .expect("reads");

    assert_eq!(counts, (1, 1));
}

/// Handlers of services are Send: what they await must be, too.
#[tokio::test]
async fn a_write_can_be_awaited_in_a_task() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    let database = Database::new().await;
    let entities = database.entities.clone();
    let name = String::from("a");

    sendable(async move {
        let name = &name;
        entities
            .write(async |write: &Write| add(write, name).await)
            .await
    })
    .await
    .expect("writes");

    assert_eq!(database.names().await, ["a"]);
}
