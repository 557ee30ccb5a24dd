//! What happens at the same time. One process stands for many: on PostgreSQL its transactions run beside each other, as those of other
//! processes do.

use std::{collections::HashSet, time::Duration};

use guildhall_mesh::Reason;
use guildhall_proto::auth::v1 as pb;
use pb::{
    SpaceRole::{Member, Moderator, Owner},
    access_change::What,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::{
    engine::is_on_postgres,
    support::{Hall, Person, application, refusal},
};

/// How many do the same at the same time.
const AT_ONCE: usize = 12;
/// How often two meet, so that they meet in every way.
const ROUNDS: usize = 15;

/// Runs them all at once.
async fn all<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    calls.into_iter().collect::<JoinSet<_>>().join_all().await
}

/// Runs two at once.
async fn both<T: Send + 'static>(
    one: impl Future<Output = T> + Send + 'static,
    other: impl Future<Output = T> + Send + 'static,
) -> (T, T) {
    let mut task = JoinSet::new();
    task.spawn(one);
    let other = other.await;
    let one = task.join_next().await.expect("is there");
    (one.expect("ends"), other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_want_one_username_one_gets_it_and_the_others_are_told() {
    let hall = Hall::new().await;

    let answers = all((0..AT_ONCE).map(|n| {
        let mut accounts = hall.accounts();
        let mut request = application("alice");
        request.email = format!("alice{n}@example.org");
        async move { accounts.register(request).await }
    }))
    .await;

    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for answer in refused {
        assert_eq!(
            refusal(answer),
            (Code::AlreadyExists, Reason::UsernameTaken)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_many_end_at_once_ends_once() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let other = hall.login("alice").await;
    let list = pb::ListSessionsRequest::default();
    let listed = alice.sessions().list_sessions(alice.asks(list)).await;
    let sessions = listed.expect("lists").into_inner().sessions;
    let ends = sessions
        .iter()
        .find(|one| !one.current)
        .expect("the other")
        .id
        .clone();

    let answers = all((0..AT_ONCE).map(|_| {
        let (alice, session_id) = (alice.clone(), ends.clone());
        async move {
            let request = pb::EndSessionRequest { session_id };
            alice.sessions().end_session(alice.asks(request)).await
        }
    }))
    .await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(hall.changes(0).await.changes.len(), 1);
    assert!(other.me().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_changes_of_one_profile_are_both_kept() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let update = |display_name: Option<String>, status_text: Option<String>| {
        let alice = alice.clone();
        async move {
            let request = pb::UpdateMeRequest {
                display_name,
                status_text,
            };
            alice.accounts().update_me(alice.asks(request)).await
        }
    };

    for n in 0..ROUNDS {
        let (name, status) = (format!("Alice {n}"), format!("busy {n}"));
        let (first, second) = both(
            update(Some(name.clone()), None),
            update(None, Some(status.clone())),
        )
        .await;
        assert!(first.is_ok() && second.is_ok());

        let user = alice.me().await.expect("answers").user.expect("a user");
        assert_eq!((user.display_name, user.status_text), (name, status));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_makes_one_team_though_many_ask_at_once() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let request = pb::CreateSpaceRequest {
        kind: pb::SpaceKind::Team.into(),
        name: "The team".into(),
        member_ids: vec![bob.id.clone()],
        key: "k".into(),
    };

    let answers = all((0..AT_ONCE).map(|_| {
        let (alice, request) = (alice.clone(), request.clone());
        async move { alice.create(request).await }
    }))
    .await;

    let ids: HashSet<_> = answers
        .into_iter()
        .map(|answer| answer.expect("creates").id)
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(hall.changes(0).await.head, 2, "two came in, once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_space_is_made_once_though_many_ask_at_once() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let request = pb::EnsureDirectSpaceRequest {
        space_id: uuid::Uuid::from_u128(0xd1ec).to_string(),
        user_ids: vec![alice.id.clone(), bob.id.clone()],
    };

    let answers = all((0..AT_ONCE).map(|_| {
        let (mut access, request) = (hall.access(), request.clone());
        async move { access.ensure_direct_space(request).await }
    }))
    .await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(hall.changes(0).await.head, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_owners_who_leave_at_once_one_stays() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let leave = |who: &Person, space: &str| {
        let (who, space) = (who.clone(), space.to_owned());
        async move { who.remove(&space, &who.id).await }
    };

    for _ in 0..ROUNDS {
        let space = hall.team(&alice, &[&bob]).await;
        alice
            .set_role(&space, &bob.id, Owner)
            .await
            .expect("changes");

        let (one, other) = both(leave(&alice, &space), leave(&bob, &space)).await;

        let refused = if one.is_ok() { other } else { one };
        let roles = [
            hall.role(&alice, &space).await,
            hall.role(&bob, &space).await,
        ];
        assert_eq!(roles.iter().filter(|role| **role == Owner).count(), 1);
        assert_eq!(
            refusal(refused),
            (Code::FailedPrecondition, Reason::LastOwner)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_owners_who_step_down_at_once_one_stays() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let step_down = |who: &Person, space: &str| {
        let (who, space) = (who.clone(), space.to_owned());
        async move { who.set_role(&space, &who.id, Member).await.map(drop) }
    };

    for _ in 0..ROUNDS {
        let space = hall.team(&alice, &[&bob]).await;
        alice
            .set_role(&space, &bob.id, Owner)
            .await
            .expect("changes");

        let (one, other) = both(step_down(&alice, &space), step_down(&bob, &space)).await;

        assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
        let roles = [
            hall.role(&alice, &space).await,
            hall.role(&bob, &space).await,
        ];
        assert_eq!(roles.iter().filter(|role| **role == Owner).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_demoted_meanwhile_sends_nobody_away() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);

    for _ in 0..ROUNDS {
        let space = hall.team(&alice, &[&bob]).await;
        alice
            .set_role(&space, &bob.id, Owner)
            .await
            .expect("changes");
        let (demotes, removes) = ((alice.clone(), bob.clone()), (bob.clone(), alice.clone()));
        let (here, there) = (space.clone(), space.clone());

        let (demoted, removed) = both(
            async move {
                demotes
                    .0
                    .set_role(&here, &demotes.1.id, Member)
                    .await
                    .map(drop)
            },
            async move { removes.0.remove(&there, &removes.1.id).await },
        )
        .await;

        // Whoever came second was no owner any more.
        assert_ne!(demoted.is_ok(), removed.is_ok(), "{demoted:?} {removed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_is_added_by_many_at_once_comes_in_once() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let space = hall.team(&alice, &[]).await;
    let before = hall.changes(0).await.head;

    let answers = all((0..AT_ONCE).map(|_| {
        let (alice, bob, space) = (alice.clone(), bob.clone(), space.clone());
        async move { alice.add(&space, &bob, Moderator).await }
    }))
    .await;

    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let changes = hall.changes(before).await.changes;
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_that_many_delete_and_rename_ends_once_and_has_no_name_after_that() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    for _ in 0..5 {
        let space = hall.team(&alice, &[]).await;
        let head = hall.changes(0).await.head;

        let answers = all((0..AT_ONCE).map(|n| {
            let (alice, space) = (alice.clone(), space.clone());
            async move {
                if n % 3 == 1 {
                    alice.delete(&space).await
                } else {
                    gone_or_done(alice.rename(&space, &format!("Name {n}")).await)
                }
            }
        }))
        .await;

        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let changes = hall.changes(head).await.changes;
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(matches!(changes[0].what, Some(What::SpaceDeleted(_))));
        let told = hall.auth.journal.read(0, 10_000).await.expect("reads");
        let (_, last) = told.last().expect("told");
        assert!(last.subject.ends_with("AccessChanged"), "{}", last.subject);
    }
}

/// A rename that came too late is refused, and that is as it should be.
fn gone_or_done(answer: Result<pb::Space, Status>) -> Result<(), Status> {
    match answer {
        Err(status) if status.code() != Code::NotFound => Err(status),
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_changes_misses_none_of_many_made_at_once() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let mut spaces = Vec::new();
    for _ in 0..6 {
        spaces.push(hall.team(&alice, &[&bob]).await);
    }
    let begin = hall.changes(0).await.head;
    let mut writers: JoinSet<_> = spaces
        .into_iter()
        .map(|space| {
            let (alice, bob) = (alice.clone(), bob.clone());
            async move {
                for n in 0..20 {
                    let role = if n % 2 == 0 { Moderator } else { Member };
                    alice
                        .set_role(&space, &bob.id, role)
                        .await
                        .expect("changes");
                }
            }
        })
        .collect();

    let (mut cursor, mut seen) = (begin, 0);
    loop {
        while let Some(done) = writers.try_join_next() {
            done.expect("changes");
        }
        let is_over = writers.is_empty();
        let answer = hall.changes(cursor).await;
        assert!(!answer.reset, "a gap above {cursor}");
        for change in &answer.changes {
            assert_eq!(change.n, cursor + 1);
            cursor = change.n;
            seen += 1;
        }
        if is_over && answer.changes.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    assert_eq!(seen, 6 * 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_share_their_keys_and_each_other_s_tokens() {
    if !is_on_postgres() {
        // A file has one process.
        return;
    }
    let data = Hall::new().await.stop().await;
    let database = data.database().await;
    for table in ["signing_key", "secret"] {
        let empty = format!("DELETE FROM {table}");
        sea_orm::ConnectionTrait::execute_unprepared(&database, &empty)
            .await
            .expect("empties");
    }

    let halls = all((0..4).map(|_| Hall::start(data.clone()))).await;

    let alice = halls[0].person("alice").await;
    for hall in &halls {
        assert!(
            hall.refresh(&alice.refresh).await.is_ok(),
            "the same secret"
        );
    }
    let ask = "SELECT count(*) AS n FROM signing_key";
    let ask = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, ask);
    let row = sea_orm::ConnectionTrait::query_one_raw(&database, ask).await;
    let keys: i64 = row
        .expect("reads")
        .expect("a row")
        .try_get("", "n")
        .expect("a count");
    assert_eq!(keys, 1);
    for hall in halls {
        hall.stop().await;
    }
}
