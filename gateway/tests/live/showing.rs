//! Who is there, who types, and what else is told of spaces and people.

use std::time::Duration;

use guildhall_kernel::Role;
use guildhall_proto::{
    auth::v1::{Space, SpaceChanged, User, UserChanged},
    live::v1::PresenceState,
};
use serde_json::{Value, json};

use crate::{
    clients::Socket,
    hall::{ALICE, BOB, CHANNEL, SPACE, STRANGER, hall},
};

fn shows(user: guildhall_kernel::UserId) -> Value {
    json!({"presenceUserIds": [user.to_string()]})
}

async fn next_state(socket: &mut Socket) -> Value {
    socket.until("presence").await["presence"]["state"].clone()
}

#[tokio::test]
async fn presence_comes_at_once_and_then_as_it_changes() {
    let hall = hall().await;
    let mut alice = Socket::open(&hall, ALICE, shows(BOB)).await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");

    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_ONLINE");
    bob.say(json!({"id": 1, "presence": {"state": "PRESENCE_STATE_AWAY"}}))
        .await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_AWAY");
    let mut second = Socket::open(&hall, ALICE, shows(BOB)).await;
    assert_eq!(next_state(&mut second).await, "PRESENCE_STATE_AWAY");

    drop(bob);
    tokio::time::sleep(Duration::from_millis(100)).await;
    hall.clock.turn(11);
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");
}

#[tokio::test]
async fn me_stands_for_the_reader_among_the_people_shown() {
    let hall = hall().await;

    let mut alice = Socket::open(&hall, ALICE, json!({"presenceUserIds": ["me"]})).await;

    let presence = alice.until("presence").await["presence"].clone();
    assert_eq!(presence["userId"], ALICE.to_string());
    assert_eq!(presence["state"], "PRESENCE_STATE_ONLINE");
}

#[tokio::test]
async fn strangers_look_offline_until_they_share_a_space_and_after() {
    let hall = hall().await;
    let mut stranger = Socket::open(&hall, STRANGER, json!({})).await;
    stranger.until("ready").await;
    let mut alice = Socket::open(&hall, ALICE, shows(STRANGER)).await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");
    let seen = hall
        .live
        .presence(ALICE, &[STRANGER, ALICE])
        .await
        .expect("is answered");
    assert_eq!(
        seen,
        [
            (STRANGER, PresenceState::Offline),
            (ALICE, PresenceState::Online)
        ]
    );

    hall.set_role(STRANGER, SPACE, Some(Role::Guest)).await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_ONLINE");
    hall.set_role(STRANGER, SPACE, None).await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");
    stranger
        .say(json!({"presence": {"state": "PRESENCE_STATE_AWAY"}}))
        .await;
    assert!(alice.is_quiet(1_500).await);
}

#[tokio::test]
async fn typing_is_told_to_who_shows_the_channel_and_not_to_the_typer() {
    let hall = hall().await;
    let typing = json!({"typingChannelIds": [CHANNEL.to_string()]});
    let mut bob = Socket::open(&hall, BOB, typing.clone()).await;
    let mut elsewhere = Socket::open(&hall, BOB, json!({})).await;
    let mut alice = Socket::open(&hall, ALICE, typing).await;
    for socket in [&mut bob, &mut elsewhere, &mut alice] {
        socket.until("ready").await;
    }

    alice
        .say(json!({"id": 1, "typing": {"channelId": CHANNEL.to_string()}}))
        .await;

    assert_eq!(
        alice.next().await.expect("a frame")["done"],
        json!({"id": 1})
    );
    let told = bob.next().await.expect("a frame");
    assert_eq!(told["typing"]["userId"], ALICE.to_string());
    assert_eq!(told["channelId"], CHANNEL.to_string());
    assert!(elsewhere.is_quiet(100).await && alice.is_quiet(100).await);
}

#[tokio::test]
async fn who_may_not_read_a_channel_may_not_type_in_it() {
    let hall = hall().await;
    let mut stranger = Socket::open(&hall, STRANGER, json!({})).await;
    let nowhere = STRANGER.to_string();

    for channel in [CHANNEL.to_string(), nowhere] {
        stranger
            .say(json!({"id": 1, "typing": {"channelId": channel}}))
            .await;
        let problem = stranger.until("done").await["done"]["problem"].clone();
        assert_eq!(problem["reason"], "REASON_NOT_FOUND");
        assert_eq!(problem["detail"], "no such channel");
    }
}

#[tokio::test]
async fn read_marks_renames_and_new_names_are_told() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    let mut stranger = Socket::open(&hall, STRANGER, json!({})).await;
    bob.until("ready").await;
    stranger.until("ready").await;

    hall.chat.read(CHANNEL, ALICE, 4).await;
    assert_eq!(bob.until("readMoved").await["readMoved"]["toSeq"], 4);
    let space = Space {
        id: SPACE.to_string(),
        name: "Guild".into(),
        ..Space::default()
    };
    hall.chat
        .tell(SPACE, &SpaceChanged { space: Some(space) })
        .await;
    assert_eq!(bob.until("space").await["space"]["name"], "Guild");
    let user = User {
        id: ALICE.to_string(),
        display_name: "Al".into(),
        ..User::default()
    };
    hall.chat
        .tell(ALICE, &UserChanged { user: Some(user) })
        .await;
    assert_eq!(bob.until("user").await["user"]["displayName"], "Al");
    assert!(stranger.is_quiet(100).await);
}
