//! What is refused before the backend hears of it, and how it is said.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use guildhall_transcode::{Fault, Options};
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;

use crate::support::{ask, get, rest, rest_with, send, with};

#[tokio::test]
async fn a_path_that_is_not_there_is_404() {
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/rooms/",
        "/v1/rooms//",
        "/v2/rooms",
        "/v1/rooms/a/b",
        "/v1/rooms/r:",
    ] {
        let reply = ask(&rest(), send("POST", path, "{}")).await;
        if path == "/v1/rooms/r:" {
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
            continue;
        }
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.json()["code"], "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    for (method, path, allow) in [
        ("PUT", "/v1/rooms", "GET, HEAD, POST"),
        ("DELETE", "/v1/rooms/search", "GET, HEAD"),
        ("GET", "/v1/rooms/r:archive", "POST"),
        ("OPTIONS", "/v1/echo", "GET, HEAD, POST"),
        ("TRACE", "/v1/files/a/b", "GET, HEAD, PUT"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Full::default())
            .unwrap();
        let reply = ask(&rest(), request).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(reply.header("allow"), allow);
        assert_eq!(reply.json()["status"], 405);
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let request = Request::head("/v1/rooms/r1").body(Full::default()).unwrap();

    let reply = ask(&rest(), request).await;
    let body = ask(&rest(), get("/v1/rooms/r1")).await.body;

    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-length"), body.len().to_string());
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(reply.body.is_empty());
    let missing = ask(
        &rest(),
        Request::head("/v1/none").body(Full::default()).unwrap(),
    )
    .await;
    assert_eq!(
        (missing.status, missing.body.len()),
        (StatusCode::NOT_FOUND, 0)
    );
}

#[tokio::test]
async fn broken_escapes_are_refused() {
    for path in [
        "/v1/rooms/%",
        "/v1/rooms/%f",
        "/v1/rooms/%zz",
        "/v1/rooms/%ff%fe",
        "/v1/files/a/%ff",
    ] {
        let reply = ask(&rest(), get(path)).await;
        assert_eq!(
            (reply.status, reply.fields()),
            (StatusCode::BAD_REQUEST, vec!["path".into()]),
            "{path}"
        );
    }
    let reply = ask(&rest(), get("/v1/rooms?pageToken=%ff&%zz=1")).await;
    assert_eq!(reply.fields(), ["pageToken", "%zz"]);
}

#[tokio::test]
async fn each_fault_of_a_query_is_named() {
    for (query, field) in [
        ("nope=1", "nope"),
        ("=1", ""),
        ("pageSize=", "pageSize"),
        ("pageSize=x", "pageSize"),
        ("pageSize=1&page_size=2", "page_size"),
        ("kinds=KIND_NONE", "kinds"),
        ("before=yesterday", "before"),
        ("limits=x", "limits"),
        ("limits.nope=1", "limits.nope"),
        ("labels=x", "labels"),
        ("labels.a=x", "labels.a"),
        ("name=a&mine=true", "mine"),
        ("mine=1", "mine"),
        ("least=x", "least"),
        ("limits.idle=1", "limits.idle"),
        ("cursor=*", "cursor"),
    ] {
        let reply = ask(&rest(), get(&format!("/v1/rooms?{query}"))).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(reply.fields(), [field], "{query}");
        assert_eq!(reply.json()["code"], "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn a_query_does_not_give_what_path_or_body_give() {
    let rest = rest();
    for (request, field) in [
        (get("/v1/rooms/r1?roomId=r2"), "roomId"),
        (get("/v1/rooms/r1?room_id=r2"), "room_id"),
        (send("POST", "/v1/rooms?name=x", r#"{"name":"y"}"#), "name"),
        (send("PATCH", "/v1/rooms/r1?room.name=x", "{}"), "room.name"),
        (send("PATCH", "/v1/rooms/r1?room.id=x", "{}"), "room.id"),
    ] {
        let reply = ask(&rest, request).await;
        assert_eq!(
            (reply.status, reply.fields()),
            (StatusCode::BAD_REQUEST, vec![field.to_owned()])
        );
    }
}

#[tokio::test]
async fn each_fault_of_a_body_is_named() {
    for (json, fields) in [
        ("", vec!["$"]),
        ("nonsense", vec!["$"]),
        ("[]", vec!["$"]),
        ("null", vec!["$"]),
        (r#"{"a":"b""#, vec!["$"]),
        (r#"{"name":1}"#, vec!["name"]),
        (r#"{"name":"a","name":"b"}"#, vec!["name"]),
        (r#"{"userIds":["a"],"user_ids":["b"]}"#, vec!["userIds"]),
        (r#"{"userIds":"a"}"#, vec!["userIds"]),
        (
            r#"{"userIds":["a",1,null]}"#,
            vec!["userIds[1]", "userIds[2]"],
        ),
        (
            r#"{"owner":{"userId":1,"no":2},"kind":"X","limit":-1}"#,
            vec!["owner.userId", "owner.no", "kind", "limit"],
        ),
        (
            r#"{"owner":{"userId":"a","userId":"b"}}"#,
            vec!["owner.userId"],
        ),
        (r#"{"city":"a","limits":{}}"#, vec!["limits"]),
        (r#"{"limits":{"idle":"1"}}"#, vec!["limits.idle"]),
        (r#"{"nope":1}"#, vec!["nope"]),
    ] {
        let reply = ask(&rest(), send("POST", "/v1/rooms", json)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{json}");
        assert_eq!(reply.fields(), fields, "{json}");
        assert!(reply.call.is_none());
    }
    let keys = ask(
        &rest(),
        send(
            "POST",
            "/v1/echo",
            r#"{"byInt32":{"x":"a"},"byName":{"k":{"kind":[]}}}"#,
        ),
    )
    .await;
    assert_eq!(keys.fields(), [r#"byInt32["x"]"#, r#"byName["k"].kind"#]);
}

#[tokio::test]
async fn deep_nesting_is_refused() {
    let deep = |depth: usize| {
        format!(
            "{}{}{}",
            r#"{"inner":"#.repeat(depth),
            "{}",
            "}".repeat(depth)
        )
    };

    let fits = ask(&rest(), send("POST", "/v1/echo", &deep(63))).await;
    let deeper = ask(&rest(), send("POST", "/v1/echo", &deep(64))).await;
    let bomb = ask(&rest(), send("POST", "/v1/echo", &"[".repeat(500_000))).await;

    assert_eq!(fits.status, StatusCode::OK);
    assert_eq!(
        (deeper.status, bomb.status),
        (StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST)
    );
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused() {
    let request = send("POST", "/v1/rooms", "").map(|_| Full::from(&b"{\"name\":\"\xff\"}"[..]));

    let reply = ask(&rest(), request).await;

    assert_eq!(
        (reply.status, reply.fields()),
        (StatusCode::BAD_REQUEST, vec!["$".into()])
    );
}

#[tokio::test]
async fn a_long_body_is_413_announced_or_not() {
    let rest = rest_with(Options {
        max_body: 100,
        ..Options::default()
    });
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(100));

    let announced = ask(&rest, send("POST", "/v1/rooms", &long)).await;
    let pieces = long
        .into_bytes()
        .into_iter()
        .map(|byte| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![byte]))));
    let streamed = send("POST", "/v1/rooms", "").map(|_| StreamBody::new(stream::iter(pieces)));
    let streamed = rest.handle(streamed, never).await;

    assert_eq!(announced.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(announced.json()["status"], 413);
    assert_eq!(streamed.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_408() {
    let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());

    let response = rest()
        .handle(send("POST", "/v1/rooms", "").map(|_| body), never)
        .await;

    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_body_where_none_belongs_is_refused() {
    let request = get("/v1/rooms/r1").map(|_| Full::from("{}"));

    assert_eq!(ask(&rest(), request).await.fields(), ["$"]);
}

#[tokio::test]
async fn other_content_types_are_415() {
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
    ] {
        let reply = ask(
            &rest(),
            with(send("POST", "/v1/rooms", "{}"), "content-type", media),
        )
        .await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media}");
    }
    let mut bare = send("POST", "/v1/rooms", "{}");
    bare.headers_mut().clear();
    assert_eq!(
        ask(&rest(), bare).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn what_nobody_accepts_is_406() {
    for (path, accept) in [
        ("/v1/rooms/r1", "text/html"),
        ("/v1/rooms/r1", "application/json;q=0"),
        ("/v1/rooms/r1", "text/event-stream"),
        ("/v1/watch", "text/html"),
    ] {
        let reply = ask(&rest(), with(get(path), "accept", accept)).await;
        assert_eq!(reply.status, StatusCode::NOT_ACCEPTABLE, "{path} {accept}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_answers_is_504() {
    let response = rest()
        .handle(get("/v1/rooms/r1"), |_| std::future::pending())
        .await;

    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn problems_carry_the_reason_and_the_id_of_the_request() {
    let options = Options {
        reason: Arc::new(|fault| (fault == Fault::NoRoute).then(|| "REASON_NO_ROUTE".into())),
        timeout: Duration::from_secs(1),
        ..Options::default()
    };

    let reply = ask(
        &rest_with(options),
        with(get("/v1/none"), "x-request-id", "c-1"),
    )
    .await;

    assert_eq!(
        reply.json(),
        json!({
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is nothing at this path.",
            "code": "NOT_FOUND", "reason": "REASON_NO_ROUTE", "correlationId": "c-1"
        })
    );
}

#[tokio::test]
async fn only_what_the_filter_lets_through_is_routed() {
    let options = Options {
        filter: Arc::new(|rpc| rpc.name() != "GetRoom"),
        ..Options::default()
    };
    let rest = rest_with(options);

    assert_eq!(
        ask(&rest, get("/v1/old/r1")).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        ask(&rest, get("/v1/rooms/r1")).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

/// A backend that must not be reached.
async fn never(
    _: Request<tonic::body::Body>,
) -> Result<http::Response<tonic::body::Body>, tonic::Status> {
    panic!("the backend was called")
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let pieces = [
        Ok(Frame::data(Bytes::from_static(b"{"))),
        Err(std::io::Error::other("reset")),
    ];
    let request = send("POST", "/v1/rooms", "").map(|_| StreamBody::new(stream::iter(pieces)));

    let response = rest().handle(request, never).await;

    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(
        !response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
}
