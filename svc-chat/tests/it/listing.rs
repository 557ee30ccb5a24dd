//! Lists of channels.

use std::time::Duration;

use guildhall_kernel::{Role, SpaceId};
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1 as pb;
use tonic::{Code, Status};

use crate::support::{House, Someone, house, why};

fn names(states: &[pb::ChannelState]) -> Vec<String> {
    let channels = states
        .iter()
        .map(|state| state.channel.clone().expect("a channel"));
    channels.map(|channel| channel.name).collect()
}

async fn page_of_space(
    one: &Someone,
    space: SpaceId,
    page_size: u32,
    page_token: &str,
) -> Result<pb::ListSpaceChannelsResponse, Status> {
    let request = pb::ListSpaceChannelsRequest {
        space_id: space.to_string(),
        page_size,
        page_token: page_token.into(),
    };
    Ok(one
        .channels()
        .list_space_channels(request)
        .await?
        .into_inner())
}

/// A team of Alice and Bob with channels that were made one second after the other.
async fn with_channels(house: &House, names: &[&str]) -> (Someone, Someone, SpaceId) {
    let (alice, bob) = (house.person(), house.person());
    let space = house
        .team(&[(&alice, Role::Owner), (&bob, Role::Guest)])
        .await;
    for name in names {
        house.world.clock.pass(Duration::from_secs(1));
        alice.create(space, name).await.expect("makes");
    }
    (alice, bob, space)
}

#[tokio::test]
async fn the_channels_with_the_newest_messages_come_first() {
    let house = house().await;
    let (alice, bob, _) = with_channels(&house, &["one", "two", "three"]).await;
    let listed = alice
        .mine(pb::ListChannelsRequest::default())
        .await
        .expect("lists");
    assert_eq!(
        names(&listed.channels),
        ["three", "two", "one"],
        "none has a message"
    );
    let one = listed.channels[2].channel.clone().expect("a channel");

    house.world.clock.pass(Duration::from_secs(1));
    let said = bob.post(&one.id, "hello").await.expect("posts");
    let direct = bob.open_direct(&[&alice]).await.expect("opens");
    let listed = alice
        .mine(pb::ListChannelsRequest::default())
        .await
        .expect("lists");

    assert_eq!(listed.channels.len(), 4, "the direct one too");
    let first = listed
        .channels
        .iter()
        .find(|state| state.channel == Some(one.clone()));
    let first = first.expect("is listed");
    assert_eq!(first.last_message.as_ref(), Some(&said));
    let head = first.head.clone().expect("a head");
    assert_eq!(
        (head.seq, head.rev, first.read_seq, first.unread_count),
        (1, 1, 0, 1)
    );
    assert!(!head.epoch.is_empty());
    let kinds = vec![pb::ChannelKind::Direct.into()];
    let only = pb::ListChannelsRequest {
        kinds,
        ..Default::default()
    };
    let only = alice.mine(only).await.expect("lists").channels;
    assert_eq!(only.len(), 1);
    assert_eq!(only[0].channel, Some(direct));
}

#[tokio::test]
async fn posting_reads_for_the_poster_only() {
    let house = house().await;
    let (alice, bob, _) = with_channels(&house, &["one"]).await;
    let listed = alice
        .mine(pb::ListChannelsRequest::default())
        .await
        .expect("lists");
    let channel = listed.channels[0].channel.clone().expect("a channel").id;

    for text in ["a", "b", "c"] {
        bob.post(&channel, text).await.expect("posts");
    }

    let (hers, his) = (alice.state(&channel).await, bob.state(&channel).await);
    assert_eq!((hers.read_seq, hers.unread_count), (0, 3));
    assert_eq!((his.read_seq, his.unread_count), (3, 0));
}

#[tokio::test]
async fn my_channels_come_in_pages_to_the_end() {
    let house = house().await;
    let (alice, _, _) = with_channels(&house, &["a", "b", "c", "d", "e"]).await;
    let mut seen = Vec::new();
    let mut page_token = String::new();

    loop {
        let request = pb::ListChannelsRequest {
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = alice.mine(request).await.expect("lists");
        assert!(page.channels.len() <= 2);
        seen.extend(names(&page.channels));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }

    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
}

#[tokio::test]
async fn a_page_of_my_channels_is_no_heavier_than_an_answer_may_be() {
    let house = house().await;
    let (alice, _, space) = with_channels(&house, &[]).await;
    let longest = "\u{1f600}".repeat(16_000);
    for n in 0..40 {
        let made = alice.create(space, &format!("c{n}")).await.expect("makes");
        alice.post_as(&made.id, &longest, "k").await.expect("posts");
    }

    let all = pb::ListChannelsRequest {
        page_size: 100,
        ..Default::default()
    };
    let first = alice
        .mine(all.clone())
        .await
        .expect("fits into what a client takes");
    let rest = pb::ListChannelsRequest {
        page_token: first.next_page_token.clone(),
        ..all
    };
    let rest = alice.mine(rest).await.expect("fits");

    assert!(first.channels.len() < 40 && !first.next_page_token.is_empty());
    assert_eq!(first.channels.len() + rest.channels.len(), 40);
}

#[tokio::test]
async fn the_channels_of_a_space_come_by_name_in_pages_to_the_end() {
    let house = house().await;
    let (_, bob, space) = with_channels(&house, &["beta", "Alpha", "delta", "Gamma"]).await;

    let first = page_of_space(&bob, space, 3, "").await.expect("lists");
    let rest = page_of_space(&bob, space, 3, &first.next_page_token)
        .await
        .expect("lists");

    let names = |page: &pb::ListSpaceChannelsResponse| -> Vec<_> {
        page.channels
            .iter()
            .map(|channel| channel.name.clone())
            .collect()
    };
    assert_eq!(names(&first), ["Alpha", "beta", "delta"]);
    assert_eq!(
        (names(&rest), rest.next_page_token),
        (vec!["Gamma".into()], String::new())
    );
}

#[tokio::test]
async fn a_page_goes_on_where_the_one_before_ended_though_that_channel_is_gone() {
    let house = house().await;
    let (alice, _, space) = with_channels(&house, &["a", "b", "c"]).await;
    let first = page_of_space(&alice, space, 2, "").await.expect("lists");

    alice
        .delete_channel(&first.channels[1].id)
        .await
        .expect("deletes");
    let rest = page_of_space(&alice, space, 2, &first.next_page_token)
        .await
        .expect("lists");

    assert_eq!(rest.channels.len(), 1);
    assert_eq!(rest.channels[0].name, "c");
}

#[tokio::test]
async fn a_token_of_another_list_is_a_bad_field() {
    let house = house().await;
    let (alice, _, here) = with_channels(&house, &["a", "b"]).await;
    let there = house.team(&[(&alice, Role::Owner)]).await;
    let of_space = page_of_space(&alice, here, 1, "")
        .await
        .expect("lists")
        .next_page_token;
    let request = |page_token: &str| pb::ListChannelsRequest {
        page_token: page_token.into(),
        ..Default::default()
    };

    let refused = [
        why(page_of_space(&alice, there, 1, &of_space).await.map(drop)),
        why(page_of_space(&alice, here, 1, "!").await.map(drop)),
        why(page_of_space(&alice, here, 1, "AAAA").await.map(drop)),
        why(alice.mine(request(&of_space)).await.map(drop)),
        why(alice.mine(request("!")).await.map(drop)),
    ];

    for refused in refused {
        let fields = vec!["page_token".to_owned()];
        assert_eq!(refused, (Code::InvalidArgument, Reason::BadField, fields));
    }
}

#[tokio::test]
async fn a_left_space_and_a_deleted_channel_are_not_listed() {
    let house = house().await;
    let (alice, bob, space) = with_channels(&house, &["stays", "goes"]).await;
    let listed = bob
        .mine(pb::ListChannelsRequest::default())
        .await
        .expect("lists");
    let goes = listed.channels[0].channel.clone().expect("a channel");

    alice.delete_channel(&goes.id).await.expect("deletes");
    let after = bob
        .mine(pb::ListChannelsRequest::default())
        .await
        .expect("lists");
    house.set_role(&bob, space, None).await;
    let left = bob
        .mine(pb::ListChannelsRequest::default())
        .await
        .expect("lists");

    assert_eq!(names(&after.channels), ["stays"]);
    assert!(left.channels.is_empty());
    let refused = why(page_of_space(&bob, space, 1, "").await);
    assert_eq!((refused.0, refused.1), (Code::NotFound, Reason::NotFound));
}
