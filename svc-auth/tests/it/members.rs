use guildhall_mesh::Reason;
use guildhall_proto::auth::v1 as pb;
use pb::SpaceRole::{Guest, Member, Moderator, Owner, Unspecified};
use tonic::Code;

use crate::support::{Hall, Person, fields, refusal};

const NOT_FOUND: (Code, Reason) = (Code::NotFound, Reason::NotFound);
const LAST: (Code, Reason) = (Code::FailedPrecondition, Reason::LastOwner);
const TOO_LOW: (Code, Reason) = (Code::PermissionDenied, Reason::RoleTooLow);

/// A team with one of each role.
struct Team {
    hall: Hall,
    id: String,
    owner: Person,
    moderator: Person,
    member: Person,
    guest: Person,
    stranger: Person,
}

async fn team() -> Team {
    let hall = Hall::new().await;
    let owner = hall.person("owner").await;
    let moderator = hall.person("moderator").await;
    let member = hall.person("member").await;
    let guest = hall.person("guest").await;
    let stranger = hall.person("stranger").await;
    let id = hall.team(&owner, &[&member]).await;
    owner.add(&id, &moderator, Moderator).await.expect("adds");
    owner.add(&id, &guest, Guest).await.expect("adds");
    Team {
        hall,
        id,
        owner,
        moderator,
        member,
        guest,
        stranger,
    }
}

#[tokio::test]
async fn moderators_add_below_themselves_and_owners_anybody() {
    let team = team().await;
    let Team {
        id,
        owner,
        moderator,
        member,
        guest,
        stranger,
        ..
    } = &team;

    for low in [member, guest] {
        assert_eq!(refusal(low.add(id, stranger, Guest).await), TOO_LOW);
    }
    assert_eq!(refusal(stranger.add(id, stranger, Guest).await), NOT_FOUND);
    for role in [Moderator, Owner] {
        assert_eq!(refusal(moderator.add(id, stranger, role).await), TOO_LOW);
    }
    let added = moderator
        .add(id, stranger, Unspecified)
        .await
        .expect("adds");
    assert_eq!(added.role(), Member);
    let again = moderator.add(id, stranger, Member).await.expect("again");
    assert_eq!(again, added);
    let other = moderator.add(id, stranger, Guest).await;
    assert_eq!(refusal(other), (Code::AlreadyExists, Reason::AlreadyMember));
    let second = team.hall.person("second").await;
    assert_eq!(
        owner.add(id, &second, Owner).await.expect("adds").role(),
        Owner
    );

    let mut nobody = stranger.clone();
    nobody.id = uuid::Uuid::from_u128(1).to_string();
    let unknown = owner.add(id, &nobody, Guest).await.expect_err("nobody");
    assert_eq!(fields(&unknown), ["user_id"]);
}

#[tokio::test]
async fn roles_change_below_oneself_and_only_owners_act_on_owners() {
    let team = team().await;
    let Team {
        hall,
        id,
        owner,
        moderator,
        member,
        guest,
        stranger,
    } = &team;

    assert_eq!(
        refusal(member.set_role(id, &guest.id, Member).await),
        TOO_LOW
    );
    assert_eq!(
        refusal(moderator.set_role(id, &guest.id, Moderator).await),
        TOO_LOW
    );
    assert_eq!(
        refusal(moderator.set_role(id, &owner.id, Guest).await),
        TOO_LOW
    );
    assert_eq!(
        refusal(owner.set_role(id, &stranger.id, Guest).await),
        NOT_FOUND
    );
    moderator
        .set_role(id, &guest.id, Member)
        .await
        .expect("below");
    assert_eq!(hall.role(guest, id).await, Member);

    owner
        .set_role(id, &moderator.id, Owner)
        .await
        .expect("owners give any");
    moderator
        .set_role(id, &owner.id, Guest)
        .await
        .expect("an owner acts on an owner");
    assert_eq!(hall.role(owner, id).await, Guest);
}

#[tokio::test]
async fn anyone_steps_down_but_the_last_owner() {
    let team = team().await;
    let Team {
        hall,
        id,
        owner,
        moderator,
        member,
        ..
    } = &team;

    assert_eq!(refusal(member.set_role(id, "me", Moderator).await), TOO_LOW);
    member.set_role(id, "me", Member).await.expect("no change");
    member.set_role(id, "me", Guest).await.expect("steps down");
    assert_eq!(hall.role(member, id).await, Guest);
    assert_eq!(refusal(owner.set_role(id, "me", Member).await), LAST);
    assert_eq!(refusal(owner.remove(id, "me").await), LAST);
    assert_eq!(refusal(owner.remove(id, &owner.id).await), LAST);

    owner
        .set_role(id, &moderator.id, Owner)
        .await
        .expect("another owner");
    owner
        .set_role(id, "me", Member)
        .await
        .expect("not the last");
    assert_eq!(refusal(moderator.remove(id, "me").await), LAST);
}

#[tokio::test]
async fn two_last_owners_cannot_leave_at_once() {
    let team = team().await;
    let Team {
        hall,
        id,
        owner,
        moderator,
        ..
    } = &team;
    owner
        .set_role(id, &moderator.id, Owner)
        .await
        .expect("another owner");

    let (one, other) = tokio::join!(owner.remove(id, "me"), moderator.remove(id, "me"));

    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let left = [hall.role(owner, id).await, hall.role(moderator, id).await];
    assert!(left.contains(&Owner) && left.contains(&Unspecified));
}

#[tokio::test]
async fn people_are_sent_away_by_who_is_above_them() {
    let team = team().await;
    let Team {
        hall,
        id,
        owner,
        moderator,
        member,
        guest,
        stranger,
    } = &team;

    assert_eq!(refusal(member.remove(id, &guest.id).await), TOO_LOW);
    assert_eq!(refusal(moderator.remove(id, &owner.id).await), TOO_LOW);
    assert_eq!(refusal(stranger.remove(id, &guest.id).await), NOT_FOUND);
    assert_eq!(refusal(moderator.remove(id, &stranger.id).await), NOT_FOUND);
    moderator.remove(id, &guest.id).await.expect("below");
    moderator.remove(id, &guest.id).await.expect("again");
    owner.remove(id, &moderator.id).await.expect("below");

    assert_eq!(hall.role(guest, id).await, Unspecified);
    assert_eq!(refusal(guest.get_space(id).await), NOT_FOUND);
    assert_eq!(
        refusal(moderator.remove(id, &member.id).await),
        NOT_FOUND,
        "not any more"
    );
}

#[tokio::test]
async fn who_has_left_may_say_so_again_and_may_come_back() {
    let team = team().await;
    let Team {
        hall,
        id,
        owner,
        member,
        stranger,
        ..
    } = &team;
    let before = member.get_space(id).await.expect("sees");
    assert_eq!(before.my_role(), Member);

    for _ in 0..2 {
        member.remove(id, "me").await.expect("leaves");
    }
    assert_eq!(refusal(stranger.remove(id, "me").await), NOT_FOUND);
    assert_eq!(refusal(member.get_space(id).await), NOT_FOUND);

    hall.clock.pass(std::time::Duration::from_secs(60));
    let back = owner.add(id, member, Guest).await.expect("adds");
    assert_eq!(back.joined_at.expect("a time").seconds, hall.now());
    assert_eq!(member.get_space(id).await.expect("sees").my_role(), Guest);
    let last = owner
        .members(id)
        .await
        .expect("lists")
        .pop()
        .expect("somebody");
    assert_eq!(
        last.user.expect("a user").id,
        member.id,
        "in the order they came"
    );
}

#[tokio::test]
async fn members_are_listed_page_by_page() {
    let team = team().await;
    let whole = team.guest.members(&team.id).await.expect("lists");

    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let request = pb::ListMembersRequest {
            space_id: team.id.clone(),
            page_size: 1,
            page_token: token,
        };
        let answer = team
            .guest
            .spaces()
            .list_members(team.guest.asks(request))
            .await
            .expect("lists")
            .into_inner();
        paged.extend(answer.members);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }

    assert_eq!(whole.len(), 4);
    assert_eq!(paged, whole);
}

#[tokio::test]
async fn a_patch_that_names_nothing_changes_nothing_and_shows_what_is_there() {
    let team = team().await;
    let (owner, member) = (&team.owner, &team.member);
    let before = team.hall.changes(0).await.head;

    let request = pb::UpdateMemberRequest {
        space_id: team.id.clone(),
        user_id: member.id.clone(),
        role: None,
    };
    let mut spaces = owner.spaces();
    let shown = spaces.update_member(owner.asks(request.clone())).await;
    let not_theirs = team.guest.asks(request);
    let not_theirs = team.guest.spaces().update_member(not_theirs).await;
    let space = pb::UpdateSpaceRequest {
        space_id: team.id.clone(),
        ..Default::default()
    };
    let space = spaces.update_space(owner.asks(space)).await;
    let me = pb::UpdateMeRequest::default();
    let me = owner.accounts().update_me(owner.asks(me)).await;

    let shown = shown.expect("shows").into_inner().member.expect("a member");
    assert_eq!(
        (shown.role(), &shown.user.expect("a user").id),
        (Member, &member.id)
    );
    assert_eq!(refusal(not_theirs), TOO_LOW);
    let space = space.expect("shows").into_inner().space.expect("a space");
    assert_eq!(space.name, "The team");
    let me = me.expect("shows").into_inner().account.expect("an account");
    assert_eq!(me, owner.me().await.expect("is there"));
    assert_eq!(team.hall.changes(0).await.head, before);
}
