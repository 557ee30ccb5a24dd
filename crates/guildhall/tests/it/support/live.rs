//! The live feed on three wires. Every frame is shown as the JSON of its `ServerFrame`, whatever the wire.

use std::pin::Pin;

use futures::{SinkExt as _, Stream, StreamExt as _};
use guildhall_proto::live::v1::{
    ClientFrame, OpenRequest, ServerFrame, live_service_client::LiveServiceClient,
};
use prost::{Message as _, Name as _};
use prost_reflect::{DeserializeOptions, DynamicMessage};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::tungstenite::{Message as Frame, client::IntoClientRequest as _};

use super::{Person, http, soon, sse::Events};

/// A stream that somebody listens to. Dropping it closes the connection without a word.
pub struct Live {
    frames: Pin<Box<dyn Stream<Item = Value> + Send>>,
    /// What the client says, as the JSON of a `ClientFrame`; `None` on wires that only listen.
    says: Option<mpsc::Sender<Value>>,
    /// The id of the last event, on the wire that has them.
    pub last_event_id: Option<String>,
    passed: Vec<Value>,
}

impl Live {
    /// By WebSocket.
    pub async fn socket(who: &Person, wish: &Value) -> Self {
        let mut request = format!("ws://{}/live", who.at)
            .into_client_request()
            .expect("a request");
        let protocol = "guildhall.live.v1.json".parse().expect("a header");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let connected = soon("a socket", tokio_tungstenite::connect_async(request)).await;
        let (socket, _) = connected.expect("the hall takes the socket");
        let (mut out, incoming) = socket.split();
        let frames = incoming.filter_map(async |frame| match frame {
            Ok(Frame::Text(text)) => serde_json::from_str(&text).ok(),
            Ok(Frame::Close(why)) => Some(json!({ "closed": why.map(|why| u16::from(why.code)) })),
            _ => None,
        });
        let (says, mut said) = mpsc::channel::<Value>(16);
        #[expect(clippy::disallowed_methods, reason = "a test ends with its runtime")]
        tokio::spawn(async move {
            while let Some(frame) = said.recv().await {
                if out.send(Frame::text(frame.to_string())).await.is_err() {
                    return;
                }
            }
        });
        Self::begun(Box::pin(frames), Some(says), who, wish).await
    }

    /// By gRPC.
    pub async fn open(who: &Person, wish: &Value) -> Self {
        let connected = LiveServiceClient::connect(format!("http://{}", who.at)).await;
        let mut client = connected.expect("the hall speaks gRPC");
        let (says, said) = mpsc::channel::<Value>(16);
        let said = ReceiverStream::new(said).map(|frame| OpenRequest {
            frame: Some(client_frame(&frame)),
        });
        // The first frame has to be on its way before the answer can come.
        let hello = hello(who, wish);
        says.send(hello).await.expect("room");
        let opened = soon("an open stream", client.open(said))
            .await
            .expect("opens");
        let frames = opened.into_inner().filter_map(async |answer| {
            let frame = answer.ok()?.frame?;
            Some(server_frame(&frame))
        });
        Self {
            frames: Box::pin(frames),
            says: Some(says),
            last_event_id: None,
            passed: Vec::new(),
        }
    }

    /// By server-sent events.
    pub async fn events(who: &Person, query: &str, after: Option<&str>) -> Self {
        // No limit for the whole: the stream goes on.
        let url = format!("http://{}/api/v1/live?{query}", who.at);
        let mut request = http()
            .get(url)
            .bearer_auth(&who.token)
            .timeout(super::PATIENCE * 10);
        request = request.header("accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = soon("a stream", request.send()).await.expect("answers");
        assert_eq!(
            answer.status(),
            200,
            "{}",
            answer.text().await.unwrap_or_default()
        );
        let frames = Events::of(answer.bytes_stream());
        Self {
            frames: Box::pin(frames),
            says: None,
            last_event_id: None,
            passed: Vec::new(),
        }
    }

    async fn begun(
        frames: Pin<Box<dyn Stream<Item = Value> + Send>>,
        says: Option<mpsc::Sender<Value>>,
        who: &Person,
        wish: &Value,
    ) -> Self {
        let live = Self {
            frames,
            says,
            last_event_id: None,
            passed: Vec::new(),
        };
        live.say(hello(who, wish)).await;
        live
    }

    /// Says a client frame.
    pub async fn say(&self, frame: Value) {
        let says = self.says.as_ref().expect("a wire both ways");
        says.send(frame).await.expect("the stream is open");
    }

    /// The next frame that has `body` set, in full. Others before it are passed over.
    pub async fn next(&mut self, body: &str) -> Value {
        self.next_where(body, |frame| !frame[body].is_null()).await
    }

    /// The next frame like this.
    pub async fn next_where(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let end = tokio::time::sleep(super::PATIENCE);
        tokio::pin!(end);
        loop {
            tokio::select! {
                frame = self.frames.next() => {
                    let Some(mut frame) = frame else {
                        panic!("the stream ended before {what}; passed: {:#?}", self.passed)
                    };
                    if let Some(id) = frame.as_object_mut().and_then(|frame| frame.remove("sse id")) {
                        self.last_event_id = id.as_str().map(str::to_owned);
                    }
                    if is_it(&frame) {
                        return frame;
                    }
                    self.passed.push(frame);
                }
                () = &mut end => panic!("no {what} in {:?}; passed: {:#?}", super::PATIENCE, self.passed),
            }
        }
    }

    /// The next message with this text.
    pub async fn message(&mut self, text: &str) -> Value {
        let frame = self
            .next_where(text, |frame| frame["message"]["text"] == text)
            .await;
        frame["message"].clone()
    }

    /// What came and was passed over so far.
    pub fn passed(&self) -> &[Value] {
        &self.passed
    }
}

fn hello(who: &Person, wish: &Value) -> Value {
    json!({ "id": 1, "hello": { "accessToken": who.token, "subscribe": wish } })
}

fn client_frame(json: &Value) -> ClientFrame {
    let pool = guildhall_proto::pool();
    let kind = pool
        .get_message_by_name(&ClientFrame::full_name())
        .expect("ours");
    let read = DynamicMessage::deserialize_with_options(kind, json, &DeserializeOptions::new());
    let bytes = read.expect("a client frame").encode_to_vec();
    ClientFrame::decode(bytes.as_slice()).expect("the same")
}

fn server_frame(frame: &ServerFrame) -> Value {
    let pool = guildhall_proto::pool();
    let kind = pool
        .get_message_by_name(&ServerFrame::full_name())
        .expect("ours");
    let read = DynamicMessage::decode(kind, frame.encode_to_vec().as_slice()).expect("the same");
    serde_json::to_value(&read).expect("JSON")
}
