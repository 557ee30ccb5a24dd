//! What happens to channels at the same time. One process stands for many: on PostgreSQL its transactions run beside each other, as
//! those of other processes do.

use std::collections::HashSet;

use guildhall_kernel::{ChannelId, Key, Role, SpaceId, Time, UserId};
use guildhall_mesh::Reason;
use guildhall_proto::chat::v1 as pb;
use guildhall_testkit::World;
use svc_chat::{
    model::{ChannelChange, Name, NewChannel, Topic},
    store::ChannelStore,
};
use tokio::task::JoinSet;
use tonic::Status;

use crate::{
    engine::{is_on_postgres, place},
    support::{House, Someone, house, reason},
};

/// How many do the same at the same time.
const AT_ONCE: usize = 12;

/// Runs them all at once.
async fn all<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    calls.into_iter().collect::<JoinSet<_>>().join_all().await
}

async fn with_team() -> (House, Someone, SpaceId) {
    let house = house().await;
    let alice = house.person();
    let space = house.team(&[(&alice, Role::Owner)]).await;
    (house, alice, space)
}

fn creation(space: SpaceId, name: &str, key: &str) -> pb::CreateChannelRequest {
    pb::CreateChannelRequest {
        space_id: space.to_string(),
        name: name.into(),
        topic: String::new(),
        key: key.into(),
    }
}

async fn change(
    alice: &Someone,
    id: &str,
    name: Option<&str>,
    topic: Option<&str>,
) -> Result<pb::Channel, Status> {
    let request = pb::UpdateChannelRequest {
        channel_id: id.into(),
        name: name.map(Into::into),
        topic: topic.map(Into::into),
    };
    let answer = alice.channels().update_channel(request).await?.into_inner();
    Ok(answer.channel.expect("a channel"))
}

/// How often an event of this name stands in the outbox, and the name of the last of all.
async fn told(house: &House, event: &str) -> (usize, String) {
    let journal = &house.chat.channel_events;
    let all = journal.read(0, 10_000).await.expect("reads");
    let count = all.iter().filter(|(_, note)| note.subject.ends_with(event));
    let last = all.last().map(|(_, note)| note.subject.to_string());
    (count.count(), last.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_want_one_name_one_gets_it_and_the_others_are_told() {
    let (house, alice, space) = with_team().await;

    let answers = all((0..AT_ONCE).map(|n| {
        let mut channels = alice.channels();
        let request = creation(space, "General", &format!("key {n}"));
        async move { channels.create_channel(request).await }
    }))
    .await;

    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for answer in refused {
        assert_eq!(reason(answer), Reason::ChannelNameTaken);
    }
    assert_eq!(told(&house, "ChannelCreated").await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_makes_one_channel_though_many_ask_at_once() {
    let (house, alice, space) = with_team().await;

    let answers = all((0..AT_ONCE).map(|_| {
        let mut channels = alice.channels();
        async move {
            channels
                .create_channel(creation(space, "General", "k"))
                .await
        }
    }))
    .await;

    let ids: HashSet<_> = answers
        .into_iter()
        .map(|answer| {
            answer
                .expect("makes")
                .into_inner()
                .channel
                .expect("a channel")
                .id
        })
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(told(&house, "ChannelCreated").await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_opened_once_though_many_ask_at_once() {
    let house = house().await;
    let (alice, bob) = (house.person(), house.person());
    let request = pb::OpenDirectRequest {
        user_ids: vec![bob.user().to_string()],
    };

    let answers = all((0..AT_ONCE).map(|_| {
        let (mut channels, request) = (alice.channels(), request.clone());
        async move { channels.open_direct(request).await }
    }))
    .await;

    let ids: HashSet<_> = answers
        .into_iter()
        .map(|answer| {
            answer
                .expect("opens")
                .into_inner()
                .channel
                .expect("a channel")
                .id
        })
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(told(&house, "ChannelCreated").await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_changes_of_one_channel_are_both_kept_and_told_as_they_came() {
    let (house, alice, space) = with_team().await;
    let id = alice.create(space, "general").await.expect("makes").id;

    for n in 0..15 {
        let (name, topic) = (format!("name {n}"), format!("topic {n}"));
        let (named, about) = tokio::join!(
            change(&alice, &id, Some(&name), None),
            change(&alice, &id, None, Some(&topic)),
        );
        let (named, about) = (named.expect("changes"), about.expect("changes"));

        let channel = alice.channel(&id).await.expect("is there");
        assert_eq!((&channel.name, &channel.topic), (&name, &topic));
        // Whoever came second saw what the first had made.
        assert!(named == channel || about == channel);
    }
    assert_eq!(told(&house, "ChannelUpdated").await.0, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_channels_that_want_one_name_one_gets_it() {
    let (_house, alice, space) = with_team().await;
    for n in 0..10 {
        let one = alice
            .create(space, &format!("one {n}"))
            .await
            .expect("makes")
            .id;
        let other = alice
            .create(space, &format!("other {n}"))
            .await
            .expect("makes")
            .id;
        let name = format!("wanted {n}");

        let (first, second) = tokio::join!(
            change(&alice, &one, Some(&name), None),
            change(&alice, &other, Some(&name), None),
        );

        assert_ne!(first.is_ok(), second.is_ok());
        let refused = if first.is_ok() { second } else { first };
        assert_eq!(reason(refused), Reason::ChannelNameTaken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_many_delete_and_rename_ends_once_and_is_not_told_of_after_that() {
    let (house, alice, space) = with_team().await;
    for round in 1..=5 {
        let made = alice.create(space, &format!("general {round}")).await;
        let id = made.expect("makes").id;

        let answers = all((0..AT_ONCE).map(|n| {
            let (mut channels, channel_id) = (alice.channels(), id.clone());
            async move {
                if n % 3 == 1 {
                    let request = pb::DeleteChannelRequest { channel_id };
                    channels.delete_channel(request).await.map(drop)
                } else {
                    let request = pb::UpdateChannelRequest {
                        channel_id,
                        name: Some(format!("name {n}")),
                        topic: None,
                    };
                    match channels.update_channel(request).await {
                        Err(status) if status.code() != tonic::Code::NotFound => Err(status),
                        _ => Ok(()),
                    }
                }
            }
        }))
        .await;

        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let (ended, last) = told(&house, "ChannelDeleted").await;
        assert_eq!(ended, round);
        assert!(last.ends_with("ChannelDeleted"), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_channel_is_left_in_a_space_that_ends_while_many_are_made() {
    let (house, alice, space) = with_team().await;
    let mut makers: JoinSet<_> = (0..40)
        .map(|n| {
            let mut channels = alice.channels();
            let request = creation(space, &format!("name {n}"), &format!("key {n}"));
            async move { channels.create_channel(request).await.map(drop) }
        })
        .collect();
    let first = makers.join_next().await.expect("is there").expect("ends");
    first.expect("makes");

    house.delete_space(space).await;
    house.follow().await;
    makers.join_all().await;

    let (made, _) = told(&house, "ChannelCreated").await;
    let (ended, _) = told(&house, "ChannelDeleted").await;
    assert_eq!(made, ended);
}

#[tokio::test]
async fn what_one_process_changes_another_sees_at_once() {
    if !is_on_postgres() {
        // A file has one process.
        return;
    }
    let world = World::new();
    let place = place(world.dir.path().join("chat.db"));
    svc_chat::migrate(&place.home).await.expect("migrates");
    let open = || ChannelStore::open(&place.home, world.ids(), world.tasks.clone(), 10);
    let (here, there) = (open().await.expect("opens"), open().await.expect("opens"));
    let new = NewChannel {
        id: ChannelId::from_bytes([7; 16]),
        space: SpaceId::from_bytes([1; 16]),
        name: Name::parse("before").expect("a name"),
        topic: Topic::default(),
        by: UserId::from_bytes([2; 16]),
        key: Key::parse("k").expect("a key"),
        at: Time::from_micros(1),
    };
    let id = new.id;
    here.create(new).await.expect("makes");
    let known = there.channel(id).await.expect("reads").expect("is there");

    let change = ChannelChange {
        name: Some(Name::parse("after").expect("a name")),
        topic: None,
    };
    here.update(id, change, Time::from_micros(2))
        .await
        .expect("changes");

    assert_eq!(known.name, "before");
    let seen = there.channel(id).await.expect("reads").expect("is there");
    assert_eq!(seen.name, "after");
    here.close().await;
    there.close().await;
}
