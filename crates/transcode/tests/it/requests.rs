//! Path, query, body and headers -> the request message.

use http::{HeaderName, StatusCode};
use serde_json::json;

use crate::support::{ask, ask_for, get, rest, rest_with, send, with};
use guildhall_transcode::Options;

#[tokio::test]
async fn a_body_becomes_the_request_message() {
    let reply = ask(
        &rest(),
        send(
            "POST",
            "/v1/rooms",
            r#"{"name":"Den","kind":"KIND_TEXT","user_ids":["a"],"owner":{"userId":"u"}}"#,
        ),
    )
    .await;

    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        reply.call.as_ref().unwrap().path,
        "/test.rooms.v1.RoomService/CreateRoom"
    );
    assert_eq!(
        reply.asked(),
        json!({"name": "Den", "kind": "KIND_TEXT", "userIds": ["a"], "owner": {"userId": "u"}})
    );
    assert_eq!(reply.json(), json!({}));
}

#[tokio::test]
async fn a_path_gives_fields_and_escapes_are_undone() {
    let rest = rest();
    for (path, id) in [
        ("/v1/rooms/r1", "r1"),
        ("/v1/rooms/a%2Fb%20c", "a/b c"),
        ("/v1/rooms/%E2%82%AC", "€"),
        ("/v1/rooms/a+b", "a+b"),
        ("/v1/rooms/x:y", "x:y"),
        ("/v1/old/r1", "r1"),
    ] {
        assert_eq!(
            ask(&rest, get(path)).await.asked(),
            json!({"roomId": id}),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_spans_segments_keeps_its_escaped_slash() {
    let rest = rest();

    let name = ask(&rest, get("/v1/rooms/a%2fb%20c/messages/7"))
        .await
        .asked();
    let file = ask(&rest, get("/v1/files/a/b%2Fc/d%20e")).await.asked();
    let none = ask(&rest, get("/v1/files")).await.asked();

    assert_eq!(name, json!({"name": "rooms/a%2fb c/messages/7"}));
    assert_eq!(file, json!({"path": "a/b%2Fc/d e"}));
    assert_eq!(none, json!({}));
}

#[tokio::test]
async fn literals_go_before_wild_cards_and_verbs_before_none() {
    let rest = rest();
    let path = |reply: &crate::support::Reply| reply.call.as_ref().unwrap().path.clone();

    let search = ask(&rest, get("/v1/rooms/search")).await;
    let archive = ask(&rest, send("POST", "/v1/rooms/r1:archive", "")).await;

    assert!(path(&search).ends_with("/SearchRooms"));
    assert!(path(&archive).ends_with("/ArchiveRoom"));
    assert_eq!(archive.asked(), json!({"roomId": "r1"}));
}

#[tokio::test]
async fn a_query_gives_every_leaf_that_is_left() {
    let reply = ask(
        &rest(),
        get("/v1/rooms?pageSize=7&page_token=a%20b+c&kinds=KIND_TEXT&kinds=2&before=2026-01-02T03:04:05Z\
             &limits.inner.members=3&limits.idle=1.5s&mine=true&least=-9&cursor=_-8"),
    )
    .await;

    assert_eq!(
        reply.asked(),
        json!({
            "pageSize": 7, "pageToken": "a b c", "kinds": ["KIND_TEXT", "KIND_VOICE"],
            "before": "2026-01-02T03:04:05Z", "limits": {"inner": {"members": 3}, "idle": "1.500s"},
            "mine": true, "least": "-9", "cursor": "/+8="
        })
    );
}

#[tokio::test]
async fn a_path_value_goes_over_the_body() {
    let reply = ask(
        &rest(),
        send("PATCH", "/v1/rooms/r1", r#"{"id":"other","name":"New"}"#),
    )
    .await;

    assert_eq!(reply.asked()["room"], json!({"id": "r1", "name": "New"}));
}

#[tokio::test]
async fn a_patch_names_the_fields_that_stand_in_it() {
    let rest = rest();
    let body = r#"{"name":"","limits":{"members":1,"inner":{}},"labels":{"a":"b"},"tags":[],"createdAt":null,"topic":"t"}"#;

    let inferred = ask(&rest, send("PATCH", "/v1/rooms/r1", body))
        .await
        .asked();
    let explicit = ask(
        &rest,
        send("PATCH", "/v1/rooms/r1?updateMask=name,limits.members", body),
    )
    .await;
    let empty = ask(&rest, send("PATCH", "/v1/rooms/r1?update_mask=", body))
        .await
        .asked();

    assert_eq!(
        inferred["updateMask"],
        "name,limits.members,limits.inner,labels,tags,createdAt,topic"
    );
    assert_eq!(explicit.asked()["updateMask"], "name,limits.members");
    assert_eq!(empty["updateMask"], "");
}

#[tokio::test]
async fn a_raw_body_reaches_the_service_as_it_is() {
    let request = with(
        send("PUT", "/v1/files/a/b.png?overwrite=true", "\u{1}x"),
        "content-type",
        "image/png",
    );

    let reply = ask(&rest(), request).await;

    assert_eq!(
        reply.asked(),
        json!({"path": "a/b.png", "overwrite": true, "content": {"contentType": "image/png", "data": "AXg="}})
    );
}

#[tokio::test]
async fn only_listed_headers_become_metadata() {
    let request = get("/v1/rooms/r1");
    let request = with(request, "authorization", "Bearer t");
    let request = with(request, "x-secret", "s");
    let request = with(request, "request-timeout", "2.5");

    let reply = ask(&rest(), request).await;

    let headers = &reply.call.unwrap().headers;
    assert_eq!(headers["authorization"], "Bearer t");
    assert_eq!(headers["grpc-timeout"], "2500m");
    assert!(!headers.contains_key("x-secret"));
    assert!(!headers.contains_key("request-timeout"));
}

#[tokio::test]
async fn calls_have_a_deadline_and_it_is_cut_down() {
    let rest = rest();
    let told = |reply: &crate::support::Reply| {
        reply.call.as_ref().unwrap().headers["grpc-timeout"].clone()
    };

    let default = ask(&rest, get("/v1/rooms/r1")).await;
    let long = ask(&rest, with(get("/v1/rooms/r1"), "request-timeout", "86400")).await;

    assert_eq!(told(&default), "30000m");
    assert_eq!(told(&long), "300000m");
    for bad in ["0", "-1", "soon", "1e3", "", "inf"] {
        let reply = ask(&rest, with(get("/v1/rooms/r1"), "request-timeout", bad)).await;
        assert_eq!(
            (reply.status, reply.fields()),
            (StatusCode::BAD_REQUEST, vec!["Request-Timeout".into()]),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn request_extensions_reach_the_backend_and_come_back() {
    #[derive(Clone, PartialEq, Debug)]
    struct Mark(u8);
    let mut request = get("/v1/rooms/r1");
    request.extensions_mut().insert(Mark(1));

    let response = rest()
        .handle(
            request,
            |call: http::Request<tonic::body::Body>| async move {
                assert_eq!(call.extensions().get(), Some(&Mark(1)));
                let mut response =
                    crate::support::grpc(&[bytes::Bytes::new()], &tonic::Status::ok(""));
                response.extensions_mut().insert(Mark(2));
                Ok(response)
            },
        )
        .await;

    assert_eq!(response.extensions().get(), Some(&Mark(2)));
}

#[tokio::test]
async fn listed_metadata_of_the_answer_become_headers() {
    let options = Options {
        response_headers: vec![
            HeaderName::from_static("set-cookie"),
            HeaderName::from_static("x-late"),
        ],
        ..Options::default()
    };

    let reply = crate::support::ask_with(&rest_with(options), get("/v1/rooms/r1"), |_| {
        let mut response = crate::support::grpc(&[bytes::Bytes::new()], &tonic::Status::ok(""));
        response
            .headers_mut()
            .append("set-cookie", "a=1".parse().unwrap());
        response
            .headers_mut()
            .append("set-cookie", "b=2".parse().unwrap());
        response
            .headers_mut()
            .append("x-other", "no".parse().unwrap());
        response
    })
    .await;

    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
    assert!(!reply.headers.contains_key("x-other"));
}

#[tokio::test]
async fn find_names_the_rpc() {
    let rest = rest();

    let found = rest
        .find(&http::Method::POST, "/v1/rooms/r1:archive")
        .unwrap();

    assert_eq!(found.full_name(), "test.rooms.v1.RoomService.ArchiveRoom");
    assert!(rest.find(&http::Method::PUT, "/v1/rooms").is_none());
}

#[tokio::test]
async fn strict_takes_the_printed_spelling_only() {
    let strict = rest_with(Options {
        strict: true,
        ..Options::default()
    });
    for (json, field) in [
        (r#"{"anInt32":"1"}"#, "anInt32"),
        (r#"{"anInt64":1}"#, "anInt64"),
        (r#"{"aString":null}"#, "aString"),
        (r#"{"kind":1}"#, "kind"),
        (r#"{"inner":{"aDouble":"1.5"}}"#, "inner.aDouble"),
    ] {
        assert_eq!(
            ask(&rest(), send("POST", "/v1/echo", json)).await.status,
            StatusCode::OK,
            "{json}"
        );
        assert_eq!(
            ask(&strict, send("POST", "/v1/echo", json)).await.fields(),
            [field],
            "{json}"
        );
    }
    let fine = r#"{"an_int32":1,"anInt64":"1","kind":"KIND_TEXT","value":null,"null":null,"aDouble":"NaN"}"#;
    assert_eq!(
        ask_for(&strict, send("POST", "/v1/echo", fine), "{}")
            .await
            .status,
        StatusCode::OK
    );
}
