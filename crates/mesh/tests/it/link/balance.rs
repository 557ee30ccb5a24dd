//! Which of several processes is asked.

use std::time::Duration;

use guildhall_mesh::Call;
use guildhall_proto::chat::v1::{self as chat, feed_service_client::FeedServiceClient};

use super::town::Town;

const TIME: Duration = Duration::from_secs(5);

fn channels() -> impl Iterator<Item = String> {
    (0..40).map(|n| format!("00000000-0000-7000-8000-{n:012}"))
}

#[tokio::test]
async fn calls_about_a_channel_go_to_one_process_from_every_link() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let here = town.link(&[one.address, two.address]);
    let there = town.link(&[two.address, one.address]);

    for channel in channels() {
        let first = town.post_to(&here, &channel, "hello", TIME).await;
        let again = town.post_to(&here, &channel, "hello", TIME).await;
        let other = town.post_to(&there, &channel, "hello", TIME).await;

        let first = first.expect("answered");
        assert_eq!(again.expect("answered"), first);
        assert_eq!(other.expect("answered"), first);
    }
    // Each of 40 channels with a chance of a half: below 8 is one in 90,000.
    assert!(
        one.asked() >= 24 && two.asked() >= 24,
        "{} {}",
        one.asked(),
        two.asked()
    );
}

#[tokio::test]
async fn when_a_process_goes_only_its_channels_move() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let three = town.chat("three").await;
    let link = town.link(&[one.address, two.address, three.address]);
    let mut before = Vec::new();
    for channel in channels() {
        let at = town.post_to(&link, &channel, "hello", TIME).await;
        before.push((channel, at.expect("answered")));
    }

    one.tasks.stop(TIME).await;

    for (channel, at) in before {
        let now = town.post_to(&link, &channel, "hello", TIME).await;
        let now = now.expect("answered");
        assert!(at == "one" || at == now, "{channel}: {at} -> {now}");
        assert_ne!(now, "one");
    }
}

#[tokio::test]
async fn other_calls_are_spread() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let link = town.link(&[one.address, two.address]);
    let mut client = FeedServiceClient::new(link.as_service(&Call::own("heads", TIME)));

    for _ in 0..60 {
        let heads = client.list_heads(chat::ListHeadsRequest::default()).await;
        heads.expect("answered");
    }

    assert!(
        one.asked() >= 10 && two.asked() >= 10,
        "{} {}",
        one.asked(),
        two.asked()
    );
}

#[tokio::test]
async fn the_busier_of_two_is_spared() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let link = town.link(&[one.address, two.address]);
    let channel = channels().next().expect("one");
    let at = town.post_to(&link, &channel, "hello", TIME).await;
    let at = at.expect("answered");
    let (busy, idle) = if at == "one" {
        (&one, &two)
    } else {
        (&two, &one)
    };
    let slow = (0..20).map(|_| town.post_to(&link, &channel, "sleep 1500", TIME));
    let slow = futures::future::join_all(slow);

    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = (busy.asked(), idle.asked());
        let mut client = FeedServiceClient::new(link.as_service(&Call::own("heads", TIME)));
        for _ in 0..40 {
            let heads = client.list_heads(chat::ListHeadsRequest::default()).await;
            heads.expect("answered");
        }
        (busy.asked() - before.0, idle.asked() - before.1)
    };
    let (_, (to_busy, to_idle)) = tokio::join!(slow, others);

    // Two throws that both name the busy one: a quarter.
    assert!(to_idle > to_busy, "{to_busy} {to_idle}");
}
