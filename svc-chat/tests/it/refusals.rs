//! What the layers before the handlers refuse, seen on every rpc of chat.

use guildhall_kernel::Role;
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1 as pb;
use tonic::{Code, Status};

use crate::support::{Someone, house, why};

/// Calls every rpc that names the channel or the space, as `one`.
async fn every_call(
    one: &Someone,
    space_id: &str,
    channel_id: &str,
    message_id: &str,
) -> Vec<(&'static str, Result<(), Status>)> {
    let (space_id, channel_id) = (space_id.to_owned(), channel_id.to_owned());
    let message_id = message_id.to_owned();
    let (mut channels, mut messages) = (one.channels(), one.messages());
    macro_rules! call {
        ($client:ident.$rpc:ident($request:ident { $($field:ident: $value:expr),* })) => {
            (stringify!($rpc), {
                let mut request = pb::$request::default();
                $(request.$field = $value.into();)*
                $client.$rpc(request).await.map(drop)
            })
        };
    }
    vec![
        call!(channels.list_space_channels(ListSpaceChannelsRequest {
            space_id: &space_id
        })),
        call!(channels.create_channel(CreateChannelRequest {
            space_id: &space_id,
            name: "x",
            key: "k"
        })),
        call!(channels.get_channel(GetChannelRequest {
            channel_id: &channel_id
        })),
        call!(channels.update_channel(UpdateChannelRequest {
            channel_id: &channel_id
        })),
        call!(channels.list_reads(ListReadsRequest {
            channel_id: &channel_id
        })),
        call!(channels.mark_read(MarkReadRequest {
            channel_id: &channel_id,
            message_id: &message_id
        })),
        call!(messages.post_message(PostMessageRequest {
            channel_id: &channel_id,
            text: "x",
            key: "k"
        })),
        call!(messages.list_messages(ListMessagesRequest {
            channel_id: &channel_id
        })),
        call!(messages.list_changes(ListChangesRequest {
            channel_id: &channel_id
        })),
        call!(messages.get_message(GetMessageRequest {
            channel_id: &channel_id,
            message_id: &message_id
        })),
        call!(messages.edit_message(EditMessageRequest {
            channel_id: &channel_id,
            message_id: &message_id,
            text: "x".to_owned()
        })),
        call!(messages.delete_message(DeleteMessageRequest {
            channel_id: &channel_id,
            message_id: &message_id
        })),
        call!(channels.delete_channel(DeleteChannelRequest {
            channel_id: &channel_id
        })),
    ]
}

#[tokio::test]
async fn what_is_not_yours_is_refused_in_the_words_for_what_is_not_there() {
    let house = house().await;
    let (alice, eve) = (house.person(), house.person());
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create(space, "general").await.expect("makes");
    let said = alice.post(&made.id, "hello").await.expect("posts");
    let absent = "01900000-0000-7000-8000-000000000bad";

    let others = every_call(&eve, &space.to_string(), &made.id, &said.id).await;
    let nothing = every_call(&eve, absent, absent, &said.id).await;

    for ((rpc, other), (_, none)) in others.into_iter().zip(nothing) {
        let (other, none) = (other.expect_err(rpc), none.expect_err(rpc));
        assert_eq!(other.code(), Code::NotFound, "{rpc}");
        assert_eq!(other.message(), none.message(), "{rpc}");
        assert_eq!(other.details(), none.details(), "{rpc}");
    }
    assert_eq!(
        alice.message(&made.id, &said.id).await.expect("untouched"),
        said
    );
}

#[tokio::test]
async fn an_owner_may_call_everything() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create(space, "general").await.expect("makes");
    let said = alice.post(&made.id, "hello").await.expect("posts");

    for (rpc, answer) in every_call(&alice, &space.to_string(), &made.id, &said.id).await {
        assert!(answer.is_ok(), "{rpc}: {answer:?}");
    }
}

#[tokio::test]
async fn an_ended_session_calls_nothing() {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let made = alice.create(space, "general").await.expect("makes");

    house.world.rights.end_session(&alice.person);
    house.world.access.catch_up().await.expect("rights answer");

    let ended = (Code::Unauthenticated, Reason::SessionEnded, vec![]);
    for (rpc, answer) in every_call(&alice, &space.to_string(), &made.id, &"A".repeat(27)).await {
        assert_eq!(why(answer), ended, "{rpc}");
    }
    assert_eq!(
        why(alice.mine(pb::ListChannelsRequest::default()).await),
        ended
    );
    assert_eq!(why(alice.open_direct(&[&house.person()]).await), ended);
}

#[tokio::test]
async fn chat_says_that_it_is_ready_and_after_closing_that_it_is_not() {
    let house = house().await;

    assert_eq!(house.chat.ready().await, Ok(()));
    let chat = house.chat.clone();
    house.stop().await;

    assert!(chat.ready().await.is_err());
}
