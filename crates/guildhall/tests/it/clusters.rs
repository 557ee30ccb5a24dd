//! The stories, told to halls of several processes on PostgreSQL, Cassandra and NATS.

use std::process::ExitStatus;

use serde_json::json;

use crate::{
    stories,
    support::{
        Person,
        cluster::{Shape, Shared},
        hall::{outcome, serve},
        http,
    },
};

/// One process for each service.
const THREE: Shape = &["auth", "chat", "gateway"];
/// Two of each; who comes is sent to one gateway after the other, so two people are on different ones.
const TWO_OF_EACH: Shape = &["auth", "auth", "chat", "chat", "gateway", "gateway"];
/// Two processes that are everything, and call each other for nothing.
const TWINS: Shape = &["all", "all"];

macro_rules! told {
    ($shape:expr, $name:ident: $($story:ident,)*) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test]
                async fn $story() {
                    let Some(shared) = Shared::new().await else {
                        return;
                    };
                    let hall = shared.hall($shape).await;
                    stories::$story(&hall).await;
                    drop(hall);
                    shared.remove().await;
                }
            )*
        }
    };
}

told! { TWO_OF_EACH, two_of_each:
    two_people_meet_and_talk,
    a_team_has_its_channels_and_its_people,
    what_one_says_the_others_see_live_on_every_wire,
    a_stream_follows_what_its_reader_may_read,
    typing_and_presence_are_seen,
    a_reader_who_lost_the_connection_catches_up,
    a_call_is_the_same_by_rest_grpc_and_grpc_web,
    a_read_mark_is_kept_and_seen,
    an_app_opens_in_one_trip_and_refusals_are_clear,
}

told! { THREE, three:
    what_one_says_the_others_see_live_on_every_wire,
    a_team_has_its_channels_and_its_people,
}

told! { TWINS, twins:
    what_one_says_the_others_see_live_on_every_wire,
}

#[tokio::test]
async fn told_to_stop_every_process_ends_with_0() {
    let Some(shared) = Shared::new().await else {
        return;
    };
    let hall = shared.hall(THREE).await;
    let alice = Person::register(&hall, "alice").await;
    let mut live = alice.socket(json!({})).await;
    live.next("ready").await;

    let ends = hall.stop().await;

    live.next("bye").await;
    assert!(ends.iter().all(ExitStatus::success), "{ends:?}");
    assert_eq!(ends.len(), 3);
    shared.remove().await;
}

#[tokio::test]
async fn a_gateway_whose_services_are_away_lives_and_says_that_it_is_not_ready() {
    let Some(shared) = Shared::new().await else {
        return;
    };

    let gateway = shared.lone_gateway().await;
    let (alive, ready) = (
        gateway.status("/healthz").await,
        gateway.status("/readyz").await,
    );
    let asked = http()
        .get(format!(
            "http://{}/api/v1/channels",
            gateway.http.expect("its port")
        ))
        .bearer_auth("whatever")
        .send()
        .await;
    let refused = asked.expect("answers");

    assert_eq!((alive, ready), (200, 503));
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    drop(gateway);
    shared.remove().await;
}

#[tokio::test]
async fn a_process_that_lacks_a_setting_of_its_roles_names_it_and_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for (roles, key) in [
        ("chat", "links.auth"),
        ("gateway", "links.auth"),
        ("auth", "links.listen"),
        ("auth,tasks", "roles"),
    ] {
        let data = folder.path().join(roles);
        let mut serve = serve(&data);
        serve.args(["--roles", roles]);

        let (status, told, refusal) = outcome(serve).await;

        assert_eq!(status.code(), Some(1), "{roles}");
        assert!(told.is_empty(), "{told}");
        assert!(refusal.contains(&format!("setting {key}: ")), "{refusal}");
        assert!(!data.exists(), "{roles}");
    }
}

#[tokio::test]
async fn the_doctor_of_a_process_says_whom_it_can_reach() {
    let Some(shared) = Shared::new().await else {
        return;
    };
    let hall = shared.hall(THREE).await;
    let auth = hall.links_of("auth");
    let mut doctor = shared.command("gateway");
    doctor
        .arg("doctor")
        .env("GUILDHALL_LINKS__AUTH", auth.join(","))
        .env("GUILDHALL_LINKS__CHAT", "127.0.0.1:9");

    let (status, told, _) = outcome(doctor).await;

    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("good    the certificate"), "{told}");
    assert!(told.contains("good    links.auth: 1 of 1"), "{told}");
    assert!(told.contains("wrong   links.chat: 0 of 1"), "{told}");
    // It keeps no files.
    assert!(!told.contains("folder"), "{told}");
    drop(hall);
    shared.remove().await;
}
