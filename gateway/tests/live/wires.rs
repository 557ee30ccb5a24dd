//! The same frames on every wire, the same bytes for every reader of one.

use std::time::Duration;

use futures::StreamExt as _;
use guildhall_proto::live::v1::{
    self as pb, PresenceState, client_frame, live_service_client::LiveServiceClient,
    server_frame::Body,
};
use prost::Message as _;
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::tungstenite::Message;
use tonic::{Request, Streaming, transport::Channel};

use crate::{
    clients::{Events, Socket},
    hall::{ALICE, BOB, CHANNEL, Hall, STRANGER, hall},
};

async fn client(hall: &Hall) -> LiveServiceClient<Channel> {
    LiveServiceClient::connect(format!("http://{}", hall.address))
        .await
        .expect("connects")
}

fn signed<T>(hall: &Hall, user: guildhall_kernel::UserId, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {}", hall.token(user))
        .parse()
        .expect("a header");
    request.metadata_mut().insert("authorization", token);
    request
}

/// A raw text message.
async fn raw(socket: &mut Socket) -> Message {
    loop {
        match socket.wire.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return message,
            other => assert!(matches!(other, Some(Ok(_))), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn every_reader_of_a_format_gets_the_same_bytes() {
    let hall = hall().await;
    let protocol = ("sec-websocket-protocol", "guildhall.live.v1.proto");
    let mut text = [
        Socket::open(&hall, BOB, json!({})).await,
        Socket::open(&hall, ALICE, json!({})).await,
    ];
    let mut binary = Vec::new();
    for user in [ALICE, BOB] {
        let mut socket = Socket::connect(&hall, &[protocol]).await;
        let hello = pb::Hello {
            access_token: hall.token(user),
            subscribe: Some(pb::Subscribe::default()),
        };
        let frame = pb::ClientFrame {
            id: 0,
            body: Some(client_frame::Body::Hello(hello)),
        };
        futures::SinkExt::send(&mut socket.wire, Message::binary(frame.encode_to_vec()))
            .await
            .expect("sends");
        binary.push(socket);
    }
    let mut events = Events::open(&hall, BOB, None).await;
    let mut grpc = open(&hall, BOB).await.1;
    for socket in text.iter_mut().chain(&mut binary) {
        raw(socket).await;
    }
    events.until("ready").await;
    for _ in ["ready", "done"] {
        grpc.message().await.expect("a frame");
    }

    hall.chat.post(CHANNEL, "the same").await;

    let one = raw(&mut text[0]).await;
    assert_eq!(raw(&mut text[1]).await, one);
    assert_eq!(
        events.next().await.expect("an event").raw,
        one.to_text().expect("text")
    );
    let bytes = raw(&mut binary[0]).await;
    assert_eq!(raw(&mut binary[1]).await, bytes);
    let frame = pb::ServerFrame::decode(bytes.into_data()).expect("decodes");
    let by_grpc = grpc
        .message()
        .await
        .expect("a frame")
        .expect("a frame")
        .frame
        .expect("a frame");
    assert_eq!(by_grpc, frame);
    assert!(matches!(frame.body, Some(Body::Message(message)) if message.text == "the same"));
}

#[tokio::test]
async fn text_and_binary_say_the_same() {
    let hall = hall().await;
    let mut socket = Socket::open(&hall, BOB, json!({})).await;
    socket.until("ready").await;
    hall.chat.post(CHANNEL, "hi").await;

    let frame = socket.next().await.expect("a frame");

    assert_eq!(
        frame,
        json!({
            "channelId": CHANNEL.to_string(), "rev": 1, "afterRev": 0,
            "message": {
                "id": format!("{CHANNEL}-1"), "channelId": CHANNEL.to_string(), "seq": 1, "rev": 1,
                "kind": "MESSAGE_KIND_UNSPECIFIED", "authorId": "", "text": "hi", "key": ""
            }
        })
    );
}

/// Opens a stream by gRPC and subscribes to everything.
async fn open(
    hall: &Hall,
    user: guildhall_kernel::UserId,
) -> (
    tokio::sync::mpsc::Sender<pb::OpenRequest>,
    Streaming<pb::OpenResponse>,
) {
    let (say, said) = tokio::sync::mpsc::channel(8);
    let hello = pb::Hello {
        access_token: hall.token(user),
        subscribe: Some(pb::Subscribe::default()),
    };
    say.send(request(1, client_frame::Body::Hello(hello)))
        .await
        .expect("has room");
    let answers = client(hall)
        .await
        .open(ReceiverStream::new(said))
        .await
        .expect("opens");
    (say, answers.into_inner())
}

fn request(id: u32, body: client_frame::Body) -> pb::OpenRequest {
    pb::OpenRequest {
        frame: Some(pb::ClientFrame {
            id,
            body: Some(body),
        }),
    }
}

async fn body(answers: &mut Streaming<pb::OpenResponse>) -> Option<Body> {
    let answer = tokio::time::timeout(Duration::from_secs(5), answers.message()).await;
    let answer = answer.expect("something comes").expect("no error")?;
    answer.frame.expect("a frame").body
}

#[tokio::test]
async fn grpc_carries_the_protocol_both_ways() {
    let hall = hall().await;
    let (say, mut answers) = open(&hall, BOB).await;
    assert!(matches!(body(&mut answers).await, Some(Body::Ready(ready)) if ready.heads.len() == 1));
    assert!(matches!(body(&mut answers).await, Some(Body::Done(done)) if done.id == 1));

    let typing = pb::Typing {
        channel_id: CHANNEL.to_string(),
        user_id: String::new(),
    };
    say.send(request(2, client_frame::Body::Typing(typing)))
        .await
        .expect("has room");
    assert!(matches!(body(&mut answers).await, Some(Body::Done(done)) if done.id == 2));
    hall.chat.post(CHANNEL, "by gRPC").await;
    assert!(
        matches!(body(&mut answers).await, Some(Body::Message(message)) if message.text == "by gRPC")
    );

    let bad = pb::Subscribe {
        channel_ids: vec!["x".into()],
        ..Default::default()
    };
    say.send(request(3, client_frame::Body::Subscribe(bad)))
        .await
        .expect("has room");
    assert!(
        matches!(body(&mut answers).await, Some(Body::Done(done)) if done.id == 3 && done.problem.is_some())
    );
    hall.log_out(BOB).await;
    assert!(matches!(body(&mut answers).await, Some(Body::Bye(_))));
    assert!(body(&mut answers).await.is_none());
}

#[tokio::test]
async fn grpc_takes_the_caller_from_metadata_and_refuses_who_has_none() {
    let hall = hall().await;
    let hello = || request(0, client_frame::Body::Hello(pb::Hello::default()));

    let known = signed(
        &hall,
        BOB,
        futures::stream::iter([hello()]).chain(futures::stream::pending()),
    );
    let mut known = client(&hall)
        .await
        .open(known)
        .await
        .expect("opens")
        .into_inner();
    let unknown = futures::stream::iter([hello()]);
    let mut unknown = client(&hall)
        .await
        .open(unknown)
        .await
        .expect("opens")
        .into_inner();

    assert!(
        matches!(body(&mut unknown).await, Some(Body::Bye(bye)) if bye.problem.as_ref().is_some_and(|p| p.status == 401))
    );
    assert!(
        tokio::time::timeout(Duration::from_millis(200), known.message())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn watch_by_grpc_gives_frames_with_the_ids_of_their_events() {
    let hall = hall().await;
    let request = signed(&hall, BOB, pb::WatchRequest::default());
    let mut frames = client(&hall)
        .await
        .watch(request)
        .await
        .expect("opens")
        .into_inner();
    frames.message().await.expect("a frame");
    hall.chat.post(CHANNEL, "one").await;
    let one = frames.message().await.expect("a frame").expect("a frame");
    assert!(!one.event_id.is_empty());
    drop(frames);
    hall.chat.post(CHANNEL, "two").await;

    let again = pb::WatchRequest {
        last_event_id: one.event_id,
        ..Default::default()
    };
    let mut frames = client(&hall)
        .await
        .watch(signed(&hall, BOB, again))
        .await
        .expect("opens")
        .into_inner();
    let ready = frames.message().await.expect("a frame").expect("a frame");
    let two = frames.message().await.expect("a frame").expect("a frame");

    assert!(matches!(
        ready.frame.and_then(|frame| frame.body),
        Some(Body::Ready(_))
    ));
    assert!(
        matches!(two.frame.and_then(|frame| frame.body), Some(Body::Message(m)) if m.text == "two")
    );
}

#[tokio::test]
async fn typing_and_presence_can_be_asked_and_told_by_rpc() {
    let hall = hall().await;
    let typing = json!({"typingChannelIds": [CHANNEL.to_string()]});
    let mut bob = Socket::open(&hall, BOB, typing).await;
    bob.until("ready").await;
    let mut client = client(&hall).await;

    let send = pb::SendTypingRequest {
        channel_id: CHANNEL.to_string(),
    };
    client
        .send_typing(signed(&hall, ALICE, send.clone()))
        .await
        .expect("is told");
    let refused = client
        .send_typing(signed(&hall, STRANGER, send))
        .await
        .expect_err("is refused");
    let ask = pb::GetPresenceRequest {
        user_ids: vec![BOB.to_string(), "me".into(), STRANGER.to_string()],
    };
    let seen = client
        .get_presence(signed(&hall, ALICE, ask))
        .await
        .expect("is told")
        .into_inner();

    assert_eq!(
        bob.until("typing").await["typing"]["userId"],
        ALICE.to_string()
    );
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let states: Vec<_> = seen.presence.iter().map(pb::Presence::state).collect();
    assert_eq!(
        states,
        [
            PresenceState::Online,
            PresenceState::Offline,
            PresenceState::Offline
        ]
    );
    assert_eq!(seen.presence[1].user_id, ALICE.to_string());
}

#[tokio::test]
async fn every_rpc_of_the_service_is_there() {
    let hall = hall().await;
    let service = guildhall_proto::pool()
        .get_service_by_name("guildhall.live.v1.LiveService")
        .expect("is there");
    let mut client = tonic::client::Grpc::new(
        tonic::transport::Endpoint::from_shared(format!("http://{}", hall.address))
            .expect("an address")
            .connect_lazy(),
    );

    for rpc in service.methods() {
        client.ready().await.expect("connects");
        let path = format!("/{}/{}", service.full_name(), rpc.name())
            .parse()
            .expect("a path");
        let codec = tonic_prost::ProstCodec::<pb::ClientFrame, pb::ClientFrame>::default();
        let called = client
            .server_streaming(Request::new(pb::ClientFrame::default()), path, codec)
            .await;
        let code = called.err().map(|status| status.code());
        assert_ne!(
            code,
            Some(tonic::Code::Unimplemented),
            "{}",
            rpc.full_name()
        );
    }
}
