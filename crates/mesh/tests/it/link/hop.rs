//! What a call keeps on its way to another process and back.

use std::{sync::atomic::Ordering, time::Duration};

use guildhall_kernel::SystemClock;
use guildhall_mesh::{Call, Link, Reason, status::reason, telemetry};
use guildhall_proto::{
    chat::v1::{
        self as chat, feed_service_client::FeedServiceClient,
        message_service_client::MessageServiceClient,
    },
    live::v1::{self as live, live_service_client::LiveServiceClient},
};
use http_body_util::{BodyExt as _, Full};
use prost::{Message as _, bytes::Bytes};
use tonic::Code;
use tower::ServiceExt as _;

use super::{
    echo::{refused, refused_for_much},
    town::{CHANNEL, Stopwatch, Town, nobody, until},
};

#[tokio::test]
async fn a_call_reaches_a_service_in_another_process_with_caller_and_correlation() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]).on_behalf(&town.person.caller());

    let request = chat::PostMessageRequest {
        channel_id: CHANNEL.into(),
        text: "hello".into(),
        key: "k".into(),
    };
    let answer = MessageServiceClient::new(link).post_message(request).await;

    let message = answer.expect("answered").into_inner().message;
    let message = message.expect("a message");
    assert_eq!(message.text, "one");
    assert_eq!(message.author_id, town.person.user.to_string());
    assert_eq!(
        message.key,
        town.person.caller().call.correlation.to_string()
    );
}

#[tokio::test]
async fn a_refusal_crosses_the_hop_unchanged() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);

    for (text, said) in [("refuse", refused()), ("refuse much", refused_for_much())] {
        let heard = town.post(&link, text).await.expect_err("refused");

        assert_eq!(heard.code(), said.code());
        assert_eq!(heard.message(), said.message());
        assert_eq!(heard.details(), said.details());
    }
    assert_eq!(chat.asked(), 2);
}

#[tokio::test]
async fn an_answer_looks_like_one_from_this_process_whatever_the_request_came_by() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let caller = town.person.caller();
    let ways = [
        Link::local("gateway", town.guarded(&chat.echo)),
        town.link(&[chat.address]),
    ];

    for text in ["hello", "refuse"] {
        let mut answers = Vec::new();
        for way in &ways {
            // As a browser's call by grpc-web comes, in another frame over HTTP/1.1.
            let request = http::Request::builder()
                .method("POST")
                .uri("/guildhall.chat.v1.MessageService/PostMessage")
                .header("content-type", "application/grpc")
                .header("content-length", "7")
                .header("connection", "keep-alive, upgrade")
                .header("keep-alive", "timeout=5")
                .header("transfer-encoding", "chunked")
                .header("host", "hall.example.org")
                .header("te", "gzip")
                .body(framed(text));
            let link = way.on_behalf(&caller);
            let answer = link.oneshot(request.expect("a request")).await;
            let (head, body) = answer.expect("answered").into_parts();
            let body = body.collect().await.expect("whole");
            let trailers = body.trailers().cloned();
            answers.push((head.headers, trailers, body.to_bytes()));
        }

        assert_eq!(answers[0], answers[1], "{text}");
    }
}

fn framed(text: &str) -> tonic::body::Body {
    let message = chat::PostMessageRequest {
        channel_id: CHANNEL.into(),
        text: text.into(),
        key: "k".into(),
    };
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("short");
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&message);
    tonic::body::Body::new(Full::new(Bytes::from(frame)))
}

#[tokio::test]
async fn a_call_without_the_users_token_is_refused_whatever_the_certificate_says() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let call = Call::own("no token", Duration::from_secs(5));
    let link = town.link(&[chat.address]).as_service(&call);

    let request = chat::PostMessageRequest {
        channel_id: CHANNEL.into(),
        text: "hello".into(),
        key: "k".into(),
    };
    let refused = MessageServiceClient::new(link).post_message(request).await;

    let refused = refused.expect_err("refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(reason(&refused), Reason::TokenMissing);
}

#[tokio::test]
async fn an_rpc_for_services_goes_by_certificate() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let heads = async |link: Link| {
        let call = Call::own("heads", Duration::from_secs(5));
        let mut client = FeedServiceClient::new(link.as_service(&call));
        client.list_heads(chat::ListHeadsRequest::default()).await
    };

    let gateway = heads(town.link(&[chat.address])).await;
    let study = town.settings(&["study"]);
    let study = heads(town.link_of("study", &study, &[chat.address])).await;

    assert_eq!(gateway.expect("answered").into_inner().heads.len(), 1);
    let study = study.expect_err("refused");
    assert_eq!(
        (study.code(), reason(&study)),
        (Code::PermissionDenied, Reason::ServicesOnly)
    );
}

#[tokio::test]
async fn a_link_that_nobody_drew_is_refused_also_with_a_users_token() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let auth = town.settings(&["auth"]);
    let link = town.link_of("auth", &auth, &[chat.address]);

    let refused = town.post(&link, "hello").await.expect_err("refused");

    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::PermissionDenied, Reason::ServicesOnly)
    );
    assert_eq!(chat.asked(), 0);
}

#[tokio::test]
async fn no_header_makes_a_peer() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let auth = town.settings(&["auth"]);
    let link = town.link_of("auth", &auth, &[chat.address]);

    let mut request = tonic::Request::new(chat::ListHeadsRequest::default());
    for name in ["peer", "x-peer", "x-forwarded-client-cert", "x-service"] {
        let claim = "spiffe://guildhall/gateway".parse().expect("ascii");
        request.metadata_mut().insert(name, claim);
    }
    request
        .extensions_mut()
        .insert(guildhall_mesh::Peer::local("gateway"));
    let refused = FeedServiceClient::new(link).list_heads(request).await;

    assert_eq!(refused.expect_err("refused").code(), Code::PermissionDenied);
}

#[tokio::test]
async fn what_a_process_does_not_serve_is_unimplemented() {
    use guildhall_proto::auth::v1 as auth;

    let town = Town::new();
    let chat = town.chat("one").await;
    let call = Call::own("keys", Duration::from_secs(5));
    let link = town.link(&[chat.address]).as_service(&call);

    let mut client = auth::access_service_client::AccessServiceClient::new(link);
    let refused = client.get_keys(auth::GetKeysRequest {}).await;

    assert_eq!(refused.expect_err("refused").code(), Code::Unimplemented);
}

#[tokio::test]
async fn the_time_that_is_left_shrinks_on_the_way() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);
    town.post(&link, "warm up").await.expect("answered");
    let left = async |millis| {
        let time = Duration::from_millis(millis);
        let left = town.post_to(&link, CHANNEL, "left", time).await;
        left.expect("answered").parse::<u64>().expect("a number")
    };

    let (short, long) = (left(600).await, left(20_000).await);

    assert!((300..=570).contains(&short), "{short}");
    assert!((19_000..=19_950).contains(&long), "{long}");
}

#[tokio::test]
async fn the_client_stops_waiting_at_its_deadline_and_takes_the_call_back() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);
    town.post(&link, "warm up").await.expect("answered");

    let began = Stopwatch::start();
    let time = Duration::from_millis(700);
    let late = town.post_to(&link, CHANNEL, "sleep 60000", time).await;

    let late = late.expect_err("too late");
    assert_eq!(
        (late.code(), reason(&late)),
        (Code::DeadlineExceeded, Reason::Deadline)
    );
    assert!(began.passed() < Duration::from_millis(1_500));
    until("the handler is dropped", async || {
        chat.echo.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn a_stream_outlives_the_time_of_its_call_and_ends_with_its_status() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let mut caller = town.person.caller();
    caller.call = Call::own("stream", Duration::from_millis(700));
    let link = town.link(&[chat.address]).on_behalf(&caller);

    let mut client = LiveServiceClient::new(link);
    let frames = client.watch(live::WatchRequest::default()).await;
    let mut frames = frames.expect("begins").into_inner();

    for _ in 0..3 {
        let frame = frames.message().await.expect("a frame");
        assert!(frame.is_some());
    }
    let end = frames.message().await.expect_err("ends with a refusal");
    assert_eq!(end.details(), refused().details());
}

#[tokio::test]
async fn a_request_over_a_mebibyte_does_not_leave() {
    let town = Town::new();
    let link = town.link(&[nobody().await]);

    let refused = town.post(&link, &"x".repeat(1 << 20)).await;

    assert_eq!(reason(&refused.expect_err("refused")), Reason::TooLarge);
}

#[tokio::test]
async fn what_links_and_certificates_do_is_shown_to_operators() {
    let metrics = telemetry::metrics();
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address, nobody().await]);

    town.post(&link, "busy").await.expect_err("refused");
    town.post(&town.link(&[nobody().await]), "hello")
        .await
        .expect_err("nobody");

    let shown = metrics.render(&SystemClock::new());
    for name in [
        r#"guildhall_link_endpoints{from="gateway",to="chat"}"#,
        r#"guildhall_link_ejected{from="gateway",to="chat"}"#,
        r#"guildhall_link_retries_total{from="gateway",to="chat"}"#,
        r#"guildhall_certificate_seconds_left{of="links"}"#,
        "guildhall_link_connections ",
    ] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
}
