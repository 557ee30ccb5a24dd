//! What the bus between processes asks of its servers.

use std::sync::Arc;

use async_nats::jetstream::{self, stream};
use guildhall_kernel::SystemClock;
use guildhall_mesh::{
    Bus as _, Heard, NatsBus, Tasks,
    bus::{BusError, NatsSettings},
};
use guildhall_testkit::infra;

use super::{
    server::old_server,
    stage::{self, Stage, heard, note, numbers},
};

async fn refusal(settings: &NatsSettings) -> String {
    let opened = NatsBus::open(settings, Arc::new(SystemClock::new()), &Tasks::new()).await;
    opened.expect_err("refused").to_string()
}

async fn by_hand(url: &str) -> jetstream::Context {
    jetstream::new(async_nats::connect(url).await.expect("connects"))
}

#[tokio::test]
async fn a_stream_that_is_not_as_asked_is_refused_with_the_fields_that_differ() {
    let Some(server) = infra::nats().await else {
        return;
    };
    let settings = stage::settings(&server.url);
    let tasks = Tasks::new();
    drop(stage::open(&settings, &tasks).await);
    let jetstream = by_hand(&server.url).await;
    let name = format!("{}_GH_CHAT", settings.namespace);
    let kept = jetstream.get_stream(&name).await.expect("there");
    let mut config = kept.cached_info().config.clone();
    config.max_messages = 10;
    config.republish = None;
    jetstream
        .update_stream(config)
        .await
        .expect("changed by hand");

    let refusal = refusal(&settings).await;

    for part in [&name, "max_msgs is 10, not -1", "republish is null"] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[tokio::test]
async fn more_replicas_than_there_are_servers_are_refused_at_start() {
    let Some(server) = infra::nats().await else {
        return;
    };
    let settings = NatsSettings {
        replicas: 3,
        ..stage::settings(&server.url)
    };

    let refusal = refusal(&settings).await;

    assert!(refusal.contains("replicas"), "{refusal}");
}

#[tokio::test]
async fn an_old_server_is_refused_by_its_version_unless_a_test_allows_it() {
    let (url, tasks) = old_server("2.9.10").await;
    let settings = stage::settings(&url);

    let refusal = refusal(&settings).await;

    assert!(
        refusal.contains("2.9.10") && refusal.contains("2.12"),
        "{refusal}"
    );
    drop(tasks);
}

#[tokio::test]
async fn a_stream_keeps_what_the_design_says() {
    let Some(server) = infra::nats().await else {
        return;
    };
    let settings = stage::settings(&server.url);
    let _bus = stage::open(&settings, &Tasks::new()).await;

    let jetstream = by_hand(&server.url).await;
    for (name, hours) in [("GH_CHAT", 72), ("GH_ENTITY", 7 * 24)] {
        let name = format!("{}_{name}", settings.namespace);
        let mut kept = jetstream.get_stream(name).await.expect("there");
        let config = &kept.info().await.expect("answers").config;

        assert_eq!(config.max_age.as_secs(), hours * 3_600);
        assert_eq!(config.duplicate_window.as_secs(), 600);
        assert_eq!(config.storage, stream::StorageType::File);
        assert_eq!(config.retention, stream::RetentionPolicy::Limits);
    }
}

#[tokio::test]
async fn a_repeat_within_the_window_is_kept_and_told_once() {
    let Some(stage) = stage::nats().await else {
        return;
    };
    let mut listener = stage.listen("guildhall.chat.v1.once.*", 8).await;
    let first = note("once", "E", 1);

    stage.send(first.clone()).await;
    stage.there.send(first).await.expect("takes it");
    stage.send(note("once", "E", 2)).await;

    assert_eq!(numbers(&mut listener, 2).await, [1, 2]);
}

#[tokio::test]
async fn halls_in_other_namespaces_hear_nothing() {
    let Some(server) = infra::nats().await else {
        return;
    };
    let (ours, theirs) = (stage::settings(&server.url), stage::settings(&server.url));
    let tasks = Tasks::new();
    let ours = stage::open(&ours, &tasks).await;
    let theirs = stage::open(&theirs, &tasks).await;
    let mut listener = ours
        .listen("guildhall.chat.v1.*.*", 8)
        .await
        .expect("listens");

    theirs.send(note("a", "E", 1)).await.expect("takes it");
    ours.send(note("a", "E", 2)).await.expect("takes it");

    assert_eq!(numbers(&mut listener, 1).await, [2]);
}

#[tokio::test]
async fn a_note_that_no_stream_keeps_is_refused() {
    let Some(stage) = stage::nats().await else {
        return;
    };
    let mut stray = note("a", "E", 1);
    stray.subject = "elsewhere.v1.a.E".into();

    let refusal = stage.here.send(stray).await.expect_err("refused");

    assert!(matches!(refusal, BusError::Refused(_)), "{refusal:?}");
}

#[tokio::test]
async fn a_note_larger_than_the_server_takes_is_refused_and_stops_nothing() {
    let Some(stage) = stage::nats().await else {
        return;
    };
    let mut large = note("large", "E", 1);
    large.payload = vec![0; 9 << 20].into();

    let refusal = stage.here.send(large).await.expect_err("refused");
    stage.send(note("large", "E", 2)).await;

    assert!(matches!(refusal, BusError::Refused(_)), "{refusal:?}");
}

#[tokio::test]
async fn what_was_not_told_is_not_remembered_unless_it_is_too_old_to_be_kept() {
    let Some(stage) = stage::nats().await else {
        return;
    };
    let (told, untold) = (note("mind", "E", 1), note("mind", "E", 2));
    let elsewhere = note("else", "E", 3);
    let mut old = note("old", "E", 4);
    old.at = old.at.minus(std::time::Duration::from_hours(72));
    stage.send(told.clone()).await;

    for (note, remembered) in [
        (&told, true),
        (&untold, false),
        (&elsewhere, false),
        (&old, true),
    ] {
        let said = stage.here.remembers(note).await.expect("answers");

        assert_eq!(said, remembered, "{note:?}");
    }
}

#[tokio::test]
async fn a_bus_whose_tasks_stop_is_closed() {
    let Some(stage) = stage::nats().await else {
        return;
    };
    let mut listener = stage.listen("guildhall.chat.v1.stop.*", 8).await;
    let Stage {
        here, there, tasks, ..
    } = stage;

    for tasks in &tasks {
        assert_eq!(tasks.stop(stage::PATIENCE).await, 0);
    }

    assert_eq!(heard(&mut listener).await, None::<Heard>);
    let sent = here.send(note("stop", "E", 1)).await;
    assert!(matches!(sent, Err(BusError::Closed)), "{sent:?}");
    let listened = there.listen("a.b.c", 1).await;
    assert!(matches!(listened, Err(BusError::Closed)), "{listened:?}");
}
