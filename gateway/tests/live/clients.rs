//! A reader by WebSocket, and one by server-sent events.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use guildhall_kernel::{ChannelId, UserId};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::hall::Hall;

/// Longer than anything in a test may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket that speaks JSON.
pub(crate) struct Socket {
    pub(crate) wire: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The close code, once it came.
    pub(crate) code: Option<u16>,
}

impl Socket {
    /// Connects with headers and says nothing.
    pub(crate) async fn connect(hall: &Hall, headers: &[(&'static str, &str)]) -> Self {
        Self::try_connect(hall, headers).await.expect("connects")
    }

    pub(crate) async fn try_connect(
        hall: &Hall,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let url = format!("ws://{}/live", hall.address);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a value");
            request.headers_mut().insert(*name, value);
        }
        let (wire, _) = connect_async(request).await?;
        Ok(Self { wire, code: None })
    }

    /// Connects and subscribes; the first frame is Ready.
    pub(crate) async fn open(hall: &Hall, user: UserId, wish: Value) -> Self {
        let mut socket = Self::connect(hall, &[]).await;
        socket.hello(&hall.token(user), wish).await;
        socket
    }

    pub(crate) async fn hello(&mut self, token: &str, wish: Value) {
        self.say(json!({"hello": {"accessToken": token, "subscribe": wish}}))
            .await;
    }

    pub(crate) async fn say(&mut self, frame: Value) {
        self.wire
            .send(Message::text(frame.to_string()))
            .await
            .expect("sends");
    }

    /// The next frame but heartbeats; `None` after the close.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.wire.next()).await;
            match next.expect("something comes") {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame.get("heartbeat").is_none() {
                        return Some(frame);
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    self.code = frame.map(|frame| frame.code.into());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Skips to the next frame with this body.
    pub(crate) async fn until(&mut self, body: &str) -> Value {
        loop {
            let frame = self
                .next()
                .await
                .unwrap_or_else(|| panic!("no {body} came"));
            if frame.get(body).is_some() {
                return frame;
            }
        }
    }

    /// Skips to the message with this text.
    pub(crate) async fn until_text(&mut self, text: &str) -> Value {
        loop {
            let frame = self.until("message").await;
            if frame["message"]["text"] == text {
                return frame;
            }
        }
    }

    /// Whether nothing but heartbeats comes for a while.
    pub(crate) async fn is_quiet(&mut self, millis: u64) -> bool {
        tokio::time::timeout(Duration::from_millis(millis), self.next())
            .await
            .is_err()
    }
}

/// `GET /api/v1/live` as a browser's EventSource does it.
pub(crate) struct Events {
    wire: TcpStream,
    text: String,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
    pub(crate) raw: String,
}

impl Events {
    pub(crate) async fn open(hall: &Hall, user: UserId, last: Option<&str>) -> Self {
        let mut wire = TcpStream::connect(hall.address).await.expect("connects");
        let last = last
            .map(|id| format!("last-event-id: {id}\r\n"))
            .unwrap_or_default();
        let request = format!(
            "GET /api/v1/live HTTP/1.1\r\nhost: hall\r\nconnection: close\r\naccept: text/event-stream\r\nauthorization: Bearer {}\r\n{last}\r\n",
            hall.token(user)
        );
        wire.write_all(request.as_bytes()).await.expect("sends");
        Self {
            wire,
            text: String::new(),
        }
    }

    /// The next event with data but heartbeats; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Sent> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let mut lines = event.lines().filter_map(|line| line.strip_prefix(name));
                    lines.next().map(|value| value.trim().to_owned())
                };
                let Some(raw) = field("data:") else { continue };
                let data: Value = serde_json::from_str(&raw).expect("JSON");
                if data.get("heartbeat").is_none() {
                    return Some(Sent {
                        id: field("id:"),
                        data,
                        raw,
                    });
                }
            }
            let mut chunk = vec![0; 64 << 10];
            let read = tokio::time::timeout(PATIENCE, self.wire.read(&mut chunk)).await;
            let read = read.expect("something comes").expect("reads");
            if read == 0 {
                return None;
            }
            // Sizes of HTTP chunks stand in lines of their own, which no event begins with.
            let text = String::from_utf8_lossy(&chunk[..read]).into_owned();
            self.text.push_str(&text.replace("\r\n", "\n"));
        }
    }

    pub(crate) async fn until(&mut self, body: &str) -> Sent {
        loop {
            let sent = self
                .next()
                .await
                .unwrap_or_else(|| panic!("no {body} came"));
            if sent.data.get(body).is_some() {
                return sent;
            }
        }
    }
}

/// A reader that keeps what it is told, by the rules of the protocol.
#[derive(Debug, Default, Clone)]
pub(crate) struct Copy {
    pub(crate) seen: u32,
    pub(crate) messages: std::collections::BTreeMap<u32, (u32, String)>,
}

impl Copy {
    /// Applies a frame of a channel; panics where the server left a hole.
    pub(crate) fn apply(&mut self, channel: ChannelId, frame: &Value) {
        let rev = u32::try_from(frame["rev"].as_u64().unwrap_or(0)).expect("a rev");
        if frame["channelId"] != channel.to_string() || rev == 0 {
            return;
        }
        if rev <= self.seen {
            return;
        }
        let after = u32::try_from(frame["afterRev"].as_u64().expect("a number")).expect("a rev");
        assert!(after <= self.seen, "a hole: {after} after {}", self.seen);
        self.seen = rev;
        if let Some(message) = frame.get("message") {
            let seq = u32::try_from(message["seq"].as_u64().expect("a seq")).expect("small");
            let text = message["text"].as_str().unwrap_or_default().to_owned();
            self.messages.insert(seq, (rev, text));
        }
    }

    pub(crate) fn list(&self) -> Vec<(u32, u32, String)> {
        self.messages
            .iter()
            .map(|(seq, (rev, text))| (*seq, *rev, text.clone()))
            .collect()
    }
}
