//! How streams begin, answer and end.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use guildhall_gateway::live::LiveSettings;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    clients::Socket,
    hall::{ALICE, BOB, CHANNEL, hall, hall_with},
};

async fn ends_with(mut socket: Socket, code: u16, reason: &str) {
    assert_eq!(
        socket.until("bye").await["bye"]["problem"]["reason"],
        reason
    );
    assert!(socket.next().await.is_none());
    assert_eq!(socket.code, Some(code), "{reason}");
}

#[tokio::test]
async fn who_does_not_say_hello_in_time_is_cut() {
    let settings = LiveSettings {
        hello_seconds: 1,
        ..LiveSettings::default()
    };
    let hall = hall_with(settings).await;
    let token = format!("Bearer {}", hall.token(BOB));

    let silent = Socket::connect(&hall, &[("authorization", &token)]).await;

    ends_with(silent, 4401, "REASON_TOKEN_MISSING").await;
}

#[tokio::test]
async fn a_stream_begins_with_hello_and_a_good_token() {
    let hall = hall().await;
    let good = format!("Bearer {}", hall.token(BOB));
    let bad = "Bearer nonsense";
    let hello = json!({"hello": {}});
    for (header, first, code, reason) in [
        (
            Some(good.as_str()),
            json!({"subscribe": {}}),
            4400,
            "REASON_PROTOCOL",
        ),
        (None, hello.clone(), 4401, "REASON_TOKEN_MISSING"),
        (Some(bad), hello.clone(), 4401, "REASON_TOKEN_INVALID"),
        (
            None,
            json!({"hello": {"accessToken": "nonsense"}}),
            4401,
            "REASON_TOKEN_INVALID",
        ),
        (None, json!({"nonsense": 1}), 4400, "REASON_PROTOCOL"),
        (
            None,
            json!({"hello": {"accessToken": "x".repeat(4_097)}}),
            4400,
            "REASON_BAD_FIELD",
        ),
    ] {
        let headers: Vec<_> = header
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        let mut socket = Socket::connect(&hall, &headers).await;
        socket.say(first).await;
        ends_with(socket, code, reason).await;
    }
    let mut socket = Socket::connect(&hall, &[("authorization", &good)]).await;
    socket.say(json!({"id": 3, "hello": {}})).await;
    assert_eq!(
        socket.next().await.expect("a frame")["done"],
        json!({"id": 3})
    );
}

#[tokio::test]
async fn each_frame_with_an_id_is_answered_once() {
    let hall = hall().await;
    let mut bob = Socket::connect(&hall, &[]).await;
    bob.say(json!({"id": 1, "hello": {"accessToken": hall.token(BOB), "subscribe": {}}}))
        .await;
    bob.say(json!({"id": 2, "subscribe": {}})).await;
    bob.say(json!({"subscribe": {}})).await;
    bob.say(json!({"id": 4, "subscribe": {"spaceIds": ["x"]}}))
        .await;
    bob.say(json!({"id": 5})).await;
    bob.say(json!({"id": 6, "presence": {"state": "PRESENCE_STATE_OFFLINE"}}))
        .await;

    let mut kinds = Vec::new();
    for _ in 0..8 {
        let frame = bob.next().await.expect("a frame");
        kinds.push(match frame.get("done") {
            Some(done) => format!("{} {}", done["id"], done["problem"]["reason"]),
            None => frame
                .as_object()
                .expect("an object")
                .keys()
                .next_back()
                .expect("a body")
                .clone(),
        });
    }

    let expected = [
        "ready",
        "1 null",
        "ready",
        "2 null",
        "ready",
        "4 \"REASON_BAD_FIELD\"",
        "5 \"REASON_PROTOCOL\"",
        "6 \"REASON_BAD_FIELD\"",
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_wish_that_cannot_be_fulfilled_now_leaves_the_one_before() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.chat
        .away
        .store(true, std::sync::atomic::Ordering::SeqCst);
    bob.say(json!({"id": 2, "subscribe": {}})).await;
    let done = bob.until("done").await["done"].clone();
    hall.chat.post(CHANNEL, "goes on").await;

    assert_eq!(
        (&done["id"], &done["problem"]["status"]),
        (&json!(2), &json!(503))
    );
    bob.until_text("goes on").await;
}

#[tokio::test]
async fn frames_that_are_too_large_too_many_or_nonsense_end_the_stream() {
    let hall = hall().await;
    let mut large = Socket::open(&hall, BOB, json!({})).await;
    large.until("ready").await;
    large
        .say(json!({"id": 1, "hello": {"accessToken": "x".repeat(70_000)}}))
        .await;
    ends_with(large, 4429, "REASON_TOO_LARGE").await;

    let mut quick = Socket::open(&hall, BOB, json!({})).await;
    quick.until("ready").await;
    for _ in 0..100 {
        quick
            .wire
            .feed(Message::text(
                json!({"id": 1, "presence": {"state": 2}}).to_string(),
            ))
            .await
            .expect("sends");
    }
    quick.wire.flush().await.expect("sends");
    ends_with(quick, 4429, "REASON_RATE_LIMITED").await;

    for nonsense in [Message::text("{"), Message::binary(vec![1, 2, 3])] {
        let mut socket = Socket::open(&hall, BOB, json!({})).await;
        socket.until("ready").await;
        socket.wire.send(nonsense).await.expect("sends");
        ends_with(socket, 4400, "REASON_PROTOCOL").await;
    }
}

#[tokio::test]
async fn pages_of_other_sites_open_no_socket() {
    let hall = hall().await;

    let refused = Socket::try_connect(&hall, &[("origin", "https://evil.example")]).await;
    let allowed = Socket::try_connect(&hall, &[("origin", "https://hall.example")]).await;

    let Err(Error::Http(answer)) = refused.map(|_| ()) else {
        panic!("refused")
    };
    assert_eq!(answer.status(), 403);
    let body = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
    assert!(body.contains("REASON_ORIGIN_REFUSED"), "{body}");
    assert!(allowed.is_ok());
}

#[tokio::test]
async fn streams_are_counted_for_each_user_and_for_all() {
    let settings = LiveSettings {
        streams_per_user: 2,
        streams: 3,
        ..LiveSettings::default()
    };
    let hall = hall_with(settings).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = Socket::open(&hall, BOB, json!({})).await;
        socket.until("ready").await;
        open.push(socket);
    }

    ends_with(
        Socket::open(&hall, BOB, json!({})).await,
        4429,
        "REASON_RATE_LIMITED",
    )
    .await;
    let mut alice = Socket::open(&hall, ALICE, json!({})).await;
    alice.until("ready").await;
    ends_with(
        Socket::open(&hall, ALICE, json!({})).await,
        4503,
        "REASON_BUSY",
    )
    .await;
    open.pop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    Socket::open(&hall, BOB, json!({}))
        .await
        .until("ready")
        .await;
}

#[tokio::test]
async fn a_stopping_hall_sends_its_readers_away() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.tasks.begin_stop();
    let bye = bob.until("bye").await["bye"].clone();
    assert!(bob.next().await.is_none());

    assert_eq!(bye["problem"]["reason"], "REASON_RESTARTING");
    assert!(bye["retryAfterMs"].as_u64().expect("a number") >= 500);
    assert_eq!(bob.code, Some(1012));
    drop(bob);
    assert_eq!(hall.tasks.stop(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn the_stream_beats() {
    let hall = hall().await;
    let mut bob = Socket::open(&hall, BOB, json!({})).await;
    bob.until("ready").await;

    hall.clock.turn(30);

    let beat = loop {
        match bob.wire.next().await {
            Some(Ok(Message::Text(text))) => break text,
            other => assert!(matches!(other, Some(Ok(_))), "{other:?}"),
        }
    };
    assert!(beat.contains("heartbeat"), "{beat}");
}
