//! What chat does when auth tells of a change in a space.

use std::time::Duration;

use guildhall_kernel::{EventId, Ids as _, Role};
use guildhall_mesh::{Note, Reason};
use guildhall_proto::{auth::v1::AccessChanged, chat::v1 as pb};
use guildhall_testkit::CaughtEvents;

use crate::support::{House, Someone, house, reason};

/// Alice's team with a channel in which she has said two things.
async fn with_messages(house: &House) -> (Someone, guildhall_kernel::SpaceId, String) {
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let channel = alice.create(space, "general").await.expect("makes").id;
    for text in ["a", "b"] {
        alice.post(&channel, text).await.expect("posts");
    }
    house.world.clock.pass(Duration::from_secs(1));
    (alice, space, channel)
}

#[tokio::test]
async fn a_newcomer_starts_at_the_head_and_reads_the_whole_history() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();

    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.follow().await;

    let state = bob.state(&channel).await;
    assert_eq!((state.read_seq, state.unread_count), (2, 0));
    let history = bob.history(&channel, 0, None).await.expect("reads");
    assert_eq!(history.messages.len(), 2);
    house.world.clock.pass(Duration::from_secs(1));
    alice.post(&channel, "welcome").await.expect("posts");
    assert_eq!(bob.state(&channel).await.unread_count, 1);
}

#[tokio::test]
async fn a_newcomer_starts_at_the_head_also_before_chat_has_heard_of_them() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();
    house.events.hold(true);

    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.world.clock.pass(Duration::from_secs(1));
    let at_once = bob.state(&channel).await;
    alice.post(&channel, "welcome").await.expect("posts");
    let after_a_post = bob.state(&channel).await;
    let head = house.head_for(&bob, &channel).await;
    house.events.hold(false);
    house.follow().await;
    let heard = bob.state(&channel).await;

    assert_eq!((at_once.read_seq, at_once.unread_count), (2, 0));
    assert_eq!((after_a_post.read_seq, after_a_post.unread_count), (2, 1));
    assert_eq!(head.read_seq, 2);
    assert_eq!((heard.read_seq, heard.unread_count), (2, 1));
}

#[tokio::test]
async fn a_channel_made_after_somebody_came_is_unread_from_its_first_message() {
    let house = house().await;
    let (alice, space, _) = with_messages(&house).await;
    let bob = house.person();
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.world.clock.pass(Duration::from_secs(1));

    let made = alice.create(space, "news").await.expect("makes").id;
    alice.post(&made, "one").await.expect("posts");

    assert_eq!(bob.state(&made).await.unread_count, 1);
}

#[tokio::test]
async fn after_the_clock_stepped_back_what_is_posted_is_unread_for_who_just_came() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.follow().await;

    house.step_back(Duration::from_secs(1));
    let first = alice.post(&channel, "welcome").await.expect("posts");
    let listed = bob.state(&channel).await;
    let head = house.head_for(&bob, &channel).await;
    let older = bob
        .history(&channel, 0, None)
        .await
        .expect("reads")
        .messages;
    let marked = bob.read(&channel, &older[0]).await.expect("stays");
    let made = alice.create(space, "news").await.expect("makes").id;
    alice.post(&made, "one").await.expect("posts");
    bob.post(&channel, "thanks").await.expect("posts");
    alice.post(&channel, "gladly").await.expect("posts");

    assert_eq!(first.id, older[2].id);
    assert_eq!((listed.read_seq, listed.unread_count), (2, 1));
    assert_eq!(head.read_seq, 2);
    assert_eq!((marked.read_seq, marked.unread_count), (2, 1));
    assert_eq!(bob.state(&made).await.unread_count, 1, "a younger channel");
    let after = bob.state(&channel).await;
    assert_eq!((after.read_seq, after.unread_count), (4, 1));
}

#[tokio::test]
async fn who_reads_or_posts_before_chat_has_heard_of_them_is_told_what_the_lists_tell() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let (bob, carol) = (house.person(), house.person());
    house.events.hold(true);
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.set_role(&carol, space, Some(Role::Guest)).await;
    let older = bob
        .history(&channel, 0, None)
        .await
        .expect("reads")
        .messages;

    let listed = bob.state(&channel).await;
    let marked = bob.read(&channel, &older[0]).await.expect("stays");
    carol.post(&channel, "hello").await.expect("posts");
    house.step_back(Duration::from_secs(1));
    alice.post(&channel, "welcome").await.expect("posts");

    assert_eq!((listed.read_seq, listed.unread_count), (2, 0));
    assert_eq!((marked.read_seq, marked.unread_count), (2, 0));
    for (one, read_seq, unread) in [(&bob, 2, 2), (&carol, 3, 1)] {
        let state = one.state(&channel).await;
        assert_eq!((state.read_seq, state.unread_count), (read_seq, unread));
        assert_eq!(house.head_for(one, &channel).await.read_seq, read_seq);
    }
    house.events.hold(false);
    house.follow().await;
    assert_eq!(bob.state(&channel).await.read_seq, 2, "heard since");
    assert_eq!(carol.state(&channel).await.read_seq, 3, "heard since");
}

#[tokio::test]
async fn a_join_heard_again_after_the_clock_stepped_back_moves_no_mark() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.follow().await;
    house.step_back(Duration::from_secs(1));
    alice.post(&channel, "welcome").await.expect("posts");
    let bob = bob.person.clone();

    let down = house.stop().await;
    down.events.rewind();
    let house = down.start().await;
    house.follow().await;

    let state = house.someone(bob).state(&channel).await;
    assert_eq!((state.read_seq, state.unread_count), (2, 1));
}

#[tokio::test]
async fn another_role_moves_no_mark() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.world.clock.pass(Duration::from_secs(1));
    alice.post(&channel, "c").await.expect("posts");
    house.world.clock.pass(Duration::from_secs(1));

    house.set_role(&bob, space, Some(Role::Moderator)).await;
    house.follow().await;

    let state = bob.state(&channel).await;
    assert_eq!(
        (state.read_seq, state.unread_count),
        (2, 1),
        "the third is still to be read"
    );
}

#[tokio::test]
async fn who_comes_back_starts_at_the_head_of_that_moment() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.set_role(&bob, space, None).await;
    alice.post(&channel, "while away").await.expect("posts");
    house.world.clock.pass(Duration::from_secs(1));

    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.follow().await;

    assert_eq!(bob.state(&channel).await.unread_count, 0);
}

#[tokio::test]
async fn who_came_while_chat_was_down_starts_where_the_channel_was_when_they_came() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();
    let (alice, bob) = (alice.person.clone(), bob.person.clone());

    let down = house.stop().await;
    down.set_role(bob.user, space, Some(Role::Guest)).await;
    down.world.clock.pass(Duration::from_secs(1));
    let house = down.start().await;
    let (alice, bob) = (house.someone(alice), house.someone(bob));
    alice.post(&channel, "since").await.expect("posts");
    house.follow().await;

    let state = bob.state(&channel).await;
    assert_eq!((state.read_seq, state.unread_count), (2, 1));
}

#[tokio::test]
async fn the_channels_of_a_deleted_space_are_closed_and_told() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    alice.create(space, "second").await.expect("makes");
    let elsewhere = house.team(&[(&alice, Role::Owner)]).await;
    let other = alice.create(elsewhere, "general").await.expect("makes");
    let mut told = CaughtEvents::any::<pb::ChannelDeleted>(&house.world.bus).await;

    house.delete_space(space).await;
    house.follow().await;

    let mut gone = Vec::new();
    for _ in 0..2 {
        let deleted: pb::ChannelDeleted = told.event().await;
        gone.push(deleted.channel.expect("one").id);
    }
    assert!(gone.contains(&channel));
    assert!(told.so_far().await.is_empty());
    assert_eq!(reason(alice.channel(&channel).await), Reason::NotFound);
    assert_eq!(
        alice.channel(&other.id).await.expect("another space"),
        other
    );
    let request = pb::ListHeadsRequest {
        channel_ids: gone,
        ..Default::default()
    };
    let heads = house
        .feed()
        .list_heads(request)
        .await
        .expect("lists")
        .into_inner()
        .heads;
    assert!(heads.is_empty());
}

#[tokio::test]
async fn a_space_deleted_while_chat_was_down_is_closed_after_the_start() {
    let house = house().await;
    let (_, space, channel) = with_messages(&house).await;

    let down = house.stop().await;
    down.delete_space(space).await;
    let house = down.start().await;
    house.follow().await;

    let request = pb::ListHeadsRequest {
        channel_ids: vec![channel],
        ..Default::default()
    };
    let heads = house
        .feed()
        .list_heads(request)
        .await
        .expect("lists")
        .into_inner()
        .heads;
    assert!(heads.is_empty());
}

/// The authorization layer of another process may not have heard yet; here the rights are given back by hand.
#[tokio::test]
async fn no_channel_is_made_in_a_space_that_was_closed() {
    let house = house().await;
    let (alice, space, _) = with_messages(&house).await;
    house.delete_space(space).await;
    house.follow().await;

    house
        .world
        .rights
        .set_role(alice.user(), space, Some(Role::Owner));

    assert_eq!(reason(alice.create(space, "late").await), Reason::NotFound);
}

#[tokio::test]
async fn hearing_everything_again_changes_nothing() {
    let house = house().await;
    let (alice, space, channel) = with_messages(&house).await;
    let bob = house.person();
    house.set_role(&bob, space, Some(Role::Guest)).await;
    let doomed = house.team(&[(&alice, Role::Owner)]).await;
    alice.create(doomed, "doomed").await.expect("makes");
    let mut told = CaughtEvents::any::<pb::ChannelDeleted>(&house.world.bus).await;
    house.delete_space(doomed).await;
    house.follow().await;
    told.event::<pb::ChannelDeleted>().await;
    house.world.clock.pass(Duration::from_secs(1));
    alice.post(&channel, "c").await.expect("posts");
    let bob = bob.person.clone();

    let down = house.stop().await;
    down.events.rewind();
    let house = down.start().await;
    house.follow().await;

    let state = house.someone(bob).state(&channel).await;
    assert_eq!((state.read_seq, state.unread_count), (2, 1));
    assert!(
        told.so_far().await.is_empty(),
        "a closed channel is not closed again"
    );
}

#[tokio::test]
async fn a_damaged_event_is_skipped_and_what_follows_is_heard() {
    let house = house().await;
    let (_, space, channel) = with_messages(&house).await;
    let bob = house.person();
    let empty = AccessChanged::default();
    let id = EventId::of(house.world.ids.uuid());
    let mut damaged = Note::of(id, house.world.clock().now(), space, &empty);
    damaged.payload = vec![0xff].into();

    house.events.put(damaged);
    house.set_role(&bob, space, Some(Role::Guest)).await;
    house.follow().await;

    assert_eq!(bob.state(&channel).await.read_seq, 2);
}
