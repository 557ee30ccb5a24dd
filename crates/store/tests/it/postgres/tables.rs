use guildhall_store::{
    StoreError, Write,
    outbox::CreateOutbox,
    postgres::{self, Server},
};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use super::Place;
use crate::support::{Tables, add};

/// Knows less than [`Tables`].
struct Older;

impl MigratorTrait for Older {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateOutbox)]
    }
}

#[tokio::test]
async fn opening_never_changes_tables_and_says_what_to_run() {
    let Some(place) = Place::new().await else {
        return;
    };
    let schema = place.schema();

    let nothing = postgres::open::<Tables>(&schema)
        .await
        .expect_err("no schema");
    postgres::migrate::<Older>(&schema).await.expect("migrates");
    let behind = postgres::open::<Tables>(&schema).await.expect_err("older");
    let made = postgres::migrate::<Tables>(&schema)
        .await
        .expect("migrates");
    let ahead = postgres::open::<Older>(&schema).await.expect_err("newer");

    assert!(matches!(&nothing, StoreError::Behind { change, .. } if change == "outbox_1"));
    assert!(matches!(&behind, StoreError::Behind { change, .. } if change == "things_1"));
    assert!(
        behind.to_string().contains("run `guildhall migrate` first"),
        "{behind}"
    );
    assert!(behind.to_string().contains(&place.name), "{behind}");
    assert_eq!(made, ["things_1", "outbox_2"]);
    assert!(matches!(ahead, StoreError::Newer { .. }), "{ahead:?}");
    place.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_migrate_at_once_one_makes_the_changes() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut tasks = tokio::task::JoinSet::new();

    for _ in 0..6 {
        let schema = place.schema();
        tasks.spawn(async move { postgres::migrate::<Tables>(&schema).await });
    }
    let made = tasks.join_all().await;

    let mut made: Vec<_> = made
        .into_iter()
        .map(|made| made.expect("migrates").len())
        .collect();
    made.sort_unstable();
    assert_eq!(made, [0, 0, 0, 0, 0, 3]);
    place.drop().await;
}

#[tokio::test]
async fn text_is_ordered_by_its_bytes_as_in_a_file() {
    let Some(place) = Place::new().await else {
        return;
    };
    let entities = place.entities().await;
    let names = ["_", "a", "B", "ä", "Z", "z", " b", "a-b", "ab"];
    for name in names {
        let added = entities.write(async |write: &Write| add(write, name).await);
        added.await.expect("adds");
    }

    let ask = "SELECT name FROM thing ORDER BY name";
    let ask = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, ask);
    let rows = entities.read().query_all_raw(ask).await.expect("reads");
    let found: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("", "name").expect("a name"))
        .collect();

    let mut by_bytes = names;
    by_bytes.sort_unstable();
    assert_eq!(found, by_bytes);
    entities.close().await;
    place.drop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let url = format!("postgres://ann:s3cret@{address}/hall");
    let server = Server::parse(&url, None, 2).expect("a URL");
    let schema = server.schema("guildhall_test").expect("a name");

    let refused = postgres::open::<Tables>(&schema)
        .await
        .expect_err("not there");

    assert!(
        matches!(refused, StoreError::Unreachable { .. }),
        "{refused:?}"
    );
    let told = format!("{refused} {refused:?}");
    assert!(
        told.contains(&address.to_string()) && !told.contains("s3cret"),
        "{told}"
    );
}

#[tokio::test]
async fn a_server_tells_how_it_is() {
    let Some(place) = Place::new().await else {
        return;
    };
    let server = Server::parse(&place.url, None, 2).expect("a URL");

    let condition = server.ask().await.expect("answers");

    assert_eq!(condition.wrong(), None);
    assert!(condition.unsafe_settings.is_empty(), "{condition:?}");
    assert!(condition.connections > 10);
}
