//! Catching up by the numbers of changes.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use guildhall_kernel::Role;
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1 as pb;
use tonic::Code;

use crate::support::{House, Someone, house, why};

async fn with_channel(house: &House) -> (Someone, String) {
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    let channel = alice.create(space, "general").await.expect("makes");
    (alice, channel.id)
}

#[tokio::test]
async fn a_reader_that_comes_back_ends_in_the_stored_state() {
    let house = house().await;
    let (alice, channel) = with_channel(&house).await;
    let mut said = Vec::new();
    for n in 1..=5 {
        said.push(alice.post(&channel, &n.to_string()).await.expect("posts"));
    }
    let seen = alice.history(&channel, 0, None).await.expect("reads");
    let head = seen.head.expect("a head");
    let mut mine: BTreeMap<_, _> = seen
        .messages
        .into_iter()
        .map(|one| (one.seq, one))
        .collect();

    alice.edit(&said[0], "one").await.expect("edits");
    alice.delete(&said[1]).await.expect("deletes");
    alice.edit(&said[0], "ONE").await.expect("edits");
    alice.post(&channel, "6").await.expect("posts");
    let mut rev = head.rev;
    loop {
        let page = alice
            .changes(&channel, rev, &head.epoch, 2)
            .await
            .expect("reads");
        assert!(page.messages.is_sorted_by_key(|one| one.rev));
        mine.extend(page.messages.into_iter().map(|one| (one.seq, one)));
        rev = page.through_rev;
        if rev == page.head.expect("a head").rev {
            break;
        }
    }

    let stored = alice
        .history(&channel, 0, None)
        .await
        .expect("reads")
        .messages;
    assert_eq!(mine.into_values().collect::<Vec<_>>(), stored);
    assert_eq!((stored[0].text.as_str(), rev), ("ONE", 9));
}

#[tokio::test]
async fn at_the_head_nothing_has_changed() {
    let house = house().await;
    let (alice, channel) = with_channel(&house).await;
    alice.post(&channel, "hello").await.expect("posts");

    let page = alice.changes(&channel, 1, "", 0).await.expect("reads");

    assert_eq!((page.messages.len(), page.through_rev), (0, 1));
}

#[tokio::test]
async fn a_position_of_another_epoch_or_above_the_head_is_too_far() {
    let house = house().await;
    let (alice, channel) = with_channel(&house).await;
    alice.post(&channel, "hello").await.expect("posts");

    for (rev, epoch) in [(0, "another"), (2, "")] {
        let refused = why(alice.changes(&channel, rev, epoch, 0).await);
        assert_eq!(
            refused,
            (Code::FailedPrecondition, Reason::TooFarBack, vec![]),
            "{rev}"
        );
    }
}

#[tokio::test]
async fn changes_reach_a_thousand_back_and_no_further() {
    let house = house().await;
    let (alice, channel) = with_channel(&house).await;
    let posts = stream::iter(0..1_001).map(|n| {
        let (alice, channel) = (&alice, &channel);
        async move { alice.post(channel, &n.to_string()).await.expect("posts") }
    });
    posts
        .buffer_unordered(64)
        .collect::<Vec<pb::Message>>()
        .await;

    let page = alice.changes(&channel, 1, "", 100).await.expect("reads");
    let refused = why(alice.changes(&channel, 0, "", 100).await);

    assert_eq!((page.messages.len(), page.through_rev), (100, 101));
    assert_eq!(
        refused,
        (Code::FailedPrecondition, Reason::TooFarBack, vec![])
    );
}

#[tokio::test]
async fn a_restart_keeps_the_epoch_so_a_reader_goes_on() {
    let house = house().await;
    let (alice, channel) = with_channel(&house).await;
    alice.post(&channel, "before").await.expect("posts");
    let head = alice
        .history(&channel, 0, None)
        .await
        .expect("reads")
        .head
        .expect("a head");
    let person = alice.person.clone();

    let house = house.stop().await.start().await;
    let alice = house.someone(person);
    alice.post(&channel, "after").await.expect("posts");
    let page = alice
        .changes(&channel, head.rev, &head.epoch, 0)
        .await
        .expect("reads");

    assert_eq!(page.messages.len(), 1);
    assert_eq!(page.messages[0].text, "after");
}
