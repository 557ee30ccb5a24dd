//! What becomes of a write when the way to the server is cut, or others stand in its way.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use guildhall_store::{Entities, StoreError, Write, postgres};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Barrier,
    task::JoinSet,
};

use super::Place;
use crate::support::{Tables, add};

/// Stands between a client and the server. Cuts the first connection on which a given text comes by.
struct Proxy {
    url: String,
    _tasks: JoinSet<()>,
}

/// When the connection is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The text never reaches the server.
    Before,
    /// The server has done what it says; its answer is lost.
    After,
}

impl Proxy {
    async fn new(server: &str, text: &'static str, cut: Cut) -> Self {
        let (before, rest) = server.rsplit_once('@').expect("a user");
        let (address, database) = rest.split_once('/').expect("a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("bound");
        let url = format!("{before}@{own}/{database}?sslmode=disable");
        let address = address.to_owned();
        let cuts = Arc::new(AtomicUsize::new(1));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.expect("the server");
                connections.spawn(pass(client, server, text, cut, cuts.clone()));
            }
        });
        Self { url, _tasks: tasks }
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    text: &'static str,
    cut: Cut,
    cuts: Arc<AtomicUsize>,
) {
    let (mut asked, mut answered) = ([0; 8_192], [0; 8_192]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &asked[..length];
                let is_it = bytes.windows(text.len()).any(|part| part == text.as_bytes());
                if is_it && cuts.swap(0, Ordering::SeqCst) == 1 {
                    if cut == Cut::After {
                        server.write_all(bytes).await.expect("the server");
                        let _lost = server.read(&mut answered).await;
                    }
                    return;
                }
                if server.write_all(bytes).await.is_err() { return }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() { return }
            }
        }
    }
}

async fn through(place: &Place, text: &'static str, cut: Cut) -> (Proxy, Entities) {
    postgres::migrate::<Tables>(&place.schema())
        .await
        .expect("migrates");
    let proxy = Proxy::new(&place.url, text, cut).await;
    let schema = place.schema_at(&proxy.url);
    let entities = postgres::open::<Tables>(&schema).await.expect("opens");
    (proxy, entities)
}

async fn names(entities: &Entities) -> Vec<String> {
    let ask = "SELECT name FROM thing ORDER BY name";
    let ask = Statement::from_string(sea_orm::DbBackend::Postgres, ask);
    let rows = entities.read().query_all_raw(ask).await.expect("reads");
    let name = |row: &sea_orm::QueryResult| row.try_get("", "name").expect("a name");
    rows.iter().map(name).collect()
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_has_an_unknown_outcome_and_is_not_tried_again() {
    let Some(place) = Place::new().await else {
        return;
    };
    let (_proxy, entities) = through(&place, "COMMIT", Cut::After).await;

    let lost = entities
        .write(async |write: &Write| add(write, "a").await)
        .await;

    assert!(
        matches!(lost, Err(StoreError::OutcomeUnknown(_))),
        "{lost:?}"
    );
    assert_eq!(names(&entities).await, ["a"], "it was made");
    let next = entities
        .write(async |write: &Write| add(write, "b").await)
        .await;
    assert!(next.is_ok(), "{next:?}");
    entities.close().await;
    place.drop().await;
}

#[tokio::test]
async fn a_commit_that_never_arrived_has_an_unknown_outcome_too() {
    let Some(place) = Place::new().await else {
        return;
    };
    let (_proxy, entities) = through(&place, "COMMIT", Cut::Before).await;

    let lost = entities
        .write(async |write: &Write| add(write, "a").await)
        .await;

    assert!(
        matches!(lost, Err(StoreError::OutcomeUnknown(_))),
        "{lost:?}"
    );
    assert!(names(&entities).await.is_empty(), "it was not made");
    entities.close().await;
    place.drop().await;
}

#[tokio::test]
async fn a_write_that_is_cut_off_before_its_commit_is_made_once_by_another_try() {
    let Some(place) = Place::new().await else {
        return;
    };
    for cut in [Cut::Before, Cut::After] {
        let (_proxy, entities) = through(&place, "INSERT INTO thing", cut).await;
        let name = if cut == Cut::Before { "a" } else { "b" };

        let made = entities
            .write(async |write: &Write| add(write, name).await)
            .await;

        assert!(made.is_ok(), "{made:?}");
        entities.close().await;
    }
    let entities = place.entities().await;
    assert_eq!(names(&entities).await, ["a", "b"]);
    entities.close().await;
    place.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writes_that_wait_for_each_other_are_both_made() {
    let Some(place) = Place::new().await else {
        return;
    };
    let entities = place.entities().await;
    let (met, tries) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();

    for names in [["a", "b"], ["b", "a"]] {
        let (entities, met, tries) = (entities.clone(), met.clone(), tries.clone());
        tasks.spawn(async move {
            let made = entities.write(async |write: &Write| {
                write.alone(names[0]).await?;
                if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                    met.wait().await;
                }
                write.alone(names[1]).await
            });
            made.await
        });
    }
    let made = tasks.join_all().await;

    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert!(tries.load(Ordering::SeqCst) > 2, "nobody met anybody");
    entities.close().await;
    place.drop().await;
}
