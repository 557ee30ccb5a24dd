//! What readers of the live feed hear: of their own all, of the rest nothing but Gone.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{
    caller::Caller,
    door::{Signed, Target, unique},
    framing::events,
    rpcs,
    stream::Frames,
    who::Who,
    world::World,
};

/// How long things may take to be heard.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end is listened to, for what comes too late to be right.
const LISTENED: Duration = Duration::from_millis(300);

/// Lets things happen in both spaces and listens on every wire; returns what was wrong.
pub(crate) async fn judge(world: &World) -> anyhow::Result<Vec<String>> {
    let door = world.door();
    let (owner, foreigner) = (world.person(Who::Owner), &world.foreigner);
    // Places that nothing else happens in.
    let ours = door.furnish(owner, owner).await?;
    let theirs = door.furnish(foreigner, foreigner).await?;
    door.add(owner, &ours.space, &world.person(Who::Guest).id, "GUEST")
        .await?;

    let mut wrong = Vec::new();
    for who in [Who::Guest, Who::Stranger] {
        for wish in [true, false] {
            for wire in ["websocket", "sse", "grpc"] {
                let mut frames = open(world, who, wire, wish, &ours, &theirs).await?;
                let mut heard = Vec::new();
                listen(&mut frames, &mut heard, |frame| {
                    frame.get("ready").is_some()
                })
                .await?;
                happen(world, &theirs, foreigner).await?;
                let last = happen(world, &ours, owner).await?;
                let is_last = |frame: &Value| frame.pointer("/message/id") == Some(&json!(last));
                if who == Who::Guest {
                    listen(&mut frames, &mut heard, is_last).await?;
                }
                let late =
                    tokio::time::timeout(LISTENED, listen(&mut frames, &mut heard, |_| false));
                if let Ok(ended) = late.await {
                    ended?;
                }
                let hidden = if who == Who::Guest {
                    vec![&theirs]
                } else {
                    vec![&theirs, &ours]
                };
                for frame in &heard {
                    let text = frame.to_string();
                    let is_named = hidden
                        .iter()
                        .any(|place| text.contains(&place.channel) || text.contains(&place.space));
                    if is_named && frame.get("gone").is_none() {
                        wrong.push(format!("{who:?} heard by {wire}: {text}"));
                    }
                }
                let gone = heard
                    .iter()
                    .filter(|frame| frame.get("gone").is_some())
                    .count();
                let expected = if wish { hidden.len() } else { 0 };
                if gone != expected {
                    wrong.push(format!(
                        "{who:?} by {wire}: {gone} times Gone, not {expected}: {heard:?}"
                    ));
                }
                if who == Who::Guest && !heard.iter().any(is_last) {
                    wrong.push(format!("{who:?} by {wire} did not hear {last}: {heard:?}"));
                }
            }
        }
    }
    Ok(wrong)
}

/// Lets a bit of everything happen in a space; returns the id of the last message.
async fn happen(world: &World, place: &Target, by: &Signed) -> anyhow::Result<String> {
    let door = world.door();
    let channel = format!("/channels/{}", place.channel);
    let topic = json!({"topic": unique()});
    door.done(Method::PATCH, &channel, &by.token, Some(&topic))
        .await?;
    let typing = format!("{channel}/typing");
    door.done(Method::POST, &typing, &by.token, Some(&json!({})))
        .await?;
    let name = json!({"name": unique()});
    let space = format!("/spaces/{}", place.space);
    door.done(Method::PATCH, &space, &by.token, Some(&name))
        .await?;
    door.add(by, &place.space, &world.extra.id, "GUEST").await?;
    door.channel(by, &place.space).await?;
    door.post(by, &place.channel).await
}

/// Opens a stream that wishes for both channels, or for everything of the reader's.
async fn open(
    world: &World,
    who: Who,
    wire: &str,
    wish: bool,
    ours: &Target,
    theirs: &Target,
) -> anyhow::Result<Frames> {
    let token = world.token(who).context("a token")?.to_owned();
    let channels = [ours, theirs].map(|place| place.channel.clone());
    let subscribe = if wish {
        json!({"channelIds": channels, "typingChannelIds": channels})
    } else {
        json!({})
    };
    match wire {
        "websocket" => {
            let url = format!("ws://{}/live", world.address);
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
            let hello = json!({"id": 1, "hello": {"accessToken": token, "subscribe": subscribe}});
            socket.send(Message::text(hello.to_string())).await?;
            let frames = socket.filter_map(|message| async move {
                match message {
                    Ok(Message::Text(text)) => {
                        Some(serde_json::from_str(&text).map(Ok).map_err(Into::into))
                    }
                    Ok(_) => None,
                    Err(error) => Some(Err(error.into())),
                }
            });
            Ok(frames.boxed())
        }
        "sse" => {
            let response = world
                .http
                .post(format!("http://{}/api/v1/live", world.address))
                .bearer_auth(token)
                .header("accept", "text/event-stream")
                .json(&json!({"subscribe": subscribe}))
                .send()
                .await?
                .error_for_status()?;
            Ok(events(response.bytes_stream().map_err(anyhow::Error::from)))
        }
        _ => {
            let rpc = rpcs().into_iter().find(|rpc| rpc.name() == "Open");
            let rpc = rpc.context("Open")?;
            let frame = json!({"frame": {"id": 1, "hello": {"subscribe": subscribe}}});
            let request = prost_reflect::DynamicMessage::deserialize(rpc.input(), frame)?;
            let caller = Caller::to(&world.address, &world.http).await?;
            let path = "/guildhall.live.v1.LiveService/Open";
            let bytes = Bytes::from(request.encode_to_vec());
            let frames = caller
                .grpc_stream(path, bytes, Some(&token), &rpc)
                .await?
                .map_err(anyhow::Error::from)?;
            // The connection lives as long as its stream.
            Ok(
                stream::unfold((frames, caller), |(mut frames, caller)| async move {
                    let next = frames.next().await?;
                    Some((next, (frames, caller)))
                })
                .boxed(),
            )
        }
    }
}

/// Listens until a frame is the one, at most for a while.
async fn listen(
    frames: &mut Frames,
    heard: &mut Vec<Value>,
    is_it: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let listening = async {
        while let Some(frame) = frames.next().await {
            let frame = frame?.map_err(|ended| anyhow::anyhow!("the stream ended: {ended:?}"))?;
            let found = is_it(&frame);
            heard.push(frame);
            if found {
                break;
            }
        }
        Ok(())
    };
    // What was not heard by then shows in what was.
    tokio::time::timeout(PATIENCE, listening)
        .await
        .unwrap_or(Ok(()))
}
