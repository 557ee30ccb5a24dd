use std::os::unix::fs::PermissionsExt as _;

use guildhall_store::{
    StoreError, Write,
    outbox::{self, CountOutbox, CreateOutbox, Event},
    sqlite,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::support::{CreateThings, Database, Tables};

/// Knows one change less than [`Tables`].
struct Older;

impl MigratorTrait for Older {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateOutbox)]
    }
}

#[tokio::test]
async fn a_commit_is_synced_and_foreign_keys_hold() {
    let database = Database::new().await;

    assert_eq!(database.pragma("journal_mode").await, "wal");
    assert_eq!(database.pragma("synchronous").await, "2", "FULL");
    assert_eq!(database.pragma("foreign_keys").await, "1");
}

#[tokio::test]
async fn a_file_is_for_its_owner_only() {
    let database = Database::new().await;
    database.add("a").await.expect("adds");

    for file in std::fs::read_dir(database.folder()).expect("lists") {
        let file = file.expect("a file");
        let mode = file.metadata().expect("its mode").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}

#[tokio::test]
async fn opening_again_keeps_what_is_there() {
    let database = Database::new().await;
    database.add("a").await.expect("adds");
    database.entities.close().await;

    let again = sqlite::open::<Tables>(&database.path())
        .await
        .expect("opens");

    let found = sea_orm::ConnectionTrait::query_all_raw(
        again.read(),
        sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT name FROM thing"),
    );
    assert_eq!(found.await.expect("reads").len(), 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_with_a_sentence() {
    let database = Database::new().await;
    database.entities.close().await;

    let refused = sqlite::open::<Older>(&database.path())
        .await
        .expect_err("newer");

    assert!(matches!(&refused, StoreError::Newer { change, .. } if change == "outbox_2"));
    let sentence = refused.to_string();
    assert!(
        sentence.contains("newer version of Guildhall") && sentence.contains("test.db"),
        "{sentence}"
    );
}

#[tokio::test]
async fn changes_of_tables_are_made_all_or_none() {
    struct Broken;
    #[async_trait::async_trait]
    impl MigrationTrait for Broken {
        async fn up(
            &self,
            manager: &sea_orm_migration::SchemaManager,
        ) -> Result<(), sea_orm::DbErr> {
            sea_orm::ConnectionTrait::execute_unprepared(
                manager.get_connection(),
                "CREATE nonsense",
            )
            .await
            .map(drop)
        }
    }
    impl sea_orm_migration::MigrationName for Broken {
        fn name(&self) -> &'static str {
            "things_2"
        }
    }
    struct Half;
    impl MigratorTrait for Half {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            vec![
                Box::new(CreateOutbox),
                Box::new(CountOutbox),
                Box::new(CreateThings),
                Box::new(Broken),
            ]
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.db");

    sqlite::open::<Half>(&path).await.expect_err("broken");

    // Had the changes before the broken one stayed, this one would not know them.
    let older = sqlite::open::<Older>(&path).await;
    assert!(older.is_ok(), "{older:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_called_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.db");
    std::fs::write(
        &path,
        "no database at all, but long enough to be looked at".repeat(100),
    )
    .expect("writes");

    let refused = sqlite::open::<Tables>(&path).await.expect_err("refused");

    assert!(matches!(refused, StoreError::Damaged(_)), "{refused:?}");
}

#[tokio::test]
async fn an_outbox_from_before_it_was_counted_goes_on_with_the_next_number() {
    struct Counted;
    impl MigratorTrait for Counted {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            vec![Box::new(CreateOutbox), Box::new(CountOutbox)]
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.db");
    let before = sqlite::open::<Older>(&path).await.expect("opens");
    let told_and_forgotten = "INSERT INTO outbox(event_id, subject, payload, at) VALUES (x'01', '', x'', 0), (x'02', '', x'', 0);
        DELETE FROM outbox";
    before
        .write(async |write: &Write| {
            sea_orm::ConnectionTrait::execute_unprepared(write, told_and_forgotten).await?;
            Ok::<_, StoreError>(())
        })
        .await
        .expect("writes");
    before.close().await;

    let after = sqlite::open::<Counted>(&path).await.expect("opens");
    after
        .write(async |write: &Write| {
            let event = Event {
                id: guildhall_kernel::EventId::of(uuid::Uuid::from_u128(3)),
                subject: "test.3.Done".into(),
                payload: Vec::new(),
                at: guildhall_kernel::Time::from_micros(0),
            };
            outbox::append(write, event);
            Ok::<_, StoreError>(())
        })
        .await
        .expect("appends");

    let events = outbox::read(&after, 0, 10).await.expect("reads");
    assert_eq!(events[0].0, 3);
}
