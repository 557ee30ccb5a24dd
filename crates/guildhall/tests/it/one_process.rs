//! The stories, told to a hall of one process.

use crate::{
    stories,
    support::{Hall as _, OneProcess, Person, http, person::string},
};

macro_rules! told {
    ($($story:ident,)*) => {$(
        #[tokio::test]
        async fn $story() {
            stories::$story(&OneProcess::start().await).await;
        }
    )*};
}

told! {
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

#[tokio::test]
async fn what_was_said_before_a_crash_is_there_after_it_and_readers_catch_up() {
    let hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let bob = Person::register(&hall, "bob").await;
    let channel = alice.direct(&bob).await;
    let mut live = bob.socket(serde_json::json!({})).await;
    let ready = live.next("ready").await;
    alice.say(&channel, "before").await;
    let seen = live.next("message").await["rev"].clone();

    let hall = hall.crash_and_restart().await;
    let alice = Person::login(&hall, "alice").await;
    alice.say(&channel, "after").await;
    let bob = Person::login(&hall, "bob").await;
    let epoch = string(&ready["ready"]["epoch"]);
    let wish = serde_json::json!({ "seen": { channel.as_str(): seen }, "epoch": epoch });
    let mut live = bob.socket(wish).await;

    assert_eq!(live.next("message").await["message"]["text"], "after");
    assert_eq!(bob.texts(&channel).await, ["before", "after"]);
}

#[tokio::test]
async fn the_pages_beside_the_api_are_there() {
    let hall = OneProcess::start().await;

    for (path, kind) in [
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/openapi.json", "application/json"),
        ("/.well-known/jwks.json", "application/jwk-set+json"),
    ] {
        let answer = http()
            .get(format!("http://{}{path}", hall.http()))
            .send()
            .await
            .expect("answers");

        let status = answer.status();
        let form = answer.headers()["content-type"]
            .to_str()
            .expect("text")
            .to_owned();
        assert!(
            status == 200 && form.starts_with(kind),
            "{path}: {status} {form}"
        );
    }
}
