//! Read marks.

use std::time::Duration;

use guildhall_kernel::{ChannelId, Role, UserId};
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1 as pb;
use guildhall_testkit::CaughtEvents;
use svc_chat::model::{MessageId, Seq};
use tonic::Code;

use crate::support::{House, Someone, house, why};

/// Alice and Bob in a channel where Alice has said three things.
async fn with_messages(house: &House) -> (Someone, Someone, String, Vec<pb::Message>) {
    let (alice, bob) = (house.person(), house.person());
    let space = house
        .team(&[(&alice, Role::Owner), (&bob, Role::Guest)])
        .await;
    let channel = alice.create(space, "general").await.expect("makes").id;
    let mut said = Vec::new();
    for text in ["a", "b", "c"] {
        said.push(alice.post(&channel, text).await.expect("posts"));
    }
    (alice, bob, channel, said)
}

#[tokio::test]
async fn a_mark_moves_up_and_never_down() {
    let house = house().await;
    let (_, bob, channel, said) = with_messages(&house).await;

    let up = bob.read(&channel, &said[1]).await.expect("moves");
    let down = bob.read(&channel, &said[0]).await.expect("stays");

    assert_eq!((up.read_seq, up.unread_count), (2, 1));
    assert_eq!((down.read_seq, down.unread_count), (2, 1));
    let state = bob.state(&channel).await;
    assert_eq!((state.read_seq, state.unread_count), (2, 1));
}

#[tokio::test]
async fn a_mark_that_moved_is_told_to_its_channel_once() {
    let house = house().await;
    let (_, bob, channel, said) = with_messages(&house).await;
    let mut told = CaughtEvents::any::<pb::ReadMoved>(&house.world.bus).await;

    bob.read(&channel, &said[0]).await.expect("moves");
    bob.read(&channel, &said[0]).await.expect("stays");
    bob.read(&channel, &said[2]).await.expect("moves");

    let moved = |from_seq, to_seq| pb::ReadMoved {
        channel_id: channel.clone(),
        user_id: bob.user().to_string(),
        from_seq,
        to_seq,
    };
    assert_eq!(told.event::<pb::ReadMoved>().await, moved(0, 1));
    assert_eq!(told.event::<pb::ReadMoved>().await, moved(1, 3));
    assert!(
        told.so_far().await.is_empty(),
        "a mark that stays tells nothing"
    );
}

#[tokio::test]
async fn only_a_message_of_the_channel_can_be_read() {
    let house = house().await;
    let (alice, bob, channel, _) = with_messages(&house).await;
    let elsewhere = alice.open_direct(&[&bob]).await.expect("opens");
    let other = alice.post(&elsewhere.id, "hi").await.expect("posts");
    let id = MessageId {
        channel: ChannelId::parse(&channel).expect("an id"),
        seq: Seq(4),
    };
    let never = pb::Message {
        id: id.to_string(),
        ..other.clone()
    };

    for message in [&other, &never] {
        let refused = why(bob.read(&channel, message).await);
        assert_eq!(refused, why(bob.message(&channel, &message.id).await));
        assert_eq!(refused, (Code::NotFound, Reason::NotFound, vec![]));
    }
    assert_eq!(bob.state(&channel).await.read_seq, 0, "nothing moved");
}

#[tokio::test]
async fn marks_are_listed_by_user_in_pages_to_the_end() {
    let house = house().await;
    let (alice, bob, channel, said) = with_messages(&house).await;
    bob.read(&channel, &said[1]).await.expect("moves");
    let mut seen = Vec::new();
    let mut page_token = String::new();

    loop {
        let channel_id = channel.clone();
        let request = pb::ListReadsRequest {
            channel_id,
            page_size: 1,
            page_token,
        };
        let page = bob
            .channels()
            .list_reads(request)
            .await
            .expect("lists")
            .into_inner();
        seen.extend(page.reads);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }

    let mut expected = [(alice.user(), 3), (bob.user(), 2)];
    expected.sort_unstable();
    let read = |(user, read_seq): (UserId, u32)| pb::Read {
        user_id: user.to_string(),
        read_seq,
    };
    assert_eq!(seen, expected.map(read));
}

#[tokio::test]
async fn a_channel_says_when_its_reader_last_read_on() {
    let house = house().await;
    let (alice, bob, channel, said) = with_messages(&house).await;
    let at = async |who: &Someone| {
        let read_at = who.state(&channel).await.read_at;
        read_at.map(|at| at.seconds)
    };
    let posted = house.world.clock().now().seconds();

    assert_eq!(at(&bob).await, None, "never");
    assert_eq!(at(&alice).await, Some(posted), "posting reads on");
    house.world.clock.pass(Duration::from_secs(5));
    bob.read(&channel, &said[1]).await.expect("moves");
    house.world.clock.pass(Duration::from_secs(5));
    bob.read(&channel, &said[0]).await.expect("stays");
    assert_eq!(at(&bob).await, Some(posted + 5), "when the mark last moved");
}
