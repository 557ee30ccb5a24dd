//! People on different gateways see each other.

use std::time::Duration;

use guildhall_gateway::live::LiveSettings;
use guildhall_mesh::LocalBus;
use serde_json::{Value, json};

use crate::{
    clients::Socket,
    hall::{ALICE, BOB, CHANNEL, Hall, hall_on},
};

async fn two_gateways() -> (Hall, Hall) {
    let bus = LocalBus::new();
    let first = hall_on(bus.clone(), LiveSettings::default()).await;
    (first, hall_on(bus, LiveSettings::default()).await)
}

async fn alice_shows_bob(hall: &Hall) -> Socket {
    Socket::open(hall, ALICE, json!({"presenceUserIds": [BOB.to_string()]})).await
}

async fn next_state(socket: &mut Socket) -> Value {
    socket.until("presence").await["presence"]["state"].clone()
}

#[tokio::test]
async fn who_is_there_on_another_gateway_is_seen_as_it_changes() {
    let (near, far) = two_gateways().await;
    let mut alice = alice_shows_bob(&near).await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");

    let mut bob = Socket::open(&far, BOB, json!({})).await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_ONLINE");
    tokio::time::sleep(Duration::from_secs(1)).await;
    bob.say(json!({"id": 1, "presence": {"state": "PRESENCE_STATE_AWAY"}}))
        .await;
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_AWAY");

    drop(bob);
    tokio::time::sleep(Duration::from_millis(100)).await;
    near.clock.turn(11);
    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");
}

#[tokio::test]
async fn a_gateway_that_comes_later_learns_who_is_there() {
    let bus = LocalBus::new();
    let far = hall_on(bus.clone(), LiveSettings::default()).await;
    let mut bob = Socket::open(&far, BOB, json!({})).await;
    bob.until("ready").await;

    let near = hall_on(bus, LiveSettings::default()).await;
    let mut alice = alice_shows_bob(&near).await;

    while next_state(&mut alice).await != "PRESENCE_STATE_ONLINE" {}
}

#[tokio::test]
async fn who_was_on_a_gateway_that_went_silent_is_gone_after_a_while() {
    let (near, far) = two_gateways().await;
    let mut bob = Socket::open(&far, BOB, json!({})).await;
    bob.until("ready").await;
    let mut alice = alice_shows_bob(&near).await;
    while next_state(&mut alice).await != "PRESENCE_STATE_ONLINE" {}

    near.clock.turn(46);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    near.clock.turn(11);

    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");
}

#[tokio::test]
async fn a_gateway_that_stops_takes_its_people_with_it() {
    let (near, far) = two_gateways().await;
    let mut bob = Socket::open(&far, BOB, json!({})).await;
    bob.until("ready").await;
    let mut alice = alice_shows_bob(&near).await;
    while next_state(&mut alice).await != "PRESENCE_STATE_ONLINE" {}

    far.tasks.stop(Duration::from_secs(5)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    near.clock.turn(11);

    assert_eq!(next_state(&mut alice).await, "PRESENCE_STATE_OFFLINE");
}

#[tokio::test]
async fn typing_is_seen_on_other_gateways_and_once_on_its_own() {
    let (near, far) = two_gateways().await;
    let typing = json!({"typingChannelIds": [CHANNEL.to_string()]});
    let mut beside = Socket::open(&near, BOB, typing.clone()).await;
    let mut elsewhere = Socket::open(&far, BOB, typing.clone()).await;
    let mut alice = Socket::open(&near, ALICE, typing).await;
    for socket in [&mut beside, &mut elsewhere, &mut alice] {
        socket.until("ready").await;
    }

    alice
        .say(json!({"typing": {"channelId": CHANNEL.to_string()}}))
        .await;

    for socket in [&mut beside, &mut elsewhere] {
        let told = socket.until("typing").await;
        assert_eq!(told["typing"]["userId"], ALICE.to_string());
        assert_eq!(told["channelId"], CHANNEL.to_string());
        assert!(socket.is_quiet(100).await);
    }
    assert!(alice.is_quiet(100).await);
}
