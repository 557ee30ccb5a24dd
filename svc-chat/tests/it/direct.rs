//! Direct conversations.

use futures::future::join_all;
use guildhall_kernel::{Role, SpaceId};
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1 as pb;
use guildhall_testkit::CaughtEvents;
use tonic::Code;

use crate::support::{house, reason, why};

#[tokio::test]
async fn the_same_people_meet_in_the_same_channel_whoever_opens_it() {
    let house = house().await;
    let (alice, bob, carol) = (house.person(), house.person(), house.person());

    let first = alice.open_direct(&[&bob, &carol]).await.expect("opens");
    let again = carol
        .open_direct(&[&bob, &alice, &alice, &carol])
        .await
        .expect("opens");
    let fewer = alice.open_direct(&[&bob]).await.expect("opens");

    assert_eq!(again, first);
    assert_eq!(first.kind(), pb::ChannelKind::Direct);
    assert_eq!((first.name.as_str(), first.topic.as_str()), ("", ""));
    assert_ne!(fewer.id, first.id);
    assert_eq!(bob.channel(&first.id).await.expect("is in it"), first);
}

#[tokio::test]
async fn many_who_open_it_at_once_open_one() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let mut told = CaughtEvents::any::<pb::ChannelCreated>(&house.world.bus).await;
    let (with_alice, with_bob) = ([&alice], [&bob]);
    let calls = (0..20).map(|n| match n % 2 {
        0 => alice.open_direct(&with_bob),
        _ => bob.open_direct(&with_alice),
    });

    let opened = join_all(calls).await;

    let mut ids: Vec<_> = opened
        .into_iter()
        .map(|one| one.expect("opens").id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(house.auth.direct_spaces(), 1);
    assert_eq!(
        told.event::<pb::ChannelCreated>()
            .await
            .channel
            .expect("is there")
            .id,
        ids[0]
    );
    assert!(told.so_far().await.is_empty(), "one channel is told once");
}

#[tokio::test]
async fn a_crash_between_space_and_channel_is_made_good_by_opening_again() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    house.auth.lose_next_answer();

    let (code, _, _) = why(alice.open_direct(&[&bob]).await);
    let opened = bob.open_direct(&[&alice]).await.expect("opens");

    assert_eq!(code, Code::Unavailable);
    assert_eq!((house.auth.direct_spaces(), house.auth.ensured()), (1, 2));
    assert_eq!(alice.channel(&opened.id).await.expect("is in it"), opened);
}

#[tokio::test]
async fn an_open_conversation_opens_without_auth_and_a_new_one_says_that_auth_is_away() {
    let house = house().await;
    let (alice, bob, carol) = (house.person(), house.person(), house.person());
    let opened = alice.open_direct(&[&bob]).await.expect("opens");

    house.auth.set_away(true);

    assert_eq!(bob.open_direct(&[&alice]).await.expect("opens"), opened);
    let away = why(alice.open_direct(&[&carol]).await);
    assert_eq!(away, (Code::Unavailable, Reason::Busy, vec![]));
}

#[tokio::test]
async fn somebody_who_is_not_there_is_named_as_the_caller_named_them() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    // Signed in, so that the test can name them, but no person to auth.
    let ghost = house.someone(house.world.person());

    let refused = why(alice.open_direct(&[&ghost, &bob, &bob]).await);

    let fields = vec!["user_ids[0]".to_owned()];
    assert_eq!(refused, (Code::InvalidArgument, Reason::BadField, fields));
}

#[tokio::test]
async fn nobody_opens_a_conversation_with_themselves() {
    let house = house().await;
    let alice = house.person();

    let refused = why(alice.open_direct(&[&alice]).await);

    let fields = vec!["user_ids".to_owned()];
    assert_eq!(refused, (Code::InvalidArgument, Reason::BadField, fields));
}

#[tokio::test]
async fn a_conversation_of_twenty_one_is_the_largest() {
    let house = house().await;
    let alice = house.person();
    let others: Vec<_> = (0..21).map(|_| house.person()).collect();
    let others: Vec<_> = others.iter().collect();

    alice.open_direct(&others[..20]).await.expect("opens");
    let (code, _, fields) = why(alice.open_direct(&others).await);

    assert_eq!(
        (code, fields),
        (Code::InvalidArgument, vec!["user_ids".to_owned()])
    );
}

#[tokio::test]
async fn a_direct_conversation_keeps_its_shape() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let opened = alice.open_direct(&[&bob]).await.expect("opens");
    let space = SpaceId::parse(&opened.space_id).expect("an id");

    let second = why(alice.create(space, "general").await);
    // Auth gives nobody a higher role there. Should it ever, the shape still stays.
    house.set_role(&alice, space, Some(Role::Owner)).await;
    let rename = pb::UpdateChannelRequest {
        channel_id: opened.id.clone(),
        topic: Some("us".into()),
        ..Default::default()
    };
    let renamed = alice.channels().update_channel(rename).await;

    assert_eq!(
        second,
        (Code::FailedPrecondition, Reason::DirectIsFixed, vec![])
    );
    assert_eq!(reason(renamed), Reason::DirectIsFixed);
    assert_eq!(
        reason(alice.delete_channel(&opened.id).await),
        Reason::DirectIsFixed
    );
    assert_eq!(bob.channel(&opened.id).await.expect("still there"), opened);
}

#[tokio::test]
async fn a_stranger_does_not_find_it() {
    let house = house().await;
    let (alice, bob, eve) = (house.person(), house.person(), house.person());
    let opened = alice.open_direct(&[&bob]).await.expect("opens");

    let refused = why(eve.channel(&opened.id).await);

    assert_eq!(refused, (Code::NotFound, Reason::NotFound, vec![]));
}

#[tokio::test]
async fn me_stands_for_the_caller_among_the_people_named() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let open = async |user_ids: Vec<String>| {
        let request = pb::OpenDirectRequest { user_ids };
        let opened = alice.channels().open_direct(request).await?.into_inner();
        Ok::<_, tonic::Status>(opened.channel.expect("a channel"))
    };
    let (own, other) = (alice.user().to_string(), bob.user().to_string());

    let by_word = open(vec!["me".into(), other.clone()]).await.expect("opens");
    let by_id = open(vec![own.clone(), other]).await.expect("opens");

    assert_eq!(by_word, by_id);
    assert_eq!(
        why(open(vec!["me".into()]).await),
        why(open(vec![own]).await),
        "alone either way"
    );
}
