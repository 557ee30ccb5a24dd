//! Nobody reads what is not theirs, also while they read.

use std::{sync::atomic::Ordering, time::Duration};

use guildhall_kernel::Role;
use serde_json::json;

use crate::{
    clients::{Events, Socket},
    hall::{ALICE, BOB, CHANNEL, OTHER_SPACE, SECOND, SPACE, STRANGER, hall, session_of},
};

#[tokio::test]
async fn a_stranger_gets_nothing_and_is_told_no_difference() {
    let hall = hall().await;
    let absent = SECOND.to_string();
    let wish = json!({"channelIds": [CHANNEL.to_string(), absent]});
    let mut stranger = Socket::open(&hall, STRANGER, wish).await;

    let ready = stranger.until("ready").await;
    let gone = [stranger.until("gone").await, stranger.until("gone").await];
    hall.chat.post(CHANNEL, "secret").await;

    assert_eq!(ready["ready"]["heads"], json!([]));
    assert_eq!(gone[0]["channelId"], CHANNEL.to_string());
    assert_eq!(gone[1]["channelId"], absent);
    assert!(stranger.is_quiet(300).await);
}

#[tokio::test]
async fn a_kick_ends_the_channels_and_nothing_else() {
    let hall = hall().await;
    hall.set_role(BOB, OTHER_SPACE, Some(Role::Member)).await;
    hall.chat.open(SECOND, OTHER_SPACE).await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.set_role(BOB, SPACE, None).await;
    hall.chat.post(CHANNEL, "not for Bob").await;
    hall.chat.read(CHANNEL, ALICE, 1).await;
    hall.chat.post(SECOND, "for Bob").await;

    assert_eq!(
        bob.next().await.expect("a frame")["channelId"],
        CHANNEL.to_string()
    );
    let changed = bob.next().await.expect("a frame");
    assert_eq!(changed["memberChanged"]["user"]["id"], BOB.to_string());
    assert_eq!(changed["memberChanged"]["role"], "SPACE_ROLE_UNSPECIFIED");
    assert_eq!(
        bob.next().await.expect("a frame")["message"]["text"],
        "for Bob"
    );
}

#[tokio::test]
async fn a_space_that_is_joined_comes_into_the_stream() {
    let hall = hall().await;
    hall.chat.open(SECOND, OTHER_SPACE).await;
    hall.chat.post(SECOND, "before Bob came").await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.set_role(BOB, OTHER_SPACE, Some(Role::Guest)).await;
    let channel = bob.until("channel").await;
    let reset = bob.next().await.expect("a frame");
    hall.chat.post(SECOND, "since Bob came").await;

    assert_eq!(channel["channel"]["id"], SECOND.to_string());
    assert_eq!(reset["reset"]["head"]["rev"], 1);
    assert_eq!(
        bob.until("message").await["message"]["text"],
        "since Bob came"
    );
}

#[tokio::test]
async fn who_was_kicked_and_comes_back_reads_on() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({"channelIds": [CHANNEL.to_string()]})).await;
    bob.until("ready").await;

    for round in 0..5 {
        hall.set_role(BOB, SPACE, None).await;
        bob.until("gone").await;
        hall.chat.post(CHANNEL, "not for Bob").await;
        hall.set_role(BOB, SPACE, Some(Role::Guest)).await;
        bob.until("ready").await;
        let text = format!("for Bob {round}");
        hall.chat.post(CHANNEL, &text).await;
        assert_eq!(bob.until("message").await["message"]["text"], text);
    }
}

#[tokio::test]
async fn a_new_channel_comes_into_the_stream_from_its_first_message_on() {
    let hall = hall().await;
    let mut all = Socket::open(&hall, BOB, json!({})).await;
    let mut space = Socket::open(&hall, BOB, json!({"spaceIds": [SPACE.to_string()]})).await;
    let mut one = Socket::open(&hall, BOB, json!({"channelIds": [CHANNEL.to_string()]})).await;
    for socket in [&mut all, &mut space, &mut one] {
        socket.until("ready").await;
    }

    hall.chat.open(SECOND, SPACE).await;
    hall.chat.post(SECOND, "first").await;

    for socket in [&mut all, &mut space] {
        assert_eq!(
            socket.until("channel").await["channel"]["id"],
            SECOND.to_string()
        );
        let first = socket.until("message").await;
        assert_eq!(
            (&first["message"]["text"], &first["afterRev"]),
            (&json!("first"), &json!(0))
        );
    }
    assert!(one.is_quiet(200).await);
}

#[tokio::test]
async fn deleted_channels_and_spaces_are_gone() {
    let hall = hall().await;
    hall.chat.open(SECOND, SPACE).await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.chat.close(SECOND).await;
    assert_eq!(bob.until("gone").await["channelId"], SECOND.to_string());
    hall.authority.delete(SPACE);
    hall.access.catch_up().await.expect("the authority answers");
    assert_eq!(bob.until("gone").await["channelId"], CHANNEL.to_string());

    hall.chat.post(CHANNEL, "into the void").await;
    assert!(bob.is_quiet(200).await);
}

#[tokio::test]
async fn a_logout_ends_the_streams_of_its_session_on_every_wire() {
    let hall = hall().await;
    let mut socket = Socket::open(&hall, BOB, json!({})).await;
    let mut events = Events::open(&hall, BOB, None).await;
    let mut alice = Socket::open(&hall, ALICE, json!({})).await;
    socket.until("ready").await;
    events.until("ready").await;
    alice.until("ready").await;

    hall.log_out(BOB).await;
    hall.chat.post(CHANNEL, "not for Bob").await;

    let bye = socket.next().await.expect("a frame");
    assert_eq!(bye["bye"]["problem"]["reason"], "REASON_SESSION_ENDED");
    assert_eq!(bye["bye"]["problem"]["status"], 401);
    assert!(socket.next().await.is_none());
    assert_eq!(socket.code, Some(4401));
    let bye = events.next().await.expect("an event").data;
    assert_eq!(bye["bye"]["problem"]["reason"], "REASON_SESSION_ENDED");
    assert!(events.next().await.is_none());
    assert_eq!(
        alice.until("message").await["message"]["text"],
        "not for Bob"
    );
}

#[tokio::test]
async fn while_rights_are_not_known_nothing_is_delivered_and_nothing_is_lost() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;
    hall.authority.away.store(true, Ordering::SeqCst);
    hall.clock.turn(62);
    tokio::time::sleep(Duration::from_millis(1_300)).await;

    hall.chat.post(CHANNEL, "held back").await;
    assert!(bob.is_quiet(300).await);
    hall.authority.away.store(false, Ordering::SeqCst);

    // The heads come too, and repair what was told of spaces and people meanwhile.
    let mut came = Vec::new();
    for _ in 0..2 {
        let frame = bob.next().await.expect("a frame");
        came.push(
            frame["message"]["text"]
                .as_str()
                .unwrap_or("the heads")
                .to_owned(),
        );
    }
    came.sort();
    assert_eq!(came, ["held back", "the heads"]);
}

#[tokio::test]
async fn a_bearer_is_warned_and_ends_unless_a_fresh_token_comes() {
    let hall = hall().await;
    let short = hall.authority.token(BOB, session_of(BOB), 120);
    let mut renewed = Socket::connect(&hall, &[]).await;
    renewed.hello(&short, json!({})).await;
    let mut ended = Socket::connect(&hall, &[]).await;
    ended.hello(&short, json!({})).await;
    let cookie = format!("access={short}");
    let mut by_cookie = Socket::connect(&hall, &[("cookie", &cookie)]).await;
    by_cookie.say(json!({"hello": {"subscribe": {}}})).await;
    for socket in [&mut renewed, &mut ended, &mut by_cookie] {
        socket.until("ready").await;
    }

    hall.clock.turn(90);
    for socket in [&mut renewed, &mut ended, &mut by_cookie] {
        assert_eq!(
            socket.until("authExpiring").await["authExpiring"]["at"],
            "2027-01-15T08:02:00Z"
        );
    }
    let fresh = hall.authority.token(BOB, session_of(BOB), 900);
    renewed
        .say(json!({"id": 5, "hello": {"accessToken": fresh}}))
        .await;
    assert_eq!(renewed.until("done").await["done"], json!({"id": 5}));
    hall.clock.turn(40);

    assert_eq!(
        ended.until("bye").await["bye"]["problem"]["reason"],
        "REASON_TOKEN_EXPIRED"
    );
    hall.chat.post(CHANNEL, "still there").await;
    renewed.until_text("still there").await;
    by_cookie.until_text("still there").await;
    hall.log_out(BOB).await;
    assert_eq!(
        by_cookie.until("bye").await["bye"]["problem"]["reason"],
        "REASON_SESSION_ENDED"
    );
}

#[tokio::test]
async fn a_stream_stays_with_its_user() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    bob.say(json!({"id": 1, "hello": {"accessToken": hall.token(ALICE)}}))
        .await;
    bob.say(json!({"id": 2, "hello": {"accessToken": "nonsense"}}))
        .await;

    assert_eq!(
        bob.until("done").await["done"]["problem"]["reason"],
        "REASON_PROTOCOL"
    );
    assert_eq!(
        bob.until("done").await["done"]["problem"]["reason"],
        "REASON_TOKEN_INVALID"
    );
    hall.chat.post(CHANNEL, "still Bob's").await;
    bob.until_text("still Bob's").await;
}
