//! Opening an app in one trip.

use guildhall_kernel::UserId;
use guildhall_mesh::token::csrf_of;
use guildhall_proto::{auth::v1 as auth, chat::v1 as chat};
use uuid::Uuid;

use crate::support::{Hall, alice, client, hall, problem};

const REFRESH: &str = "/guildhall.auth.v1.SessionService/Refresh";
const LIST_CHANNELS: &str = "/guildhall.chat.v1.ChannelService/ListChannels";
const LIST_SPACES: &str = "/guildhall.auth.v1.SpaceService/ListSpaces";
const LIST_MESSAGES: &str = "/guildhall.chat.v1.MessageService/ListMessages";
const BATCH_GET_USERS: &str = "/guildhall.auth.v1.PeopleService/BatchGetUsers";

fn id(n: u128) -> String {
    UserId::of(Uuid::from_u128(n)).to_string()
}

fn message(author: &str, text: &str) -> chat::Message {
    chat::Message {
        author_id: author.into(),
        text: text.into(),
        ..Default::default()
    }
}

/// Two channels; Bob wrote last in the first, where Alice was once; in the second, where she was last, Carol wrote to her.
fn furnish(hall: &Hall) {
    let channel = |n, read_at, author: u128| chat::ChannelState {
        channel: Some(chat::Channel {
            id: id(n),
            ..Default::default()
        }),
        read_seq: 7,
        read_at: Some(prost_types::Timestamp {
            seconds: read_at,
            nanos: 0,
        }),
        last_message: Some(message(&id(author), "last")),
        ..Default::default()
    };
    let channels = vec![channel(101, 1_000, 0xb0b), channel(102, 2_000, 0xca401)];
    hall.services.answer(
        LIST_CHANNELS,
        &chat::ListChannelsResponse {
            channels,
            ..Default::default()
        },
    );
    let messages = vec![
        message(&alice().to_string(), "hello"),
        message(&id(0xca401), "hi"),
    ];
    let page = chat::ListMessagesResponse {
        messages,
        has_older: true,
        head: Some(chat::Head {
            seq: 2,
            rev: 2,
            epoch: "e".into(),
        }),
        ..Default::default()
    };
    hall.services.answer(LIST_MESSAGES, &page);
    let user = |n| auth::User {
        id: id(n),
        ..Default::default()
    };
    hall.services.answer(
        BATCH_GET_USERS,
        &auth::BatchGetUsersResponse {
            users: vec![user(0xb0b), user(0xca401)],
        },
    );
}

fn start(hall: &Hall, body: &serde_json::Value) -> reqwest::RequestBuilder {
    client().post(hall.url("/api/v1/auth/start")).json(body)
}

#[tokio::test]
async fn an_app_gets_everything_that_it_shows_first() {
    let hall = hall().await;
    furnish(&hall);

    let answer = start(&hall, &serde_json::json!({}))
        .bearer_auth(hall.token())
        .send()
        .await
        .expect("answers");
    assert_eq!(answer.status(), 200);
    let app: serde_json::Value = answer.json().await.expect("JSON");

    assert_eq!(app["account"]["email"], "alice@example.org");
    assert_eq!(app["channels"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        app["history"]["channelId"],
        id(102),
        "the one that Alice last read in"
    );
    assert_eq!(
        (
            &app["history"]["hasOlder"],
            &app["history"]["head"]["epoch"]
        ),
        (&true.into(), &"e".into())
    );
    let users: Vec<_> = app["users"]
        .as_array()
        .expect("users")
        .iter()
        .map(|user| user["id"].as_str())
        .collect();
    assert_eq!(
        users,
        [
            Some(&*alice().to_string()),
            Some(&*id(0xb0b)),
            Some(&*id(0xca401))
        ]
    );
    assert_eq!(app["presence"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        app["limits"],
        serde_json::json!({"messageChars": 16_000, "requestBytes": 1_048_576, "pageSize": 100})
    );
    assert!(
        app["accessExpiresAt"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    assert!(app.get("csrfToken").is_none(), "a bearer needs none");

    let bearer = format!("Bearer {}", hall.token());
    for path in [LIST_CHANNELS, LIST_MESSAGES, BATCH_GET_USERS] {
        let asked = hall.services.asked(path);
        assert!(
            asked.len() == 1 && asked[0].header("authorization") == Some(&bearer),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_app_hears_where_its_channels_and_spaces_go_on() {
    let hall = hall().await;
    furnish(&hall);
    let all = start(&hall, &serde_json::json!({}))
        .bearer_auth(hall.token())
        .send()
        .await;
    let all: serde_json::Value = all.expect("answers").json().await.expect("JSON");
    let channels = chat::ListChannelsResponse {
        next_page_token: "more-channels".into(),
        ..Default::default()
    };
    hall.services.answer(LIST_CHANNELS, &channels);
    let spaces = auth::ListSpacesResponse {
        next_page_token: "more-spaces".into(),
        ..Default::default()
    };
    hall.services.answer(LIST_SPACES, &spaces);

    let some = start(&hall, &serde_json::json!({}))
        .bearer_auth(hall.token())
        .send()
        .await;
    let some: serde_json::Value = some.expect("answers").json().await.expect("JSON");

    let tokens = |app: &serde_json::Value| {
        ["nextChannelsPageToken", "nextSpacesPageToken"].map(|name| app[name].clone())
    };
    assert_eq!(tokens(&all), ["", ""]);
    assert_eq!(tokens(&some), ["more-channels", "more-spaces"]);
}

#[tokio::test]
async fn a_channel_that_is_gone_is_as_good_as_none() {
    let hall = hall().await;
    furnish(&hall);
    hall.services
        .refuse_once(LIST_MESSAGES, tonic::Status::not_found("no such channel"));

    let answer = start(&hall, &serde_json::json!({"channelId": id(999)}))
        .bearer_auth(hall.token())
        .send()
        .await;
    let app: serde_json::Value = answer.expect("answers").json().await.expect("JSON");

    assert_eq!(app["history"]["channelId"], id(102), "the last read");
}

#[tokio::test]
async fn where_no_channel_was_read_the_newest_is_shown() {
    let hall = hall().await;
    furnish(&hall);
    let channel = |n| chat::ChannelState {
        channel: Some(chat::Channel {
            id: id(n),
            ..Default::default()
        }),
        ..Default::default()
    };
    let listed = chat::ListChannelsResponse {
        channels: vec![channel(101), channel(102)],
        ..Default::default()
    };
    hall.services.answer(LIST_CHANNELS, &listed);

    let answer = start(&hall, &serde_json::json!({}))
        .bearer_auth(hall.token())
        .send()
        .await;
    let app: serde_json::Value = answer.expect("answers").json().await.expect("JSON");

    assert_eq!(app["history"]["channelId"], id(101));
}

#[tokio::test]
async fn channels_that_are_gone_do_not_keep_an_app_from_opening() {
    let hall = hall().await;
    furnish(&hall);
    hall.services
        .refuse(LIST_MESSAGES, tonic::Status::not_found("no such channel"));

    let answer = start(&hall, &serde_json::json!({"channelId": id(999)}))
        .bearer_auth(hall.token())
        .send()
        .await;
    let app: serde_json::Value = answer.expect("answers").json().await.expect("JSON");

    assert!(
        app.get("history").is_none() && app["account"].is_object(),
        "{app}"
    );
}

#[tokio::test]
async fn by_cookie_it_needs_an_origin_and_tells_the_csrf_token() {
    let hall = hall().await;
    let cookie = format!("__Host-guildhall-access={}", hall.token());
    let with = |origin: Option<String>| {
        let request = start(&hall, &serde_json::json!({})).header("cookie", &cookie);
        match origin {
            Some(origin) => request.header("origin", origin).send(),
            None => request.send(),
        }
    };

    let app: serde_json::Value = with(Some(hall.origin()))
        .await
        .expect("answers")
        .json()
        .await
        .expect("JSON");
    assert_eq!(app["csrfToken"], csrf_of(&hall.token()));
    for origin in [None, Some("https://evil.example".to_owned())] {
        assert_eq!(
            problem(with(origin).await.expect("answers")).await.1["reason"],
            "REASON_ORIGIN_REFUSED"
        );
    }
}

#[tokio::test]
async fn an_expired_access_cookie_beside_a_good_refresh_cookie_is_renewed_in_the_same_trip() {
    let hall = hall().await;
    let fresh = hall.token();
    let answer = auth::RefreshResponse {
        csrf_token: Some(csrf_of(&fresh)),
        ..Default::default()
    };
    let renewed = [
        ("x-gh-access", fresh.as_str()),
        ("x-gh-access-max-age", "900"),
        ("x-gh-refresh", "r2"),
        ("x-gh-refresh-max-age", "604800"),
    ];
    hall.services.answer_with(REFRESH, &answer, &renewed);

    let opened = start(&hall, &serde_json::json!({}))
        .header(
            "cookie",
            format!(
                "__Host-guildhall-access={}; __Secure-guildhall-refresh=r1",
                hall.expired_token()
            ),
        )
        .header("origin", hall.origin())
        .header("user-agent", "browser/1")
        .send()
        .await
        .expect("answers");

    assert_eq!(opened.status(), 200);
    let set: Vec<_> = opened
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().expect("text").to_owned())
        .collect();
    assert!(
        set[0].starts_with(&format!("__Host-guildhall-access={fresh};"))
            && set[1].starts_with("__Secure-guildhall-refresh=r2;"),
        "{set:?}"
    );
    let app: serde_json::Value = opened.json().await.expect("JSON");
    assert_eq!(
        (&app["csrfToken"], &app["account"]["email"]),
        (&csrf_of(&fresh).into(), &"alice@example.org".into())
    );
    let asked = &hall.services.asked(REFRESH)[0];
    assert_eq!(
        (asked.header("x-gh-refresh"), asked.header("x-gh-agent")),
        (Some("r1"), Some("browser/1"))
    );
    assert_eq!(
        (asked.header("x-gh-client"), asked.header("x-gh-cookies-ok")),
        (Some("127.0.0.1"), Some("1"))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told() {
    let hall = hall().await;
    let reason = async |request: reqwest::RequestBuilder| {
        let (status, problem) = problem(request.send().await.expect("answers")).await;
        (status, problem["reason"].as_str().map(str::to_owned))
    };
    let says = |reason: &str| (401, Some(reason.to_owned()));
    let body = &serde_json::json!({});

    assert_eq!(
        reason(start(&hall, body)).await,
        says("REASON_TOKEN_MISSING")
    );
    assert_eq!(
        reason(start(&hall, body).bearer_auth(hall.expired_token())).await,
        says("REASON_TOKEN_EXPIRED")
    );
    assert_eq!(
        reason(start(&hall, body).bearer_auth("nonsense")).await,
        says("REASON_TOKEN_INVALID")
    );

    let refused = guildhall_mesh::status::refusal(
        guildhall_kernel::Kind::Unauthenticated,
        guildhall_mesh::Reason::RefreshRefused,
        "sign in again",
        &[],
        None,
    );
    hall.services.refuse(REFRESH, refused);
    let by_cookie = start(&hall, body)
        .header("cookie", "__Secure-guildhall-refresh=old")
        .header("origin", hall.origin());
    assert_eq!(reason(by_cookie).await, says("REASON_REFRESH_REFUSED"));
}
