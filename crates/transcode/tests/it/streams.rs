//! Server streams as event streams and as lines.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use guildhall_transcode::{Encoded, Event, Options, Resume, Wire};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;
use tonic::Status;

use crate::support::{
    ask_in_vain, ask_with, framed, get, grpc, message, piece, rest, rest_with, send, trailers, with,
};

const WATCH: &str = "/test.rooms.v1.RoomService/Watch";

fn resumable() -> Options {
    let resume = Resume {
        request_field: "last_event_id".into(),
        response_field: "event_id".into(),
    };
    Options {
        resume: Arc::new(move |rpc| (rpc.name() == "Watch").then(|| resume.clone())),
        ..Options::default()
    }
}

fn events() -> Request<Full<Bytes>> {
    with(get("/v1/watch"), "accept", "text/event-stream")
}

fn two(status: &Status) -> Response<tonic::body::Body> {
    grpc(
        &[
            message(WATCH, r#"{"room":{"id":"a"},"eventId":"1"}"#),
            message(WATCH, r#"{"eventId":"2"}"#),
            message(WATCH, r#"{"room":{"id":"b"}}"#),
        ],
        status,
    )
}

fn room(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"","kind":"KIND_UNSPECIFIED","size":"0","labels":{{}},"tags":[]}}"#
    )
}

#[tokio::test]
async fn an_event_stream_has_ids_data_and_a_pause_to_come_back_after() {
    let reply = ask_with(&rest_with(resumable()), events(), |_| two(&Status::ok(""))).await;

    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert_eq!(
        text,
        format!(
            "retry: 2000\n\nid: 1\ndata: {}\n\nid: 2\n\ndata: {}\n\n",
            room("a"),
            room("b")
        )
    );
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(reply.header("x-accel-buffering"), "no");
    assert_eq!(reply.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn lines_are_what_everybody_else_gets() {
    for accept in ["*/*", "application/json", "application/x-ndjson"] {
        let request = with(
            send("POST", "/v1/watch", r#"{"roomIds":["a"]}"#),
            "accept",
            accept,
        );
        let reply = ask_with(&rest(), request, |_| two(&Status::ok(""))).await;

        assert_eq!(reply.header("content-type"), "application/x-ndjson");
        assert_eq!(reply.body, format!("{}\n{}\n", room("a"), room("b")));
        assert_eq!(reply.asked(), json!({"roomIds": ["a"]}));
    }
}

#[tokio::test]
async fn the_last_event_id_goes_into_its_field() {
    let request = with(
        with(
            get("/v1/watch?lastEventId=old"),
            "accept",
            "text/event-stream",
        ),
        "last-event-id",
        "new",
    );

    let reply = ask_with(&rest_with(resumable()), request, |_| two(&Status::ok(""))).await;

    assert_eq!(reply.asked(), json!({"lastEventId": "new"}));
}

#[tokio::test]
async fn an_error_before_the_stream_is_a_plain_problem() {
    let reply = ask_in_vain(&rest(), events(), Status::permission_denied("not yours")).await;

    assert_eq!(
        (reply.status, reply.json()["detail"].as_str()),
        (StatusCode::FORBIDDEN, Some("not yours"))
    );
}

#[tokio::test]
async fn an_error_within_the_stream_is_its_last_event() {
    let gone = || Status::unavailable("tcp");
    let request = with(events(), "x-request-id", "c-1");

    let events = ask_with(&rest(), request, |_| two(&gone())).await;
    let lines = ask_with(&rest(), get("/v1/watch"), |_| two(&gone())).await;

    let text = String::from_utf8(events.body.to_vec()).unwrap();
    let (_, last) = text.split_once("event: error\ndata: ").unwrap();
    let problem: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(503), &json!("UNAVAILABLE"))
    );
    assert_eq!(problem["correlationId"], "c-1");
    let text = String::from_utf8(lines.body.to_vec()).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "UNAVAILABLE");
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments() {
    let response = rest()
        .handle(events(), |_| async {
            let quiet = stream::pending::<Result<Frame<Bytes>, Status>>();
            Ok(Response::new(tonic::body::Body::new(StreamBody::new(
                quiet,
            ))))
        })
        .await;
    let mut body = response.into_body();
    let start = tokio::time::Instant::now();

    assert_eq!(piece(&mut body).await.unwrap(), "retry: 2000\n\n");
    assert_eq!(piece(&mut body).await.unwrap(), ":\n\n");
    assert_eq!(piece(&mut body).await.unwrap(), ":\n\n");

    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn messages_go_out_as_they_come() {
    let response = rest()
        .handle(events(), |_| async {
            let frames = stream::iter(["a", "b"]).then(|id| async move {
                tokio::time::sleep(Duration::from_secs(10)).await;
                Ok(Frame::data(framed(&message(
                    WATCH,
                    &format!(r#"{{"room":{{"id":"{id}"}}}}"#),
                ))))
            });
            let end = stream::iter([Ok::<_, Status>(Frame::trailers(trailers(&Status::ok(""))))]);
            let frames = frames.chain(end);
            Ok(Response::new(tonic::body::Body::new(StreamBody::new(
                frames,
            ))))
        })
        .await;
    let mut body = response.into_body();
    let start = tokio::time::Instant::now();
    piece(&mut body).await.unwrap();

    assert_eq!(
        piece(&mut body).await.unwrap(),
        format!("data: {}\n\n", room("a"))
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(
        piece(&mut body).await.unwrap(),
        format!("data: {}\n\n", room("b"))
    );
    assert_eq!(start.elapsed().as_secs(), 20);
    assert_eq!(piece(&mut body).await, None);
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let gone = Arc::new(AtomicBool::new(false));
    let guard = Dropped(Arc::clone(&gone));

    let response = rest()
        .handle(events(), |_| async move {
            let quiet = stream::pending::<Result<Frame<Bytes>, Status>>().map(move |frame| {
                let _held = &guard;
                frame
            });
            Ok(Response::new(tonic::body::Body::new(StreamBody::new(
                quiet,
            ))))
        })
        .await;
    let mut body = response.into_body();
    piece(&mut body).await.unwrap();
    assert!(!gone.load(Ordering::SeqCst));
    drop(body);

    assert!(gone.load(Ordering::SeqCst));
}

#[tokio::test]
async fn events_printed_by_the_backend_go_out_as_they_are() {
    let response = rest()
        .handle(events(), |call: Request<tonic::body::Body>| async move {
            assert_eq!(call.extensions().get(), Some(&Wire::EventStream));
            let printed = [
                Ok(Event {
                    id: Some("7".into()),
                    data: Some(Bytes::from_static(b"{\"x\":1}")),
                }),
                Ok(Event {
                    id: Some("8\ndata: forged".into()),
                    data: None,
                }),
                Err(Status::aborted("over")),
            ];
            let mut response = Response::new(tonic::body::Body::empty());
            response
                .extensions_mut()
                .insert(Encoded::new(stream::iter(printed)));
            Ok(response)
        })
        .await;

    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        text.starts_with("retry: 2000\n\nid: 7\ndata: {\"x\":1}\n\nevent: error\n"),
        "{text}"
    );
}

#[tokio::test]
async fn streams_have_no_deadline_unless_asked() {
    let free = ask_with(&rest(), events(), |_| two(&Status::ok(""))).await;
    let bound = ask_with(&rest(), with(events(), "request-timeout", "9"), |_| {
        two(&Status::ok(""))
    })
    .await;

    assert!(!free.call.unwrap().headers.contains_key("grpc-timeout"));
    assert_eq!(bound.call.unwrap().headers["grpc-timeout"], "9000m");
}

#[tokio::test]
async fn an_answer_of_no_messages_is_an_empty_stream() {
    let early = ask_with(&rest(), get("/v1/watch"), |_| {
        let mut response = Response::new(tonic::body::Body::empty());
        response
            .headers_mut()
            .insert("grpc-status", "0".parse().unwrap());
        response
    })
    .await;
    let late = ask_with(&rest(), get("/v1/watch"), |_| grpc(&[], &Status::ok(""))).await;

    assert_eq!((early.status, early.body.len()), (StatusCode::OK, 0));
    assert_eq!((late.status, late.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn a_stream_that_ends_within_a_message_has_failed() {
    let reply = ask_with(&rest(), get("/v1/watch"), |_| {
        let frames = [
            Ok::<_, Status>(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 9, 1]))),
            Ok(Frame::trailers(trailers(&Status::ok("")))),
        ];
        Response::new(tonic::body::Body::new(StreamBody::new(stream::iter(
            frames,
        ))))
    })
    .await;

    assert_eq!(reply.json()["error"]["code"], "INTERNAL");
}
