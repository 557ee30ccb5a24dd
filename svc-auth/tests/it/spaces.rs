use guildhall_mesh::Reason;
use guildhall_proto::auth::v1 as pb;
use pb::SpaceRole::{Guest, Member, Moderator, Owner};
use tonic::Code;

use crate::support::{Hall, Person, fields, refusal};

const NOT_FOUND: (Code, Reason) = (Code::NotFound, Reason::NotFound);
const FIXED: (Code, Reason) = (Code::FailedPrecondition, Reason::DirectIsFixed);
const TOO_LOW: (Code, Reason) = (Code::PermissionDenied, Reason::RoleTooLow);

fn team(name: &str, members: &[&Person], key: &str) -> pb::CreateSpaceRequest {
    pb::CreateSpaceRequest {
        kind: pb::SpaceKind::Team.into(),
        name: name.into(),
        member_ids: members.iter().map(|member| member.id.clone()).collect(),
        key: key.into(),
    }
}

#[tokio::test]
async fn who_makes_a_team_owns_it_and_the_others_are_members() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let mut told = hall.catch::<pb::SpaceChanged>().await;

    // Naming oneself or somebody twice does no harm.
    let made = alice
        .create(team("  The team ", &[&bob, &alice, &bob], "k"))
        .await
        .expect("creates");

    assert_eq!(
        (made.name.as_str(), made.kind(), made.my_role()),
        ("The team", pb::SpaceKind::Team, Owner)
    );
    assert_eq!(
        bob.get_space(&made.id).await.expect("sees").my_role(),
        Member
    );
    let people = alice.members(&made.id).await.expect("lists");
    assert_eq!(
        people.iter().map(pb::Member::role).collect::<Vec<_>>(),
        [Owner, Member]
    );
    let space = told
        .event::<pb::SpaceChanged>()
        .await
        .space
        .expect("a space");
    assert_eq!((space.id, space.my_role), (made.id, 0));
}

#[tokio::test]
async fn the_same_key_gets_the_same_team() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let first = alice.create(team("One", &[], "k")).await.expect("creates");

    let again = alice
        .create(team("Two", &[&bob], "k"))
        .await
        .expect("repeats");
    let of_another = bob.create(team("One", &[], "k")).await.expect("creates");

    assert_eq!(again, first);
    assert_ne!(of_another.id, first.id);
    assert_eq!(alice.members(&first.id).await.expect("lists").len(), 1);
    alice.delete(&first.id).await.expect("deletes");
    let gone = alice.create(team("One", &[], "k")).await;
    assert_eq!(
        refusal(gone),
        (Code::FailedPrecondition, Reason::SpaceDeleted)
    );
}

#[tokio::test]
async fn an_unknown_member_is_named_and_nothing_is_made() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let mut request = team("One", &[&bob], "k");
    request
        .member_ids
        .push(uuid::Uuid::from_u128(1).to_string());

    let refused = alice.create(request).await.expect_err("nobody");

    assert_eq!(fields(&refused), ["member_ids[1]"]);
    assert!(hall.changes(0).await.changes.is_empty());
    assert!(
        alice.create(team("One", &[&bob], "k")).await.is_ok(),
        "the key is free"
    );
}

#[tokio::test]
async fn spaces_are_listed_oldest_first_page_by_page() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let mut made = Vec::new();
    for n in 0..3 {
        made.push(hall.team(&alice, &[]).await);
        hall.clock.pass(std::time::Duration::from_secs(n));
    }
    made.push(hall.direct(&[&alice, &bob]).await);
    hall.team(&bob, &[]).await;

    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let request = pb::ListSpacesRequest {
            page_size: 2,
            page_token: token,
        };
        let answer = alice
            .spaces()
            .list_spaces(alice.asks(request))
            .await
            .expect("lists")
            .into_inner();
        assert!(answer.spaces.len() <= 2);
        listed.extend(answer.spaces);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }

    let ids: Vec<_> = listed.iter().map(|space| space.id.clone()).collect();
    assert_eq!(ids, made);
    assert_eq!((listed[0].my_role(), listed[3].my_role()), (Owner, Member));
    assert_eq!(
        (listed[3].kind(), listed[3].name.as_str()),
        (pb::SpaceKind::Direct, "")
    );
    let request = pb::ListSpacesRequest {
        page_size: 0,
        page_token: "AAAA".into(),
    };
    let bad = alice
        .spaces()
        .list_spaces(alice.asks(request))
        .await
        .expect_err("not ours");
    assert_eq!(fields(&bad), ["page_token"]);
}

#[tokio::test]
async fn moderators_rename_and_strangers_see_nothing() {
    let hall = Hall::new().await;
    let (alice, bob, eve) = (
        hall.person("alice").await,
        hall.person("bob").await,
        hall.person("eve").await,
    );
    let mut told = hall.catch::<pb::SpaceChanged>().await;
    let space = hall.team(&alice, &[&bob]).await;
    told.event::<pb::SpaceChanged>().await;

    assert_eq!(refusal(bob.rename(&space, "Ours").await), TOO_LOW);
    assert_eq!(refusal(eve.rename(&space, "Mine").await), NOT_FOUND);
    alice
        .set_role(&space, &bob.id, Moderator)
        .await
        .expect("promotes");
    let renamed = bob.rename(&space, "Ours").await.expect("renames");
    bob.rename(&space, "Ours").await.expect("no change");

    assert_eq!(
        (renamed.name.as_str(), renamed.my_role()),
        ("Ours", Moderator)
    );
    assert_eq!(
        told.event::<pb::SpaceChanged>()
            .await
            .space
            .expect("a space")
            .name,
        "Ours"
    );
    assert!(told.so_far().await.is_empty());
    let absent = uuid::Uuid::from_u128(1).to_string();
    let (hidden, absent) = (eve.get_space(&space).await, eve.get_space(&absent).await);
    let (hidden, absent) = (hidden.expect_err("hidden"), absent.expect_err("absent"));
    assert_eq!(
        (hidden.message(), hidden.details()),
        (absent.message(), absent.details())
    );
}

#[tokio::test]
async fn owners_delete_and_everybodys_access_ends_at_once() {
    let hall = Hall::new().await;
    let (alice, bob, eve) = (
        hall.person("alice").await,
        hall.person("bob").await,
        hall.person("eve").await,
    );
    let space = hall.team(&alice, &[&bob]).await;
    alice
        .set_role(&space, &bob.id, Moderator)
        .await
        .expect("promotes");

    assert_eq!(refusal(bob.delete(&space).await), TOO_LOW);
    assert_eq!(refusal(eve.delete(&space).await), NOT_FOUND);
    alice.delete(&space).await.expect("deletes");
    alice.delete(&space).await.expect("again");

    for refused in [
        refusal(bob.delete(&space).await),
        refusal(eve.delete(&space).await),
    ] {
        assert_eq!(refused, NOT_FOUND);
    }
    for who in [&alice, &bob] {
        assert_eq!(refusal(who.get_space(&space).await), NOT_FOUND);
        assert_eq!(hall.role(who, &space).await, pb::SpaceRole::Unspecified);
    }
    assert_eq!(refusal(alice.members(&space).await), NOT_FOUND);
    assert_eq!(refusal(alice.add(&space, &eve, Guest).await), NOT_FOUND);
}

#[tokio::test]
async fn a_direct_conversation_keeps_its_people_and_its_shape() {
    let hall = Hall::new().await;
    let (alice, bob, eve) = (
        hall.person("alice").await,
        hall.person("bob").await,
        hall.person("eve").await,
    );
    let space = hall.direct(&[&alice, &bob]).await;

    assert_eq!(refusal(alice.delete(&space).await), FIXED);
    assert_eq!(refusal(alice.remove(&space, "me").await), FIXED);
    assert_eq!(refusal(alice.remove(&space, &bob.id).await), FIXED);
    assert_eq!(refusal(alice.set_role(&space, "me", Guest).await), FIXED);
    assert_eq!(refusal(alice.set_role(&space, &bob.id, Guest).await), FIXED);
    // All are members there, so the layer before says it in its own words.
    assert_eq!(refusal(alice.rename(&space, "Us").await), TOO_LOW);
    assert_eq!(refusal(alice.add(&space, &eve, Guest).await), TOO_LOW);

    assert_eq!(alice.members(&space).await.expect("lists").len(), 2);
    assert_eq!(refusal(eve.get_space(&space).await), NOT_FOUND);
    assert_eq!(
        refusal(
            alice
                .create(pb::CreateSpaceRequest {
                    kind: 2,
                    ..team("x", &[], "k")
                })
                .await
        )
        .0,
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn me_stands_for_the_caller_wherever_a_user_id_stands() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let mut request = team("One", &[&bob], "k");
    request.member_ids.push("me".into());
    let made = alice.create(request).await.expect("creates");
    assert_eq!(alice.members(&made.id).await.expect("lists").len(), 2);

    let mut me = alice.clone();
    me.id = "me".into();
    let by_word = alice.add(&made.id, &me, Member).await;
    let by_id = alice.add(&made.id, &alice, Member).await;

    assert_eq!(refusal(by_word), refusal(by_id), "whatever the id gets");
    assert_eq!(
        alice.add(&made.id, &me, Owner).await.expect("is one"),
        alice.add(&made.id, &alice, Owner).await.expect("is one")
    );
}
