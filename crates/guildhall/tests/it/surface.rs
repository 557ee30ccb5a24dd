//! What holds for every call, seen from outside.

use futures::StreamExt as _;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    Hall as _, OneProcess, Person, http,
    person::{PASSWORD, string},
    soon,
    sse::Events,
};

#[expect(
    clippy::too_many_lines,
    reason = "a table of requests and their answers"
)]
#[tokio::test]
async fn a_bad_request_says_once_of_each_field_in_plain_words_what_is_allowed() {
    let hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let space = alice.team("Harbour", &[]).await;
    let channel = alice.channel(&space, "general").await;
    let messages = format!("/channels/{channel}/messages");
    let id = "must be an id like 01939a4e-7a3c-7bb0-b1f6-2f2a4f7d9c11";
    let key = "must have 1 to 128 characters, letters, digits or signs of ASCII or blanks; chosen by you: the same key again gets \
               the first result again";
    let line = "must be one line with at least one visible character";

    for (method, path, body, errors) in [
        (
            Method::POST,
            "/auth/login",
            json!({"password": "x"}),
            vec![
                ("email", "email or username is needed, one of them"),
                ("username", "email or username is needed, one of them"),
            ],
        ),
        (
            Method::POST,
            "/auth/register",
            json!({"email": "", "username": "a b", "password": "short", "displayName": "x\ny"}),
            vec![
                ("email", "must be an e-mail address like name@example.org"),
                (
                    "username",
                    "must have 2 to 50 characters: letters from a to z, digits, dot, dash and underscore, the first a letter or \
                     digit",
                ),
                ("password", "must have 8 to 256 characters"),
                (
                    "displayName",
                    "must be one line, without control characters",
                ),
            ],
        ),
        (
            Method::POST,
            &messages,
            json!({"text": "", "key": ""}),
            vec![("text", "must have 1 to 16000 characters"), ("key", key)],
        ),
        (
            Method::POST,
            &messages,
            json!({"text": "  \n ", "key": "k"}),
            vec![(
                "text",
                "must have at least one visible character, and no NUL character",
            )],
        ),
        (
            Method::POST,
            &messages,
            json!({"text": "x".repeat(16_001), "key": "k"}),
            vec![("text", "must have 1 to 16000 characters")],
        ),
        (
            Method::GET,
            &format!("{messages}?before=yesterday&limit=101"),
            Value::Null,
            vec![
                ("limit", "must be at most 100"),
                ("before", "must be the id of a message, as the hall gave it"),
            ],
        ),
        (
            Method::POST,
            "/spaces",
            json!({"kind": "SPACE_KIND_DIRECT", "name": " ", "key": "k", "memberIds": ["me", "you"]}),
            vec![
                ("kind", "must be SPACE_KIND_TEAM"),
                ("name", line),
                (
                    "memberIds[1]",
                    "must be the id of a user like 01939a4e-7a3c-7bb0-b1f6-2f2a4f7d9c11, or me",
                ),
            ],
        ),
        (
            Method::GET,
            "/spaces/harbour",
            Value::Null,
            vec![("spaceId", id)],
        ),
        (
            Method::POST,
            "/channels/direct",
            json!({"userIds": []}),
            vec![("userIds", "must have 1 to 20 entries")],
        ),
        (
            Method::PATCH,
            &format!("/spaces/{space}/members/me"),
            json!({"role": "SPACE_ROLE_UNSPECIFIED"}),
            vec![(
                "role",
                "must be one of SPACE_ROLE_GUEST, SPACE_ROLE_MEMBER, SPACE_ROLE_MODERATOR, SPACE_ROLE_OWNER",
            )],
        ),
    ] {
        let body = (!body.is_null()).then_some(body);
        let (status, problem) = alice
            .try_call(method, path, body)
            .await
            .expect_err("refused");

        let wanted: Vec<_> = errors
            .iter()
            .map(|(field, description)| json!({"field": field, "description": description}))
            .collect();
        assert_eq!(
            (status, &problem["errors"]),
            (400, &json!(wanted)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_empty_patch_changes_nothing_and_shows_what_is_there_on_every_route() {
    let hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let bob = Person::register(&hall, "bob").await;
    let space = alice.team("Harbour", &[&bob]).await;
    let channel = alice.channel(&space, "general").await;
    let message = string(&alice.say(&channel, "hello").await["id"]);
    let api = http()
        .get(format!("http://{}/openapi.json", hall.http()))
        .send();
    let api: Value = api.await.expect("answers").json().await.expect("JSON");
    let routes = api["paths"].as_object().expect("paths").iter();
    let patched: Vec<_> = routes
        .filter(|(_, methods)| methods["patch"].is_object())
        .map(|(path, _)| path.clone())
        .collect();
    let changes = async || {
        let at = format!("/channels/{channel}/changes");
        alice.get(&at).await["head"]["rev"].clone()
    };
    let before = changes().await;

    for path in &patched {
        let path = path
            .replace("/api/v1", "")
            .replace("{spaceId}", &space)
            .replace("{channelId}", &channel)
            .replace("{messageId}", &message)
            .replace("{userId}", &bob.id);
        let shown = alice.patch(&path, json!({})).await;

        let shown = shown.as_object().expect("an object");
        assert!(
            shown.len() == 1 && shown.values().all(Value::is_object),
            "{path}"
        );
        if !path.contains("/members/") {
            assert_eq!(&alice.get(&path).await, &json!(shown), "{path}");
        }
    }

    assert!(patched.len() >= 5, "{patched:?}");
    assert_eq!(changes().await, before, "no change is told");
    let members = alice.get(&format!("/spaces/{space}/members")).await;
    assert_eq!(members["members"][1]["role"], "SPACE_ROLE_MEMBER");
}

#[tokio::test]
async fn me_is_the_caller_wherever_a_user_id_stands() {
    let hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let bob = Person::register(&hall, "bob").await;
    let people = |with: &str| json!({ "userIds": [with, bob.id] });
    let add = async |space: &str, user: &str| {
        let path = format!("/spaces/{space}/members");
        let body = json!({ "userId": user, "role": "SPACE_ROLE_GUEST" });
        let refused = alice.try_call(Method::POST, &path, Some(body)).await;
        let (status, problem) = refused.expect_err("is one already");
        (status, problem["reason"].clone())
    };

    let by_word = alice.post("/channels/direct", people("me")).await;
    let by_id = alice.post("/channels/direct", people(&alice.id)).await;
    let new = json!({
        "kind": "SPACE_KIND_TEAM", "name": "Harbour", "memberIds": ["me", bob.id], "key": "k",
    });
    let space = string(&alice.post("/spaces", new).await["space"]["id"]);
    let member = format!("/spaces/{space}/members/me");
    let presence = alice.get("/presence?userIds=me").await;
    let mut live = alice.socket(json!({ "presenceUserIds": ["me"] })).await;

    assert_eq!(by_word, by_id);
    assert_eq!(add(&space, "me").await, add(&space, &alice.id).await);
    let shown = alice.patch(&member, json!({})).await;
    assert_eq!(shown["member"]["user"]["id"], alice.id.as_str());
    assert_eq!(
        alice.get("/users/me").await["user"]["id"],
        alice.id.as_str()
    );
    assert_eq!(presence["presence"][0]["userId"], alice.id.as_str());
    let seen = live.next("presence").await;
    assert_eq!(seen["presence"]["userId"], alice.id.as_str());
}

#[tokio::test]
async fn a_newcomer_has_nothing_unread_from_the_first_call_on() {
    let hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    for round in 0..10 {
        let bob = Person::register(&hall, &format!("bob{round}")).await;
        let space = alice.team(&format!("Harbour {round}"), &[]).await;
        let channel = alice.channel(&space, "general").await;
        alice.say(&channel, "before").await;

        let path = format!("/spaces/{space}/members");
        alice.post(&path, json!({ "userId": bob.id })).await;
        let app = bob.post("/auth/start", json!({})).await;
        alice.say(&channel, "since").await;
        let later = bob.get("/channels").await;

        assert_eq!(app["channels"][0]["unreadCount"], 0, "{app}");
        assert_eq!(later["channels"][0]["unreadCount"], 1, "{later}");
    }
}

#[tokio::test]
async fn an_app_opens_where_its_person_last_read() {
    let hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let bob = Person::register(&hall, "bob").await;
    let space = alice.team("Harbour", &[&bob]).await;
    let quiet = alice.channel(&space, "quiet").await;
    let loud = alice.channel(&space, "loud").await;
    let read = async |channel: &str, message: &Value| {
        let path = format!("/channels/{channel}/read");
        bob.put(&path, json!({ "messageId": message["id"] })).await;
    };
    let shown = async |body: Value| {
        let app = bob.post("/auth/start", body).await;
        string(&app["history"]["channelId"])
    };
    let first = alice.say(&quiet, "one").await;
    let second = alice.say(&loud, "two").await;

    assert_eq!(shown(json!({})).await, loud, "the newest message");
    read(&loud, &second).await;
    read(&quiet, &first).await;
    alice.say(&loud, "three").await;
    assert_eq!(shown(json!({})).await, quiet, "the last read");
    assert_eq!(shown(json!({ "channelId": loud })).await, loud);
    let gone = alice.channel(&space, "gone").await;
    alice.delete(&format!("/channels/{gone}")).await;
    assert_eq!(shown(json!({ "channelId": gone })).await, quiet);
}

#[tokio::test]
async fn a_stream_ends_when_the_time_of_its_session_has_come() {
    let hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let mut by_token = vec![
        alice.socket(json!({})).await,
        alice.open(json!({})).await,
        alice.events("", None).await,
    ];
    for live in &mut by_token {
        live.next("ready").await;
    }
    let mut by_cookie = Box::pin(Events::of(cookie_stream(&hall).await.bytes_stream()));
    soon("the first frame", by_cookie.next())
        .await
        .expect("is open");

    // As if they had been opened a week ago.
    let auth = Connection::open(hall.data().join("auth.db")).expect("opens");
    let aged = auth.execute("UPDATE auth_session SET idle_ends_at = 1", []);
    assert_eq!(aged.expect("updates"), 2);

    for live in &mut by_token {
        let bye = live.next("bye").await;
        assert_eq!(bye["bye"]["problem"]["reason"], "REASON_SESSION_ENDED");
    }
    assert_eq!(by_token[0].next("closed").await["closed"], 4401);
    let ended = loop {
        let frame = soon("the end", by_cookie.next()).await.expect("a frame");
        if frame["bye"].is_object() {
            break frame;
        }
    };
    assert_eq!(ended["bye"]["problem"]["reason"], "REASON_SESSION_ENDED");
}

/// Server-sent events as a page gets them: the token in a cookie.
async fn cookie_stream(hall: &OneProcess) -> reqwest::Response {
    let login = json!({ "username": "alice", "password": PASSWORD, "cookie": true });
    let login = http()
        .post(format!("http://{}/api/v1/auth/login", hall.http()))
        .json(&login);
    let answer = login.send().await.expect("answers");
    let cookies = answer.headers().get_all("set-cookie").iter();
    let pairs = cookies.map(|cookie| {
        let cookie = cookie.to_str().expect("text");
        cookie.split(';').next().expect("a pair").to_owned()
    });
    let cookies: Vec<_> = pairs.collect();
    let stream = http()
        .get(format!("http://{}/api/v1/live", hall.http()))
        .header("accept", "text/event-stream")
        .header("cookie", cookies.join("; "))
        .send();
    let stream = soon("a stream", stream).await.expect("answers");
    assert_eq!(stream.status(), 200);
    stream
}
