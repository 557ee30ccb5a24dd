//! Posting, reading, editing and deleting messages.

use std::time::Duration;

use guildhall_kernel::{ChannelId, Role};
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1::{self as pb, list_messages_request::Place};
use guildhall_testkit::CaughtEvents;
use prost_types::Timestamp;
use svc_chat::model::{MessageId, Seq};
use tonic::Code;

use crate::support::{House, Someone, house, reason, why};

/// A team channel with Alice (moderator) and Bob (guest) in it.
async fn with_channel(house: &House) -> (Someone, Someone, String) {
    let (alice, bob) = (house.person(), house.person());
    let space = house
        .team(&[(&alice, Role::Moderator), (&bob, Role::Guest)])
        .await;
    let channel = alice.create(space, "general").await.expect("makes");
    (alice, bob, channel.id)
}

fn seqs(messages: &[pb::Message]) -> Vec<u32> {
    messages.iter().map(|message| message.seq).collect()
}

#[tokio::test]
async fn a_posted_message_is_what_its_author_said() {
    let house = house().await;
    let (_, bob, channel) = with_channel(&house).await;

    let first = bob
        .post_as(&channel, " hello\n", "k1")
        .await
        .expect("posts");
    let second = bob.post_as(&channel, "again", "k2").await.expect("posts");

    assert_eq!(
        (first.text.as_str(), first.key.as_str()),
        (" hello\n", "k1")
    );
    assert_eq!(
        (first.author_id.as_str(), &first.channel_id),
        (&*bob.user().to_string(), &channel)
    );
    assert_eq!((first.seq, first.rev, second.seq, second.rev), (1, 1, 2, 2));
    assert_eq!(first.kind(), pb::MessageKind::Text);
    let now = house.world.clock().now();
    assert_eq!(first.created_at.expect("a time").seconds, now.seconds());
    assert_eq!((first.edited_at, first.deleted_at), (None, None));
    assert_eq!(
        bob.message(&channel, &second.id).await.expect("is there"),
        second
    );
}

#[tokio::test]
async fn a_repeated_post_returns_the_first_message() {
    let house = house().await;
    let (alice, bob, channel) = with_channel(&house).await;
    let mut told = CaughtEvents::any::<pb::MessagePosted>(&house.world.bus).await;

    let first = bob.post_as(&channel, "hello", "k").await.expect("posts");
    let again = bob
        .post_as(&channel, "hello again", "k")
        .await
        .expect("the first");
    let others = alice
        .post_as(&channel, "mine", "k")
        .await
        .expect("a key is its author's own");

    assert_eq!(again, first);
    assert_eq!(others.seq, 2);
    assert_eq!(told.event::<pb::MessagePosted>().await.message, Some(first));
    assert_eq!(
        told.event::<pb::MessagePosted>().await.message,
        Some(others)
    );
    assert!(told.so_far().await.is_empty());
}

#[tokio::test]
async fn a_text_says_something_and_not_too_much() {
    let house = house().await;
    let (_, bob, channel) = with_channel(&house).await;

    for text in ["", " \n", "a\0b", &"ü".repeat(16_001)] {
        let (code, _, fields) = why(bob.post_as(&channel, text, "k").await);
        assert_eq!(code, Code::InvalidArgument);
        assert_eq!(fields[0], "text");
    }
    assert!(
        bob.post_as(&channel, &"ü".repeat(16_000), "k")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_author_edits_their_message_and_nobody_else_does() {
    let house = house().await;
    let (alice, bob, channel) = with_channel(&house).await;
    let said = bob.post(&channel, "hey").await.expect("posts");
    house.world.clock.pass(Duration::from_secs(1));

    let edited = bob.edit(&said, "hello").await.expect("edits");
    let same = bob.edit(&said, "hello").await.expect("is like that");
    let moderators = why(alice.edit(&said, "hullo").await);

    assert_eq!(
        (edited.seq, edited.rev, edited.text.as_str()),
        (1, 2, "hello")
    );
    assert!(edited.edited_at.is_some());
    assert_eq!(same, edited, "the same text again is no change");
    assert_eq!(
        moderators,
        (Code::PermissionDenied, Reason::NotAuthor, vec![])
    );
}

#[tokio::test]
async fn a_deleted_message_stays_as_a_tombstone() {
    let house = house().await;
    let (_, bob, channel) = with_channel(&house).await;
    let said = bob.post(&channel, "hello").await.expect("posts");

    bob.delete(&said).await.expect("deletes");
    bob.delete(&said).await.expect("repeats");

    let left = bob.message(&channel, &said.id).await.expect("a tombstone");
    assert_eq!((left.text.as_str(), left.seq, left.rev), ("", 1, 2));
    assert!(left.deleted_at.is_some());
    let refused = why(bob.edit(&said, "back").await);
    assert_eq!(
        refused,
        (Code::FailedPrecondition, Reason::MessageDeleted, vec![])
    );
}

#[tokio::test]
async fn a_moderator_deletes_what_others_wrote_and_a_member_does_not() {
    let house = house().await;
    let (alice, bob, channel) = with_channel(&house).await;
    let (hers, his) = (
        alice.post(&channel, "hers").await.expect("posts"),
        bob.post(&channel, "his").await.expect("posts"),
    );

    let refused = why(bob.delete(&hers).await);
    alice.delete(&his).await.expect("deletes");

    assert_eq!(refused, (Code::PermissionDenied, Reason::NotAuthor, vec![]));
    assert!(
        bob.message(&channel, &his.id)
            .await
            .expect("a tombstone")
            .deleted_at
            .is_some()
    );
}

#[tokio::test]
async fn a_message_is_found_in_its_own_channel_only() {
    let house = house().await;
    let (alice, bob, here) = with_channel(&house).await;
    let secret = alice.open_direct(&[&house.person()]).await.expect("opens");
    let said = alice.post(&secret.id, "a secret").await.expect("posts");
    let moved = pb::Message {
        channel_id: here.clone(),
        ..said.clone()
    };
    let never = MessageId {
        channel: ChannelId::parse(&here).expect("an id"),
        seq: Seq(1),
    };

    for refused in [
        bob.message(&here, &said.id).await.map(drop),
        bob.edit(&moved, "mine").await.map(drop),
        alice.delete(&moved).await,
        bob.message(&secret.id, &said.id).await.map(drop),
        bob.message(&here, &never.to_string()).await.map(drop),
    ] {
        let (code, why, _) = why(refused);
        assert_eq!((code, why), (Code::NotFound, Reason::NotFound));
    }
}

#[tokio::test]
async fn history_is_read_about_a_place() {
    let house = house().await;
    let (alice, _, channel) = with_channel(&house).await;
    let mut said = Vec::new();
    for n in 1..=9 {
        house.world.clock.pass(Duration::from_secs(1));
        said.push(alice.post(&channel, &n.to_string()).await.expect("posts"));
    }
    let id = |seq: usize| said[seq - 1].id.clone();
    let places = [
        (None, [6, 9], (true, false)),
        (Some(Place::Before(id(4))), [1, 3], (false, true)),
        (Some(Place::Before(id(9))), [5, 8], (true, true)),
        (Some(Place::After(id(4))), [5, 8], (true, true)),
        (Some(Place::After(id(7))), [8, 9], (true, false)),
        (
            Some(Place::BeforeTime(said[5].created_at.expect("a time"))),
            [2, 5],
            (true, true),
        ),
    ];

    for (place, [first, last], (older, newer)) in places {
        let page = alice
            .history(&channel, 4, place.clone())
            .await
            .expect("reads");
        assert_eq!(
            seqs(&page.messages),
            (first..=last).collect::<Vec<_>>(),
            "{place:?}"
        );
        assert_eq!(
            (page.has_older, page.has_newer),
            (older, newer),
            "{place:?}"
        );
        let head = page.head.expect("a head");
        assert_eq!((head.seq, head.rev), (9, 9));
    }
    let around = alice
        .history(&channel, 4, Some(Place::Around(id(5))))
        .await
        .expect("reads");
    let around = seqs(&around.messages);
    assert!(
        around.len() == 4 && around.contains(&5) && around.contains(&6),
        "{around:?}"
    );
    let none = alice
        .history(&channel, 0, Some(Place::After(id(9))))
        .await
        .expect("reads");
    assert!(none.messages.is_empty() && none.has_older && !none.has_newer);
}

#[tokio::test]
async fn an_empty_channel_has_an_empty_history() {
    let house = house().await;
    let (_, bob, channel) = with_channel(&house).await;

    let page = bob.history(&channel, 0, None).await.expect("reads");

    let head = page.head.expect("a head");
    assert_eq!(
        (page.messages.len(), page.has_older, page.has_newer),
        (0, false, false)
    );
    assert_eq!((head.seq, head.rev, head.epoch.is_empty()), (0, 0, false));
}

#[tokio::test]
async fn a_page_of_the_longest_texts_is_no_heavier_than_an_answer_may_be() {
    let house = house().await;
    let (alice, _, channel) = with_channel(&house).await;
    let longest = "\u{1f600}".repeat(16_000);
    for n in 0..70 {
        alice
            .post_as(&channel, &longest, &n.to_string())
            .await
            .expect("posts");
    }

    let newest = alice
        .history(&channel, 100, None)
        .await
        .expect("fits into what a client takes");
    let changed = alice.changes(&channel, 0, "", 100).await.expect("fits");

    assert!(newest.has_older && newest.messages.last().expect("some").seq == 70);
    assert_eq!(
        changed.through_rev,
        changed.messages.last().expect("some").rev
    );
    assert!(changed.through_rev < 70);
}

#[tokio::test]
async fn a_place_that_is_none_in_the_channel_is_a_bad_field() {
    let house = house().await;
    let (alice, bob, channel) = with_channel(&house).await;
    let elsewhere = alice.open_direct(&[&bob]).await.expect("opens");
    let other = alice.post(&elsewhere.id, "hi").await.expect("posts").id;
    let never = Timestamp {
        seconds: i64::MAX,
        nanos: 0,
    };

    for (place, field) in [
        (Place::Before(other.clone()), "before"),
        (Place::After(other.clone()), "after"),
        (Place::Around(other), "around"),
        // 27 letters, but the last of them holds more bits than an id has.
        (Place::Before("_".repeat(27)), "before"),
        (Place::BeforeTime(never), "before_time"),
    ] {
        let refused = why(bob.history(&channel, 0, Some(place)).await);
        let fields = vec![field.to_owned()];
        assert_eq!(refused, (Code::InvalidArgument, Reason::BadField, fields));
    }
}

#[tokio::test]
async fn who_left_the_space_neither_reads_nor_posts() {
    let house = house().await;
    let (alice, bob, channel) = with_channel(&house).await;
    let said = bob.post(&channel, "bye").await.expect("posts");
    let space = alice.channel(&channel).await.expect("is there").space_id;
    let space = guildhall_kernel::SpaceId::parse(&space).expect("an id");

    house.set_role(&bob, space, None).await;

    for refused in [
        bob.post(&channel, "hello?").await.map(drop),
        bob.delete(&said).await,
        bob.history(&channel, 0, None).await.map(drop),
        // The same key again tells nothing either.
        bob.post(&channel, "bye").await.map(drop),
    ] {
        assert_eq!(reason(refused), Reason::NotFound);
    }
}

#[tokio::test]
async fn an_edit_that_names_no_text_changes_nothing_and_shows_the_message() {
    let house = house().await;
    let (alice, bob, channel) = with_channel(&house).await;
    let said = bob.post(&channel, "hello").await.expect("posts");
    let nothing = async |who: &Someone| {
        let request = pb::EditMessageRequest {
            channel_id: channel.clone(),
            message_id: said.id.clone(),
            text: None,
        };
        let answer = who.messages().edit_message(request).await?.into_inner();
        Ok::<_, tonic::Status>(answer.message.expect("a message"))
    };

    assert_eq!(nothing(&bob).await.expect("shows"), said);
    assert_eq!(reason(nothing(&alice).await), Reason::NotAuthor);
    bob.delete(&said).await.expect("deletes");
    assert_eq!(reason(nothing(&bob).await), Reason::MessageDeleted);
}
