use guildhall_mesh::{Reason, access::Watched};
use guildhall_proto::auth::v1::{
    self as pb, access_change::What, access_service_client::AccessServiceClient,
};
use pb::SpaceRole::{Guest, Member, Owner, Unspecified};
use sea_orm::ConnectionTrait as _;
use tonic::Code;

use crate::support::{Hall, fields, refusal};

#[tokio::test]
async fn every_change_of_rights_is_numbered_without_gaps_and_told() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let mut told = hall.catch::<pb::AccessChanged>().await;

    let space = hall.team(&alice, &[&bob]).await;
    alice
        .set_role(&space, &bob.id, Guest)
        .await
        .expect("changes");
    alice
        .set_role(&space, &bob.id, Guest)
        .await
        .expect("no change");
    alice.remove(&space, &bob.id).await.expect("removes");
    alice.add(&space, &bob, Member).await.expect("adds");
    alice.delete(&space).await.expect("deletes");
    let logout = bob.asks(pb::LogoutRequest::default());
    hall.sessions().logout(logout).await.expect("ends");

    let listed = hall.changes(0).await;
    let shapes: Vec<_> = listed
        .changes
        .iter()
        .map(|change| match change.what.as_ref() {
            Some(What::MemberChanged(member)) => {
                assert_eq!(
                    (member.n, member.space_id.as_str()),
                    (change.n, space.as_str())
                );
                let who = member.user.as_ref().expect("a user").username.clone();
                format!("{} {who} {:?} {}", change.n, member.role(), member.joined)
            }
            Some(What::SpaceDeleted(_)) => format!("{} deleted", change.n),
            Some(What::SessionEnded(_)) => format!("{} ended", change.n),
            None => String::new(),
        })
        .collect();
    assert_eq!(
        shapes,
        [
            format!("1 alice {Owner:?} true"),
            format!("2 bob {Member:?} true"),
            format!("3 bob {Guest:?} false"),
            format!("4 bob {Unspecified:?} false"),
            format!("5 bob {Member:?} true"),
            "6 deleted".into(),
            "7 ended".into(),
        ]
    );
    assert_eq!((listed.head, listed.reset), (7, false));
    for change in listed.changes {
        assert_eq!(told.event::<pb::AccessChanged>().await.change, Some(change));
    }
}

#[tokio::test]
async fn changes_come_after_a_number_and_in_portions() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    hall.team(&alice, &[&bob]).await;

    let request = pb::ListAccessChangesRequest { after: 0, limit: 1 };
    let first = hall
        .access()
        .list_access_changes(request)
        .await
        .expect("answers")
        .into_inner();
    let rest = hall.changes(1).await;
    let none = hall.changes(2).await;
    let beyond = hall.changes(3).await;

    assert_eq!((first.changes.len(), first.head), (1, 2));
    assert_eq!(rest.changes[0].n, 2);
    assert_eq!((none.changes.len(), none.reset), (0, false));
    assert_eq!(
        (beyond.reset, beyond.head),
        (true, 2),
        "numbers of another database"
    );
}

#[tokio::test]
async fn who_asks_for_changes_that_are_gone_starts_again() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let space = hall.team(&alice, &[&bob]).await;
    alice
        .set_role(&space, &bob.id, Guest)
        .await
        .expect("changes");

    let database = hall.database().await;
    database
        .execute_unprepared("DELETE FROM access_change WHERE n <= 2")
        .await
        .expect("deletes");

    assert!(hall.changes(0).await.reset && hall.changes(1).await.reset);
    assert_eq!(hall.changes(2).await.changes.len(), 1);
    database
        .execute_unprepared("DELETE FROM access_change")
        .await
        .expect("deletes");
    let emptied = hall.changes(2).await;
    assert_eq!((emptied.reset, emptied.head), (true, 3));
    assert!(!hall.changes(3).await.reset);
}

#[tokio::test]
async fn a_change_holds_in_this_process_with_its_answer() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let space = hall.team(&alice, &[&bob]).await;
    assert!(bob.get_space(&space).await.is_ok(), "known to the cache");
    let mut watched = hall.auth.access.watch();

    alice.remove(&space, &bob.id).await.expect("removes");

    assert!(
        matches!(watched.try_recv(), Ok(Watched::Change(_))),
        "before the answer"
    );
    assert!(bob.get_space(&space).await.is_err());
}

#[tokio::test]
async fn other_services_learn_of_sessions_roles_and_places() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let team = hall.team(&alice, &[&bob]).await;
    let direct = hall.direct(&[&alice, &bob]).await;
    let list = pb::ListSessionsRequest::default();
    let sessions = alice
        .sessions()
        .list_sessions(alice.asks(list))
        .await
        .expect("lists")
        .into_inner();
    let session_id = sessions.sessions[0].id.clone();
    let alive = async |user: &str| {
        let request = pb::CheckSessionRequest {
            session_id: session_id.clone(),
            user_id: user.into(),
        };
        hall.access()
            .check_session(request)
            .await
            .expect("answers")
            .into_inner()
            .alive
    };

    let roles = hall
        .access()
        .list_roles(pb::ListRolesRequest {
            user_id: bob.id.clone(),
        })
        .await;
    let role = pb::GetRoleRequest {
        user_id: bob.id.clone(),
        space_id: direct.clone(),
    };
    let role = hall
        .access()
        .get_role(role)
        .await
        .expect("answers")
        .into_inner();

    let roles = roles.expect("answers").into_inner();
    assert_eq!(
        roles
            .roles
            .iter()
            .map(|one| one.space_id.as_str())
            .collect::<Vec<_>>(),
        {
            let mut both = [team.as_str(), direct.as_str()];
            both.sort_unstable();
            both
        }
    );
    assert_eq!(
        (role.role(), role.kind(), role.as_of),
        (Member, pb::SpaceKind::Direct, 4)
    );
    assert!(alive(&alice.id).await);
    assert!(!alive(&bob.id).await, "not his session");
    hall.clock.pass(std::time::Duration::from_hours(7 * 24));
    assert!(!alive(&alice.id).await, "over");
}

#[tokio::test]
async fn a_direct_space_is_made_once_for_people_who_exist() {
    let hall = Hall::new().await;
    let (alice, bob, eve) = (
        hall.person("alice").await,
        hall.person("bob").await,
        hall.person("eve").await,
    );
    let ensure = async |user_ids: Vec<String>| {
        let space_id = uuid::Uuid::from_u128(7).to_string();
        let request = pb::EnsureDirectSpaceRequest { space_id, user_ids };
        hall.access()
            .ensure_direct_space(request)
            .await
            .map(|answer| answer.into_inner().created)
    };
    let nobody = uuid::Uuid::from_u128(1).to_string();

    let unknown = ensure(vec![alice.id.clone(), nobody])
        .await
        .expect_err("nobody");
    assert_eq!(fields(&unknown), ["user_ids[1]"]);
    let both = || vec![alice.id.clone(), bob.id.clone()];
    let (one, other) = tokio::join!(
        ensure(both()),
        ensure(vec![bob.id.clone(), alice.id.clone()])
    );
    let others = ensure(vec![alice.id.clone(), eve.id.clone()]).await;

    assert!(
        one.expect("ensures") != other.expect("ensures"),
        "one of them made it"
    );
    assert_eq!(ensure(both()).await.ok(), Some(false));
    assert_eq!(
        refusal(others),
        (Code::FailedPrecondition, Reason::DirectIsFixed)
    );
    assert_eq!(hall.changes(0).await.head, 2);
}

#[tokio::test]
async fn clients_cannot_ask_what_services_ask() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let request = alice.asks(pb::ListRolesRequest {
        user_id: alice.id.clone(),
    });

    // Even a link of ours does not help a service that is not on the list.
    let direct = pb::EnsureDirectSpaceRequest {
        space_id: uuid::Uuid::from_u128(7).to_string(),
        user_ids: vec![alice.id.clone(), uuid::Uuid::from_u128(1).to_string()],
    };
    let mut from_gateway = AccessServiceClient::new(hall.link.clone());

    assert_eq!(
        refusal(from_gateway.ensure_direct_space(direct).await),
        (Code::PermissionDenied, Reason::ServicesOnly)
    );
    assert!(
        from_gateway.list_roles(request).await.is_ok(),
        "the gateway is on this one"
    );
}

#[tokio::test]
async fn events_that_were_not_told_are_told_after_a_restart() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    hall.team(&alice, &[]).await;
    let journal = hall.auth.journal.clone();
    let all = journal.read(0, 10).await.expect("reads");
    assert_eq!(all.len(), 2, "one change of rights, one space");

    // A reader of its own hears everything from the beginning, however late it comes.
    assert_eq!(journal.cursor("late").await.expect("reads"), 0);
    journal.advance("late", all[0].0).await.expect("moves");
    let hall = hall.restart().await;

    let from = hall.auth.journal.cursor("late").await.expect("reads");
    assert_eq!(
        hall.auth.journal.read(from, 10).await.expect("reads"),
        all[1..]
    );
}

#[tokio::test]
async fn a_place_says_when_its_user_came_as_the_change_that_told_of_it() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let team = hall.team(&alice, &[&bob]).await;
    let changes = hall
        .access()
        .list_access_changes(pb::ListAccessChangesRequest::default())
        .await
        .expect("answers")
        .into_inner()
        .changes;
    let joined = |change: &&pb::AccessChange| match &change.what {
        Some(pb::access_change::What::MemberChanged(member)) => {
            member.joined && member.user.as_ref().is_some_and(|user| user.id == bob.id)
        }
        _ => false,
    };
    let told = changes.iter().find(joined).expect("is told").at;

    let role = pb::GetRoleRequest {
        user_id: bob.id.clone(),
        space_id: team,
    };
    let role = hall.access().get_role(role).await.expect("answers");
    let roles = pb::ListRolesRequest { user_id: bob.id };
    let roles = hall.access().list_roles(roles).await.expect("answers");

    assert!(told.is_some());
    assert_eq!(role.into_inner().joined_at, told);
    assert_eq!(roles.into_inner().roles[0].joined_at, told);
}
