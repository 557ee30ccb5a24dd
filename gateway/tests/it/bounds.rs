//! What clients may ask of the hall is bounded: how much at once, how often, how large, for how long.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use guildhall_gateway::{GatewaySettings, LimitSettings};
use guildhall_proto::auth::v1::{
    GetMeRequest, GetMeResponse, account_service_client::AccountServiceClient,
};
use tokio::net::TcpStream;
use tonic::{Code, Request};

use crate::support::{client, client_h2, hall, hall_with, problem, roomy};

const GET_ME: &str = "/guildhall.auth.v1.AccountService/GetMe";
const UPDATE_ME: &str = "/guildhall.auth.v1.AccountService/UpdateMe";

#[tokio::test]
async fn more_calls_than_the_hall_can_bear_are_refused_at_once() {
    let settings = GatewaySettings {
        calls: 2,
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, roomy()).await;
    hall.is_ready().await;
    hall.services.go_slow(true);
    let slow = |_| {
        let request = client()
            .get(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token());
        hall.tasks
            .spawn("slow", async move { request.send().await.is_ok() })
    };
    let _held: Vec<_> = (0..2).map(slow).collect();
    while hall.services.asked(GET_ME).len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let rest = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .send()
        .await
        .expect("answers");
    assert!(rest.headers().contains_key("retry-after"));
    let (status, rest) = problem(rest).await;
    assert_eq!((status, &rest["reason"]), (503, &"REASON_BUSY".into()));
    let grpc = AccountServiceClient::new(hall.channel().await)
        .get_me(hall.signed(GetMeRequest {}))
        .await
        .expect_err("refused");
    assert_eq!(
        (grpc.code(), guildhall_mesh::status::reason(&grpc)),
        (Code::Unavailable, guildhall_mesh::Reason::Busy)
    );
}

#[tokio::test]
async fn whoever_calls_too_often_is_told_when_to_come_back() {
    let limits = LimitSettings {
        sign_in_burst: 2,
        sign_in_per_minute: 6,
        ordinary_burst: 3,
        ordinary_per_minute: 6,
        ..roomy()
    };
    let hall = hall_with(GatewaySettings::default(), limits).await;
    let login = |from: &'static str| {
        client()
            .post(hall.url("/api/v1/auth/login"))
            .header("x-forwarded-for", from)
            .bearer_auth(hall.token())
            .json(&serde_json::json!({"username": "alice", "password": "p"}))
            .send()
    };

    // Other names for the address, or a token of one's own, are no way round.
    for from in ["198.51.100.1", "198.51.100.2"] {
        assert_eq!(login(from).await.expect("answers").status(), 200);
    }
    let refused = login("198.51.100.3").await.expect("answers");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=10).contains(&wait), "{wait}");
    let (status, refused) = problem(refused).await;
    assert_eq!(
        (status, &refused["reason"]),
        (429, &"REASON_RATE_LIMITED".into())
    );

    let mut grpc = AccountServiceClient::new(hall.channel().await);
    let mut ask = async || {
        let mut request = Request::new(GetMeRequest {});
        let token = format!("Bearer {}", hall.token()).parse().expect("text");
        request.metadata_mut().insert("authorization", token);
        grpc.get_me(request)
            .await
            .map(tonic::Response::<GetMeResponse>::into_inner)
    };
    for _ in 0..3 {
        ask().await.expect("within the burst");
    }
    let refused = ask().await.expect_err("too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let info = tonic_types::StatusExt::get_details_retry_info(&refused);
    assert!(
        info.and_then(|info| info.retry_delay)
            .is_some_and(|wait| wait <= Duration::from_secs(10))
    );
}

#[tokio::test]
async fn what_no_wire_takes_counts_against_its_address_like_everything_else() {
    let hall = hall_with(GatewaySettings::default(), three_requests()).await;
    let misfit = |kind: &'static str| {
        client()
            .post(hall.url(GET_ME))
            .header("content-type", kind)
            .send()
    };

    for (kind, status) in [
        ("application/grpc+json", 415),
        ("application/grpc", 505),
        ("application/grpc-web+json", 415),
    ] {
        assert_eq!(misfit(kind).await.expect("answers").status(), status);
    }
    let refused = misfit("application/grpc").await.expect("answers");
    assert!(refused.headers().contains_key("retry-after"));
    let (status, refused) = problem(refused).await;

    assert_eq!(
        (status, &refused["reason"]),
        (429, &"REASON_RATE_LIMITED".into())
    );
}

#[tokio::test]
async fn what_browsers_ask_before_they_call_counts_against_their_address_like_everything_else() {
    let listed = "https://app.example.org";
    let settings = GatewaySettings {
        origins: vec![listed.into()],
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, three_requests()).await;
    let ask = || {
        client()
            .request(http::Method::OPTIONS, hall.url("/api/v1/auth/me"))
            .header("origin", listed)
            .header("access-control-request-method", "PATCH")
            .send()
    };

    for _ in 0..3 {
        assert_eq!(ask().await.expect("answers").status(), 204);
    }
    let (status, refused) = problem(ask().await.expect("answers")).await;

    assert_eq!(
        (status, &refused["reason"]),
        (429, &"REASON_RATE_LIMITED".into())
    );
}

#[tokio::test]
async fn nobody_is_waited_for_who_may_not_call_anyhow() {
    let hall = hall().await;
    let never_ends = || {
        let first = Ok::<_, std::io::Error>(vec![b' '; 16]);
        reqwest::Body::wrap_stream(stream::iter([first]).chain(stream::pending()))
    };

    for client in [client(), client_h2()] {
        let answered = client
            .patch(hall.url("/api/v1/auth/me"))
            .header("content-type", "application/json")
            .body(never_ends())
            .send();
        let answered = tokio::time::timeout(Duration::from_secs(5), answered).await;
        let (status, refused) = problem(answered.expect("at once").expect("answers")).await;

        assert_eq!(
            (status, &refused["reason"]),
            (401, &"REASON_TOKEN_MISSING".into())
        );
    }
}

#[tokio::test]
async fn large_bodies_are_refused_before_anybody_parses_them() {
    let hall = hall().await;
    let patch = |client: reqwest::Client, body: reqwest::Body| {
        client
            .patch(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token())
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    let text = vec![b' '; (1 << 20) + 1];

    for client in [client(), client_h2()] {
        let announced = patch(client.clone(), text.clone().into())
            .await
            .expect("answers");
        let (status, refused) = problem(announced).await;
        assert_eq!(
            (status, &refused["reason"]),
            (413, &"REASON_TOO_LARGE".into())
        );
        let pieces = text
            .chunks(100_000)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect::<Vec<_>>();
        let streamed = patch(client, reqwest::Body::wrap_stream(stream::iter(pieces)))
            .await
            .expect("answers");
        assert_eq!(problem(streamed).await.0, 413);
    }

    let grpc = client_h2()
        .post(hall.url(UPDATE_ME))
        .bearer_auth(hall.token())
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(vec![0; (1 << 20) + 6])
        .send()
        .await
        .expect("answers");
    assert_eq!(
        (grpc.status().as_u16(), &grpc.headers()["grpc-status"]),
        (200, &http::HeaderValue::from_static("8"))
    );
    assert!(hall.services.asked(UPDATE_ME).is_empty());
}

#[tokio::test]
async fn deep_and_broken_json_is_refused_by_name() {
    let hall = hall().await;
    let post = |body: String| {
        client()
            .post(hall.url("/api/v1/auth/login"))
            .header("content-type", "application/json")
            .body(body)
            .send()
    };

    for body in [
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        "{\"username\": ".into(),
        "{\"unknown\": 1}".into(),
        "{\"username\": \"\\ud800\"}".into(),
        String::new(),
    ] {
        let (status, refused) = problem(post(body).await.expect("answers")).await;
        assert_eq!(
            (status, &refused["reason"]),
            (400, &"REASON_BAD_FIELD".into())
        );
        assert!(
            refused["errors"]
                .as_array()
                .is_some_and(|errors| !errors.is_empty()),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_for() {
    let hall = hall().await;
    hall.is_ready().await;
    hall.services.go_slow(true);

    let late = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .header("request-timeout", "0.3")
        .send()
        .await
        .expect("answers");

    let (status, late) = problem(late).await;
    assert_eq!((status, &late["reason"]), (504, &"REASON_DEADLINE".into()));
}

#[tokio::test]
async fn a_soft_stop_takes_no_new_connection_and_finishes_what_was_begun() {
    let hall = hall().await;
    hall.is_ready().await;
    hall.services.go_slow(true);
    let slow = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .header("request-timeout", "0.5")
        .send();
    let begun = tokio::join!(slow, async {
        while hall.services.asked(GET_ME).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        hall.tasks.begin_stop();
    });

    assert_eq!(begun.0.expect("an answer all the same").status(), 504);
    assert_eq!(
        hall.tasks.stop(Duration::from_secs(3)).await,
        0,
        "nothing had to be cut off"
    );
    assert!(TcpStream::connect(hall.address).await.is_err());
    assert!(!*hall.gateway.ready().borrow());
}

/// Three requests of an address, and then one a minute.
fn three_requests() -> LimitSettings {
    LimitSettings {
        address_burst: 3,
        address_per_minute: 1,
        ..roomy()
    }
}
