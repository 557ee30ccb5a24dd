//! Who believes whom.

use std::{fs, time::Duration};

use guildhall_mesh::{Call, Link, link::LinkSettings};
use guildhall_proto::chat::v1::{self as chat, feed_service_client::FeedServiceClient};
use rcgen::date_time_ymd;
use tonic::Code;

use super::{
    echo::Echo,
    knock::knock,
    town::{Authority, Town, until},
};

#[tokio::test]
async fn a_server_takes_clients_of_its_authority_only() {
    let (town, clock) = Town::stopped();
    let chat = town.chat("one").await;
    let dir = town.world.dir.path();
    let ours = town.authority.issue(dir, &["gateway"]);
    let others = Authority::new().issue(dir, &["gateway"]);
    let nameless = town.authority.issue(dir, &[]);
    let short = town.authority.issue(dir, &["gateway"]);
    town.authority.renew(&short, &["gateway"], |params| {
        params.not_after = date_time_ymd(2026, 1, 2);
    });
    let seen = async |papers| knock(chat.address, papers).await.is_some();

    assert!(seen(Some(ours.pair())).await);
    assert!(seen(Some(short.pair())).await);
    assert!(!seen(None).await);
    assert!(!seen(Some(others.pair())).await);
    assert!(!seen(Some(nameless.pair())).await);

    clock.pass(Duration::from_hours(36));
    assert!(seen(Some(ours.pair())).await);
    assert!(!seen(Some(short.pair())).await);
}

#[tokio::test]
async fn a_client_calls_only_who_is_the_service_that_it_wants() {
    let town = Town::new();
    let auth = town.settings(&["auth"]);
    let auth = town.serve("auth", "127.0.0.1:0", auth, &["auth"]).await;
    let stranger = Town::new();
    let stranger = stranger.chat("stranger").await;

    for address in [auth.address, stranger.address] {
        let link = town.link(&[address]);
        let refused = town.post(&link, "hello").await.expect_err("refused");

        assert_eq!(refused.code(), Code::Unavailable);
    }
    assert_eq!(auth.asked() + stranger.asked(), 0);
}

#[tokio::test]
async fn a_client_does_not_believe_another_authority_whoever_its_server_believes() {
    let town = Town::new();
    let dir = town.world.dir.path();
    let stranger = Authority::new().issue(dir, &["chat"]).settings();
    let ours = town.authority.issue(dir, &["chat"]).settings();
    let read = |file: &str| fs::read_to_string(file).expect("there");
    let both = read(&ours.ca_file) + &read(&stranger.ca_file);
    fs::write(&stranger.ca_file, both).expect("writes");
    let stranger = town.serve("stranger", "127.0.0.1:0", stranger, &["chat"]);
    let stranger = stranger.await;

    let refused = town.post(&town.link(&[stranger.address]), "hello").await;

    let refused = refused.expect_err("refused");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(stranger.asked(), 0);
}

#[tokio::test]
async fn a_certificate_that_has_ended_opens_nothing_on_either_side() {
    let (town, clock) = Town::stopped();
    let short = |names: &[&str]| {
        let papers = town.authority.issue(town.world.dir.path(), names);
        town.authority.renew(&papers, names, |params| {
            params.not_after = date_time_ymd(2026, 1, 2);
        });
        papers.settings()
    };
    let good = town.chat("good").await;
    let short_lived = short(&["chat"]);
    let short_lived = town.serve("short", "127.0.0.1:0", short_lived, &["chat"]);
    let short_lived = short_lived.await;
    let gateway = short(&["gateway"]);
    let expired_client = town.link_of("gateway", &gateway, &[good.address]);
    let to_expired_server = town.link(&[short_lived.address]);

    clock.pass(Duration::from_hours(36));

    for link in [expired_client, to_expired_server] {
        let refused = town.post(&link, "hello").await.expect_err("refused");
        assert_eq!(refused.code(), Code::Unavailable);
    }
    assert_eq!(good.asked() + short_lived.asked(), 0);
    let still = town.post(&town.link(&[good.address]), "hello").await;
    assert_eq!(still.expect("the others go on"), "good");
}

#[tokio::test]
async fn files_that_do_not_go_together_are_refused_by_the_setting_that_names_them() {
    let (town, clock) = Town::stopped();
    let dir = town.world.dir.path();
    let ours = town.authority.issue(dir, &["gateway"]).settings();
    let others = Authority::new().issue(dir, &["gateway"]).settings();
    let nameless = town.authority.issue(dir, &[]).settings();
    let ended = town.authority.issue(dir, &["gateway"]);
    town.authority.renew(&ended, &["gateway"], |params| {
        params.not_after = date_time_ymd(2026, 1, 2);
    });
    clock.pass(Duration::from_hours(36));
    let empty = dir.join("empty.pem");
    fs::write(&empty, "nothing\n").expect("writes");
    let empty = empty.to_str().expect("plain").to_owned();
    let mixed = |change: fn(&mut LinkSettings, LinkSettings)| {
        let mut settings = ours.clone();
        change(&mut settings, others.clone());
        settings
    };

    for (setting, settings) in [
        (
            "certificate_file",
            mixed(|mine, other| mine.ca_file = other.ca_file),
        ),
        (
            "key_file",
            mixed(|mine, other| mine.key_file = other.key_file),
        ),
        (
            "key_file",
            mixed(|mine, _| mine.key_file = "/nowhere".into()),
        ),
        (
            "ca_file",
            LinkSettings {
                ca_file: empty.clone(),
                ..ours.clone()
            },
        ),
        (
            "key_file",
            LinkSettings {
                key_file: empty.clone(),
                ..ours.clone()
            },
        ),
        (
            "certificate_file",
            LinkSettings {
                certificate_file: empty,
                ..ours.clone()
            },
        ),
        ("certificate_file", nameless),
        ("certificate_file", ended.settings()),
    ] {
        let refused = settings.identity(town.clock.clone(), &town.tasks);

        let refused = refused.expect_err(setting).to_string();
        assert!(
            refused.starts_with(&format!("setting links.{setting}: ")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn nobody_is_a_service_that_the_certificate_does_not_name() {
    let town = Town::new();
    let settings = LinkSettings {
        listen: "127.0.0.1:0".into(),
        ..town.settings(&["gateway"])
    };
    let identity = settings.identity(town.clock.clone(), &town.tasks);
    let identity = identity.expect("good files");
    let server = town.guarded(&Echo::new("one"));
    let served = vec![guildhall_mesh::link::Served {
        name: "chat",
        callers: &["gateway"],
        server,
    }];

    let served = guildhall_mesh::link::serve_links(
        &settings,
        identity,
        served,
        town.clock.clone(),
        &town.tasks,
    );

    let refused = served.await.expect_err("refused").to_string();
    assert!(
        refused.starts_with("setting links.certificate_file: is for [gateway]"),
        "{refused}"
    );
}

#[tokio::test]
async fn new_files_are_used_by_new_connections_and_bad_ones_change_nothing() {
    let town = Town::new();
    let papers = town.authority.issue(town.world.dir.path(), &["chat"]);
    let chat = town.serve("one", "127.0.0.1:0", papers.settings(), &["chat"]);
    let chat = chat.await;
    let client = town.authority.issue(town.world.dir.path(), &["gateway"]);
    let seen = async || knock(chat.address, Some(client.pair())).await;
    let first = seen().await.expect("let in");

    town.authority.renew(&papers, &["chat"], |_| {});
    until("the new certificate is shown", async || {
        seen().await.expect("let in") != first
    })
    .await;
    let second = seen().await.expect("let in");

    fs::write(papers.pair().0, "no certificate\n").expect("writes");
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert_eq!(seen().await.expect("let in"), second);

    town.authority.renew(&papers, &["chat"], |_| {});
    until("the next certificate is shown", async || {
        seen().await.expect("let in") != second
    })
    .await;
}

#[tokio::test]
async fn a_client_shows_its_new_certificate_on_its_next_connection() {
    let town = Town::new();
    let chat = LinkSettings {
        age_seconds: 1,
        ..town.settings(&["chat"])
    };
    let chat = town.serve("one", "127.0.0.1:0", chat, &["chat"]).await;
    let papers = town.authority.issue(town.world.dir.path(), &["gateway"]);
    let link = town.link_of("gateway", &papers.settings(), &[chat.address]);
    let heads = async |link: &Link| {
        let call = Call::own("heads", Duration::from_secs(5));
        let mut client = FeedServiceClient::new(link.as_service(&call));
        let answer = client.list_heads(chat::ListHeadsRequest::default()).await;
        answer.map(|_| ()).map_err(|refused| refused.code())
    };
    assert_eq!(heads(&link).await, Ok(()));

    town.authority.renew(&papers, &["study"], |_| {});

    until("it is somebody else", async || {
        heads(&link).await == Err(Code::PermissionDenied)
    })
    .await;
}
