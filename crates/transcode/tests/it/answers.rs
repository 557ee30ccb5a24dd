//! The backend's answer -> status, headers and body.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use guildhall_transcode::{Options, service};
use http::{HeaderName, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::{
    ask_for, ask_in_vain, ask_with, framed, get, grpc, message, rest, rest_with, send, trailers,
};

#[tokio::test]
async fn fields_without_presence_are_always_printed() {
    let reply = ask_for(
        &rest(),
        get("/v1/rooms/r1"),
        r#"{"id":"r1","size":"12","createdAt":"2026-01-02T03:04:05.5Z"}"#,
    )
    .await;

    assert_eq!(
        String::from_utf8_lossy(&reply.body),
        r#"{"id":"r1","name":"","kind":"KIND_UNSPECIFIED","size":"12","createdAt":"2026-01-02T03:04:05.500Z","labels":{},"tags":[]}"#
    );
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_response_body_is_printed_by_itself() {
    let full = ask_for(
        &rest(),
        get("/v1/rooms/search"),
        r#"{"rooms":[{"id":"a"}]}"#,
    )
    .await;
    let none = ask_for(&rest(), get("/v1/rooms/search"), r#"{"nextPageToken":"x"}"#).await;

    assert_eq!(full.json()[0]["id"], "a");
    assert_eq!(none.json(), json!([]));
}

#[tokio::test]
async fn a_download_is_sent_as_it_is() {
    let path = "/v1/files/a/b.png";

    let typed = ask_for(
        &rest(),
        get(path),
        r#"{"contentType":"image/png","data":"AQID"}"#,
    )
    .await;
    let bare = ask_for(&rest(), get(path), r#"{"data":"AQID"}"#).await;

    assert_eq!(typed.header("content-type"), "image/png");
    assert_eq!(typed.body, Bytes::from_static(&[1, 2, 3]));
    assert_eq!(bare.header("content-type"), "application/octet-stream");
}

#[tokio::test]
async fn a_download_in_pieces_ends_in_an_error_if_it_breaks_off() {
    let piece = |path: &str, data: &str| {
        message(
            path,
            &format!(r#"{{"contentType":"text/plain","data":"{data}"}}"#),
        )
    };

    let whole = ask_with(&rest(), get("/v1/pieces/a"), |path| {
        grpc(&[piece(path, "YWI="), piece(path, "Yw==")], &Status::ok(""))
    })
    .await;
    let broken = rest()
        .handle(get("/v1/pieces/a"), |_| async {
            Ok(grpc(
                &[piece("/test.rooms.v1.RoomService/Pieces", "YWI=")],
                &Status::internal("disk"),
            ))
        })
        .await;
    let refused = ask_in_vain(&rest(), get("/v1/pieces/a"), Status::not_found("no file")).await;

    assert_eq!(
        (whole.header("content-type"), &whole.body[..]),
        ("text/plain", &b"abc"[..])
    );
    assert!(broken.into_body().collect().await.is_err());
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_code_has_its_status_and_internal_text_stays_inside() {
    for (code, status, shown) in [
        (Code::InvalidArgument, 400, true),
        (Code::OutOfRange, 400, true),
        (Code::Unauthenticated, 401, true),
        (Code::PermissionDenied, 403, true),
        (Code::NotFound, 404, true),
        (Code::AlreadyExists, 409, true),
        (Code::Aborted, 409, true),
        (Code::FailedPrecondition, 409, true),
        (Code::ResourceExhausted, 429, true),
        (Code::Cancelled, 499, true),
        (Code::Unimplemented, 501, false),
        (Code::Unavailable, 503, false),
        (Code::DeadlineExceeded, 504, false),
        (Code::Unknown, 500, false),
        (Code::Internal, 500, false),
        (Code::DataLoss, 500, false),
    ] {
        let reply = ask_in_vain(
            &rest(),
            get("/v1/rooms/r1"),
            Status::new(code, "secret text"),
        )
        .await;
        assert_eq!(reply.status.as_u16(), status, "{code:?}");
        assert_eq!(reply.json()["detail"] == "secret text", shown, "{code:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
    }
    let open = rest_with(Options {
        show_internal: true,
        ..Options::default()
    });
    let reply = ask_in_vain(&open, get("/v1/rooms/r1"), Status::internal("secret text")).await;
    assert_eq!(reply.json()["detail"], "secret text");
}

#[tokio::test]
async fn details_become_reason_fields_and_retry_after() {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("test.v1.REASON_SLOW", "rooms.test", [])
        .set_retry_info(Some(Duration::from_millis(1500)))
        .add_bad_request_violation("user_ids[2]", "is not a UUID")
        .add_bad_request_violation("owner.e_mail", "is not an address")
        .add_bad_request_violation("some_thing.else_x", "is unknown");
    let status = Status::with_error_details(Code::Unavailable, "come later", details);

    let reply = ask_in_vain(&rest(), send("POST", "/v1/rooms", "{}"), status).await;

    assert_eq!(reply.header("retry-after"), "2");
    assert_eq!(
        reply.json(),
        json!({
            "type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "come later",
            "code": "UNAVAILABLE", "reason": "test.v1.REASON_SLOW",
            "errors": [
                {"field": "userIds[2]", "description": "is not a UUID"},
                {"field": "owner.eMail", "description": "is not an address"},
                {"field": "someThing.elseX", "description": "is unknown"}
            ]
        })
    );
}

#[tokio::test]
async fn a_violation_in_a_body_field_is_named_as_the_caller_wrote_it() {
    let mut details = ErrorDetails::new();
    details
        .add_bad_request_violation("room.name", "is empty")
        .add_bad_request_violation("room.labels[\"a.b\"]", "is too long")
        .add_bad_request_violation("update_mask", "is unknown");
    let status = Status::with_error_details(Code::InvalidArgument, "bad", details);

    let reply = ask_in_vain(&rest(), send("PATCH", "/v1/rooms/r1", "{}"), status).await;

    assert_eq!(reply.fields(), ["name", "labels[\"a.b\"]", "updateMask"]);
}

#[tokio::test]
async fn an_error_in_the_trailers_is_an_error_of_the_call() {
    let reply = ask_with(&rest(), get("/v1/rooms/r1"), |path| {
        grpc(
            &[message(path, "{}")],
            &Status::aborted("changed meanwhile"),
        )
    })
    .await;

    assert_eq!(
        (reply.status, reply.json()["detail"].as_str()),
        (StatusCode::CONFLICT, Some("changed meanwhile"))
    );
}

#[tokio::test]
async fn metadata_of_errors_reach_the_caller_too() {
    let options = Options {
        response_headers: vec![HeaderName::from_static("x-left")],
        ..Options::default()
    };
    let mut status = Status::resource_exhausted("slow down");
    status.metadata_mut().insert("x-left", "0".parse().unwrap());

    let reply = ask_in_vain(&rest_with(options), get("/v1/rooms/r1"), status).await;

    assert_eq!(
        (reply.status, reply.headers.get_all("x-left").iter().count()),
        (StatusCode::TOO_MANY_REQUESTS, 1)
    );
}

#[tokio::test]
async fn messages_arrive_in_any_pieces() {
    let reply = ask_with(&rest(), get("/v1/rooms/r1"), |path| {
        let bytes = framed(&message(path, r#"{"id":"r1"}"#));
        let mut frames: Vec<Result<Frame<Bytes>, Status>> = (0..bytes.len())
            .map(|at| Ok(Frame::data(bytes.slice(at..=at))))
            .collect();
        frames.push(Ok(Frame::trailers(trailers(&Status::ok("")))));
        Response::new(tonic::body::Body::new(StreamBody::new(stream::iter(
            frames,
        ))))
    })
    .await;

    assert_eq!(reply.json()["id"], "r1");
}

#[tokio::test]
async fn a_backend_that_breaks_the_protocol_is_an_error_on_our_side() {
    let end = |status: Status| Ok::<_, Status>(Frame::trailers(trailers(&status)));
    let data = |bytes: &'static [u8]| Ok::<_, Status>(Frame::data(Bytes::from_static(bytes)));
    for (what, frames, status) in [
        ("no message", vec![end(Status::ok(""))], 500),
        (
            "two messages",
            vec![data(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), end(Status::ok(""))],
            500,
        ),
        (
            "half a message",
            vec![data(&[0, 0, 0, 0, 9, 1]), end(Status::ok(""))],
            500,
        ),
        (
            "compressed",
            vec![data(&[1, 0, 0, 0, 0]), end(Status::ok(""))],
            500,
        ),
        (
            "too long",
            vec![data(&[0, 0xff, 0, 0, 0]), end(Status::ok(""))],
            500,
        ),
        (
            "not a message",
            vec![data(&[0, 0, 0, 0, 1, 0xff]), end(Status::ok(""))],
            500,
        ),
        ("no trailers", vec![data(&[0, 0, 0, 0, 0])], 503),
        (
            "broken",
            vec![data(&[0, 0]), Err(Status::unavailable("reset"))],
            503,
        ),
    ] {
        let reply = ask_with(&rest(), get("/v1/rooms/r1"), |_| {
            Response::new(tonic::body::Body::new(StreamBody::new(stream::iter(
                frames,
            ))))
        })
        .await;
        assert_eq!(reply.status.as_u16(), status, "{what}");
    }
}

#[tokio::test]
async fn a_backend_that_is_no_grpc_server_is_told_by_its_status() {
    for (http, status) in [
        (401, 401),
        (403, 403),
        (404, 501),
        (429, 503),
        (502, 503),
        (500, 500),
        (400, 500),
    ] {
        let reply = ask_with(&rest(), get("/v1/rooms/r1"), |_| {
            Response::builder()
                .status(http)
                .body(tonic::body::Body::empty())
                .unwrap()
        })
        .await;
        assert_eq!(reply.status.as_u16(), status, "{http}");
    }
}

#[tokio::test]
async fn a_tower_service_is_a_backend() {
    let answers = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        Ok::<_, std::convert::Infallible>(grpc(&[Bytes::new()], &Status::ok("")))
    });
    let fails = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        Err::<Response<tonic::body::Body>, _>(std::io::Error::other("no route to host"))
    });
    let nobody = tonic::service::Routes::default();

    let fine = rest().handle(get("/v1/rooms/r1"), service(answers)).await;
    let failed = rest().handle(get("/v1/rooms/r1"), service(fails)).await;
    let unknown = rest().handle(get("/v1/rooms/r1"), service(nobody)).await;

    assert_eq!(fine.status(), StatusCode::OK);
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(unknown.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_backend_out_of_reach_is_503() {
    let response = rest()
        .handle(get("/v1/rooms/r1"), |_| async {
            Err(Status::unavailable("tcp 10.0.0.1: refused"))
        })
        .await;

    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("10.0.0.1"));
}
