//! What the gateway reads for the live feed.

use std::time::Duration;

use guildhall_kernel::Role;
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1::{self as pb, feed_service_client::FeedServiceClient};
use tonic::Code;

use crate::support::{house, why};

#[tokio::test]
async fn each_living_channel_comes_once_with_its_head_and_the_mark_of_the_reader() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let space = house
        .team(&[(&alice, Role::Owner), (&bob, Role::Guest)])
        .await;
    let busy = alice.create(space, "busy").await.expect("makes");
    let empty = alice.create(space, "empty").await.expect("makes");
    let gone = alice.create(space, "gone").await.expect("makes");
    let direct = alice.open_direct(&[&bob]).await.expect("opens");
    let said = alice.post(&busy.id, "one").await.expect("posts");
    alice.post(&busy.id, "two").await.expect("posts");
    bob.read(&busy.id, &said).await.expect("moves");
    alice.delete_channel(&gone.id).await.expect("deletes");

    let absent = "01900000-0000-7000-8000-000000000bad".to_owned();
    let request = pb::ListHeadsRequest {
        user_id: bob.user().to_string(),
        space_ids: vec![space.to_string()],
        channel_ids: vec![direct.id.clone(), busy.id.clone(), gone.id, absent],
    };
    let heads = house
        .feed()
        .list_heads(request)
        .await
        .expect("lists")
        .into_inner()
        .heads;

    let mut found: Vec<_> = heads
        .iter()
        .map(|one| one.channel.clone().expect("one"))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(found, [direct, busy.clone(), empty]);
    let of_busy = heads
        .iter()
        .find(|one| one.channel == Some(busy.clone()))
        .expect("listed");
    let head = of_busy.head.clone().expect("a head");
    assert_eq!((head.seq, head.rev, of_busy.read_seq), (2, 2, 1));
    assert!(of_busy.updated_at.is_some());
    let quiet = heads.iter().filter(|one| one.updated_at.is_none()).count();
    assert_eq!(quiet, 2, "no message, no time");
}

#[tokio::test]
async fn while_auth_is_away_lists_and_heads_go_on_for_a_minute_and_are_then_refused() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create(space, "general").await.expect("makes");
    alice.post(&made.id, "one").await.expect("posts");
    house.world.clock.pass(Duration::from_secs(1));
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.follow().await;
    let (listed, head) = (
        bob.state(&made.id).await,
        house.head_for(&bob, &made.id).await,
    );
    let all = pb::ListHeadsRequest {
        user_id: bob.user().to_string(),
        space_ids: vec![space.to_string()],
        ..Default::default()
    };

    house.set_auth_away(true);
    house.world.clock.pass(Duration::from_secs(60));
    assert_eq!(bob.state(&made.id).await, listed);
    assert_eq!(house.head_for(&bob, &made.id).await, head);
    assert!(house.feed().list_heads(all.clone()).await.is_ok());

    house.world.clock.pass(Duration::from_secs(1));
    let heads = why(house.feed().list_heads(all.clone()).await);
    let list = why(bob.mine(pb::ListChannelsRequest::default()).await);
    assert_eq!(heads, (Code::Unavailable, Reason::Busy, vec![]));
    assert_eq!((list.0, list.1), (Code::Unavailable, Reason::Busy));

    house.set_auth_away(false);
    assert!(house.feed().list_heads(all).await.is_ok());
    assert_eq!(bob.state(&made.id).await, listed);
}

#[tokio::test]
async fn without_a_reader_there_is_no_mark() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create(space, "general").await.expect("makes");
    alice.post(&made.id, "one").await.expect("posts");

    let request = pb::ListHeadsRequest {
        channel_ids: vec![made.id],
        ..Default::default()
    };
    let heads = house
        .feed()
        .list_heads(request)
        .await
        .expect("lists")
        .into_inner()
        .heads;

    assert_eq!((heads.len(), heads[0].read_seq), (1, 0));
}

#[tokio::test]
async fn changes_are_read_for_everybody_as_members_read_them() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create(space, "general").await.expect("makes");
    let said = alice.post(&made.id, "one").await.expect("posts");
    let edited = alice.edit(&said, "ONE").await.expect("edits");
    let request = |channel_id: &str, after_rev, epoch: &str| pb::ReadChangesRequest {
        channel_id: channel_id.into(),
        after_rev,
        epoch: epoch.into(),
        limit: 0,
    };

    let mut feed = house.feed();
    let page = feed
        .read_changes(request(&made.id, 1, ""))
        .await
        .expect("reads")
        .into_inner();
    let other = why(feed.read_changes(request(&made.id, 1, "another")).await);
    alice.delete_channel(&made.id).await.expect("deletes");
    let gone = why(feed.read_changes(request(&made.id, 0, "")).await);

    assert_eq!((page.messages, page.through_rev), (vec![edited], 2));
    assert_eq!(
        other,
        (Code::FailedPrecondition, Reason::TooFarBack, vec![])
    );
    assert_eq!(gone, (Code::NotFound, Reason::NotFound, vec![]));
}

#[tokio::test]
async fn only_the_gateway_reads_the_feed() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create(space, "general").await.expect("makes");
    let request = pb::ListHeadsRequest {
        channel_ids: vec![made.id],
        ..Default::default()
    };

    let mut media = FeedServiceClient::new(house.link("media"));
    let refused = why(media.list_heads(request).await);

    assert_eq!(
        refused,
        (Code::PermissionDenied, Reason::ServicesOnly, vec![])
    );
}
