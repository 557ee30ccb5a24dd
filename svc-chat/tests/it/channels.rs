//! Team channels.

use guildhall_kernel::Role;
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1 as pb;
use guildhall_testkit::CaughtEvents;
use tonic::Code;

use crate::support::{house, reason, why};

fn update(channel: &pb::Channel) -> pb::UpdateChannelRequest {
    pb::UpdateChannelRequest {
        channel_id: channel.id.clone(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_name_is_taken_in_any_case_until_its_channel_is_deleted() {
    let house = house().await;
    let alice = house.person();
    let (here, there) = (
        house.team(&[(&alice, Role::Owner)]).await,
        house.team(&[(&alice, Role::Owner)]).await,
    );
    let general = alice
        .create_as(here, " Général ", "1")
        .await
        .expect("makes");

    let taken = why(alice.create_as(here, "GE\u{301}NE\u{301}RAL", "2").await);
    let elsewhere = alice.create_as(there, "général", "3").await;
    alice.delete_channel(&general.id).await.expect("deletes");
    let freed = alice
        .create_as(here, "général", "4")
        .await
        .expect("the name is free");

    assert_eq!(general.name, "Général");
    let fields = vec!["name".to_owned()];
    assert_eq!(
        taken,
        (Code::AlreadyExists, Reason::ChannelNameTaken, fields)
    );
    assert!(elsewhere.is_ok(), "another space has names of its own");
    assert_ne!(freed.id, general.id);
}

#[tokio::test]
async fn the_same_key_gets_the_same_channel_of_a_space() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let people = [(&alice, Role::Owner), (&bob, Role::Member)];
    let (here, there) = (house.team(&people).await, house.team(&people).await);

    let first = alice.create_as(here, "general", "k").await.expect("makes");
    let again = alice
        .create_as(here, "other", "k")
        .await
        .expect("the first");
    let elsewhere = alice
        .create_as(there, "general", "k")
        .await
        .expect("a key is its space's own");
    let others = bob
        .create_as(here, "bobs", "k")
        .await
        .expect("a key is its caller's own");

    assert_eq!(again, first);
    assert_ne!(elsewhere.id, first.id);
    assert_eq!(elsewhere.space_id, there.to_string());
    assert_ne!(others.id, first.id);
}

#[tokio::test]
async fn a_key_whose_channel_was_deleted_since_makes_no_channel() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create_as(space, "general", "k").await.expect("makes");
    alice.delete_channel(&made.id).await.expect("deletes");

    let again = why(alice.create_as(space, "general", "k").await);

    let deleted = (Code::FailedPrecondition, Reason::ChannelDeleted, vec![]);
    assert_eq!(again, deleted);
}

#[tokio::test]
async fn many_who_make_one_name_at_once_make_one_channel() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let keys: Vec<_> = (0..10).map(|n| n.to_string()).collect();

    let made = keys
        .iter()
        .map(|key| alice.create_as(space, "general", key));
    let made = futures::future::join_all(made).await;

    let (won, lost): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 9));
    assert!(
        lost.into_iter()
            .all(|lost| reason(lost) == Reason::ChannelNameTaken)
    );
}

#[tokio::test]
async fn a_name_must_have_something_to_see() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;

    for name in ["", "   ", "\u{3000}", "a\u{85}b", &"x".repeat(101)] {
        let (code, _, fields) = why(alice.create_as(space, name, "k").await);
        assert_eq!(code, Code::InvalidArgument, "{name:?}");
        assert_eq!(fields[0], "name", "{name:?}");
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_clears_what_is_empty() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Moderator)]).await;
    let made = alice.create(space, "general").await.expect("makes");
    let mut rpc = alice.channels();
    let topic = pb::UpdateChannelRequest {
        topic: Some("All of us".into()),
        ..update(&made)
    };
    let name = pb::UpdateChannelRequest {
        name: Some("GENERAL".into()),
        ..update(&made)
    };
    let clear = pb::UpdateChannelRequest {
        topic: Some(String::new()),
        ..update(&made)
    };

    rpc.update_channel(topic).await.expect("updates");
    let named = rpc
        .update_channel(name)
        .await
        .expect("its own name is not taken")
        .into_inner();
    let cleared = rpc
        .update_channel(clear)
        .await
        .expect("updates")
        .into_inner();

    let (named, cleared) = (named.channel.expect("one"), cleared.channel.expect("one"));
    assert_eq!(
        (named.name.as_str(), named.topic.as_str()),
        ("GENERAL", "All of us")
    );
    assert_eq!(
        (cleared.name.as_str(), cleared.topic.as_str()),
        ("GENERAL", "")
    );
    assert_eq!(alice.channel(&made.id).await.expect("is there"), cleared);
}

#[tokio::test]
async fn a_channel_is_not_renamed_to_a_taken_name() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    alice.create(space, "general").await.expect("makes");
    let random = alice.create(space, "random").await.expect("makes");
    let request = pb::UpdateChannelRequest {
        name: Some("General".into()),
        ..update(&random)
    };

    let refused = why(alice.channels().update_channel(request).await);

    let fields = vec!["name".to_owned()];
    assert_eq!(
        refused,
        (Code::AlreadyExists, Reason::ChannelNameTaken, fields)
    );
    assert_eq!(
        alice.channel(&random.id).await.expect("is there").name,
        "random"
    );
}

#[tokio::test]
async fn a_guest_makes_no_channel_and_a_member_changes_none() {
    let house = house().await;
    let (guest, member) = (house.person(), house.person());
    let space = house
        .team(&[(&guest, Role::Guest), (&member, Role::Member)])
        .await;
    let made = member.create(space, "general").await.expect("makes");

    let refused = [
        why(guest.create(space, "mine").await.map(drop)),
        why(member
            .channels()
            .update_channel(update(&made))
            .await
            .map(drop)),
        why(member.delete_channel(&made.id).await),
    ];

    for refused in refused {
        assert_eq!(
            refused,
            (Code::PermissionDenied, Reason::RoleTooLow, vec![])
        );
    }
    assert!(guest.channel(&made.id).await.is_ok());
}

#[tokio::test]
async fn deleting_again_is_fine_and_everything_else_no_longer_finds_it() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let space = house
        .team(&[(&alice, Role::Moderator), (&bob, Role::Guest)])
        .await;
    let made = alice.create(space, "general").await.expect("makes");
    let said = bob.post(&made.id, "hello").await.expect("posts");

    alice.delete_channel(&made.id).await.expect("deletes");
    alice.delete_channel(&made.id).await.expect("repeats");

    let absent = alice.channel("01900000-0000-7000-8000-000000000bad").await;
    let absent = absent.expect_err("not there");
    let mut rpc = bob.channels();
    let reads = pb::ListReadsRequest {
        channel_id: made.id.clone(),
        ..Default::default()
    };
    let renamed = pb::UpdateChannelRequest {
        name: Some("x".into()),
        ..update(&made)
    };
    let refusals = [
        bob.channel(&made.id).await.map(drop),
        alice.channels().update_channel(renamed).await.map(drop),
        bob.post(&made.id, "still here?").await.map(drop),
        bob.edit(&said, "hello?").await.map(drop),
        bob.delete(&said).await,
        bob.message(&made.id, &said.id).await.map(drop),
        bob.history(&made.id, 0, None).await.map(drop),
        bob.changes(&made.id, 0, "", 0).await.map(drop),
        bob.read(&made.id, &said).await.map(drop),
        rpc.list_reads(reads).await.map(drop),
    ];
    for (n, refused) in refusals.into_iter().enumerate() {
        let refused = refused.expect_err("gone");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::NotFound, absent.message()),
            "{n}"
        );
        assert_eq!(refused.details(), absent.details(), "{n}");
    }
}

#[tokio::test]
async fn every_change_of_a_channel_is_told_to_its_space_once_and_in_order() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let mut told =
        CaughtEvents::of(&house.world.bus, &format!("guildhall.chat.v1.{space}.*")).await;

    let made = alice.create_as(space, "general", "k").await.expect("makes");
    alice
        .create_as(space, "general", "k")
        .await
        .expect("repeats");
    let rename = pb::UpdateChannelRequest {
        name: Some("hall".into()),
        ..update(&made)
    };
    alice
        .channels()
        .update_channel(rename.clone())
        .await
        .expect("renames");
    alice
        .channels()
        .update_channel(rename)
        .await
        .expect("is called so already");
    alice.delete_channel(&made.id).await.expect("deletes");
    alice.delete_channel(&made.id).await.expect("repeats");

    let created: pb::ChannelCreated = told.event().await;
    let updated: pb::ChannelUpdated = told.event().await;
    let deleted: pb::ChannelDeleted = told.event().await;
    assert_eq!(created.channel, Some(made.clone()));
    assert_eq!(updated.channel.expect("one").name, "hall");
    assert_eq!(deleted.channel.expect("one").id, made.id);
    assert!(told.so_far().await.is_empty(), "a repeat tells nothing");
}

#[tokio::test]
async fn what_was_answered_is_still_there_after_a_restart() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create_as(space, "general", "k").await.expect("makes");
    let said = alice.post_as(&made.id, "hello", "k").await.expect("posts");
    let person = alice.person.clone();

    let house = house.stop().await.start().await;
    let alice = house.someone(person);

    assert_eq!(alice.channel(&made.id).await.expect("kept"), made);
    assert_eq!(alice.message(&made.id, &said.id).await.expect("kept"), said);
    assert_eq!(
        alice.create_as(space, "x", "k").await.expect("the first"),
        made
    );
    assert_eq!(
        alice.post_as(&made.id, "x", "k").await.expect("the first"),
        said
    );
}

#[tokio::test]
async fn what_could_not_be_told_is_told_after_a_restart() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    house.bus.break_down();
    let made = alice
        .create(space, "general")
        .await
        .expect("makes, though nobody can be told");
    let said = alice.post(&made.id, "hello").await.expect("posts");

    let down = house.stop().await;
    down.bus.mend();
    let mut created = CaughtEvents::any::<pb::ChannelCreated>(&down.world.bus).await;
    let mut posted = CaughtEvents::any::<pb::MessagePosted>(&down.world.bus).await;
    let _house = down.start().await;

    assert_eq!(
        created.event::<pb::ChannelCreated>().await.channel,
        Some(made)
    );
    assert_eq!(
        posted.event::<pb::MessagePosted>().await.message,
        Some(said)
    );
}
