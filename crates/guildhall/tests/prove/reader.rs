//! A reader of the live feed that keeps the protocol: drops what it has, comes back by `seen`, loads a page when told to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use crate::{judge, people::Person, record::Seen};

/// What a reader holds of one channel.
#[derive(Debug, Default, Clone)]
pub(crate) struct View {
    /// The messages by seq.
    pub(crate) messages: BTreeMap<u64, Seen>,
    /// The last change applied.
    pub(crate) seen: u64,
    /// What broke the protocol's promises.
    pub(crate) wrong: Vec<String>,
    epoch: String,
}

/// Follows a channel until told to end.
pub(crate) struct Reader {
    view: Arc<Mutex<View>>,
    ending: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Reader {
    /// Begins to read.
    pub(crate) fn follow(person: Person, channel: String) -> Self {
        let view = Arc::<Mutex<View>>::default();
        let ending = Arc::<AtomicBool>::default();
        let task = tokio::spawn({
            let (view, ending) = (view.clone(), ending.clone());
            async move {
                while !ending.load(Ordering::SeqCst) {
                    // A cut connection is what this is about: come back and go on, by another gateway if there is one.
                    if read(&person, &channel, &view, &ending).await.is_err() {
                        person.move_on();
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        Self { view, ending, task }
    }

    /// The last change that it has seen.
    pub(crate) fn seen(&self) -> u64 {
        self.view.lock().expect("no reader panics").seen
    }

    /// Waits until the reader has come as far as `rev`, at most half a minute; returns what it holds.
    pub(crate) async fn finish(self, rev: u64) -> View {
        for _ in 0..300 {
            if self.view.lock().expect("no reader panics").seen >= rev {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.ending.store(true, Ordering::SeqCst);
        self.task.abort();
        self.view.lock().expect("no reader panics").clone()
    }
}

/// How long a gateway may take for its first words. After them it is silent for two and a half heartbeats at most.
const FIRST: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn read(
    person: &Person,
    channel: &str,
    view: &Mutex<View>,
    ending: &AtomicBool,
) -> anyhow::Result<()> {
    let connected = tokio_tungstenite::connect_async(person.live_url());
    let (mut socket, _) = tokio::time::timeout(FIRST, connected).await??;
    let mut silence = FIRST;
    let (seen, epoch) = {
        let view = view.lock().expect("no reader panics");
        (view.seen, view.epoch.clone())
    };
    let hello = json!({"id": 1, "hello": {
        "accessToken": person.token,
        "subscribe": {"channelIds": [channel], "seen": {channel: seen}, "epoch": epoch}
    }});
    socket.send(Message::text(hello.to_string())).await?;
    while !ending.load(Ordering::SeqCst) {
        let frame = next(&mut socket, silence).await?;
        if let Some(ready) = frame.get("ready") {
            let beat = ready["heartbeatMs"].as_u64().unwrap_or(25_000);
            silence = Duration::from_millis(beat * 5 / 2);
            let epoch = ready["epoch"].as_str().unwrap_or_default();
            view.lock().expect("no reader panics").epoch = epoch.to_owned();
        } else if frame.get("reset").is_some() {
            let (messages, _, rev) = judge::stored(person, channel).await?;
            let mut view = view.lock().expect("no reader panics");
            view.messages = messages
                .into_iter()
                .map(|message| (message.seq, message))
                .collect();
            view.seen = rev;
        } else if frame.get("bye").is_some() {
            return Ok(());
        } else if !apply(&frame, &mut view.lock().expect("no reader panics")) {
            // A hole: subscribe again from what there is.
            return Ok(());
        }
    }
    Ok(())
}

async fn next(socket: &mut Socket, silence: Duration) -> anyhow::Result<Value> {
    loop {
        let frame = tokio::time::timeout(silence, socket.next()).await?;
        match frame.context("closed")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(_) => anyhow::bail!("closed"),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Takes one frame; false where it shows a hole.
fn apply(frame: &Value, view: &mut View) -> bool {
    let rev = frame["rev"].as_u64().unwrap_or(0);
    let after = frame["afterRev"].as_u64().unwrap_or(0);
    if rev == 0 || rev <= view.seen {
        return true;
    }
    if after > view.seen {
        return false;
    }
    let Some(message) = frame.get("message").and_then(Seen::of) else {
        view.wrong.push(format!("rev {rev} without a message"));
        return true;
    };
    if message.rev > rev {
        view.wrong
            .push(format!("frame {rev} shows rev {}", message.rev));
    }
    view.seen = rev;
    view.messages.insert(message.seq, message);
    true
}
