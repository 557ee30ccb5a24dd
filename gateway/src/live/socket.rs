//! The live feed as a WebSocket at `/live`: one frame a message, text or binary by the subprotocol.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{
        FromRequestParts as _, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures::SinkExt as _;
use guildhall_mesh::{Caller, Reason, guard, link::CORRELATION};
use guildhall_transcode::problem;
use http::{HeaderMap, StatusCode, request::Parts};
use tonic::Code;

use super::{
    ByCookie,
    error::{Bye, LiveError},
    frame::Frame,
    hub::Hub,
    inbound::{self, Heard, LARGEST},
    places::ChannelPlaces,
    session::{Credentials, Out, Session},
};

/// How long a client may take to answer a close: a hall that stops waits for it.
const FAREWELL: Duration = Duration::from_secs(2);
/// One frame a text message, in proto JSON. What a client gets that asks for nothing.
const JSON: &str = "guildhall.live.v1.json";
/// One frame a binary message.
const PROTO: &str = "guildhall.live.v1.proto";
/// What an idle socket keeps for reading, in bytes; larger frames are read into room of their own.
const READ_BUFFER: usize = 512;
/// Up to this size a frame is read whole, and refused in peace where it is too large; a larger one breaks the connection.
const READ_LIMIT: usize = 2 * LARGEST;
/// Frames that are ready together go out in one write, up to about this many bytes.
const WRITE_BUFFER: usize = 4 << 10;
/// The most that may wait in a socket's own buffer: one frame, as large as frames get.
const WRITE_LIMIT: usize = 16 << 20;
/// How many frames go out before the client is heard again.
const BATCH: usize = 64;

/// Decides whether the page that a request comes from may open a socket; requests without a page are its decision too.
pub type AllowOrigin = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// What every socket needs.
#[derive(Clone)]
pub(crate) struct Sockets {
    pub(crate) hub: Arc<Hub>,
    pub(crate) places: Arc<ChannelPlaces>,
    pub(crate) allow: AllowOrigin,
}

/// The route.
pub(crate) fn router(sockets: Sockets) -> Router {
    // Any method: HTTP/2 opens WebSockets by CONNECT.
    Router::new()
        .route("/live", any(upgrade))
        .with_state(sockets)
}

async fn upgrade(State(sockets): State<Sockets>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let correlation = correlation(&sockets.hub, &parts);
    if !(sockets.allow)(&parts) {
        return problem::response(
            StatusCode::FORBIDDEN,
            Code::PermissionDenied,
            "the page that calls is not on the list of allowed origins",
            Some(Reason::OriginRefused.as_str_name().to_owned()),
            Some(correlation.to_string()),
        )
        .map(axum::body::Body::new);
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(refused) => return refused.into_response(),
    };
    let credentials = credentials(&parts);
    upgrade
        .protocols([JSON, PROTO])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_LIMIT)
        .max_message_size(READ_LIMIT)
        .max_frame_size(READ_LIMIT)
        .on_upgrade(async move |socket| {
            let tasks = sockets.hub.tasks.clone();
            tasks.spawn(
                "live socket",
                serve(sockets, socket, credentials, correlation),
            );
        })
}

async fn serve(
    sockets: Sockets,
    mut socket: WebSocket,
    credentials: Credentials,
    correlation: Arc<str>,
) {
    let binary = socket.protocol().is_some_and(|chosen| chosen == PROTO);
    let patience = Duration::from_secs(sockets.hub.settings.write_seconds);
    // Thousands of sockets wait in `listen` for hours, so what happens in between has its room in boxes of its own.
    let opened = Box::pin(open(
        &sockets,
        &mut socket,
        binary,
        credentials,
        &correlation,
    ))
    .await;
    let bye = match opened {
        Ok(Some(session)) => run(session, &mut socket, binary, patience).await,
        Ok(None) => return,
        Err(error) => Some(Bye::of(error, None, &correlation)),
    };
    if let Some(bye) = bye {
        // Whoever does not read it is gone or too slow: both know already.
        let _ = Box::pin(tokio::time::timeout(
            patience,
            close(&mut socket, binary, bye),
        ))
        .await;
    }
}

/// Waits for Hello. `None`: the client went away.
async fn open(
    sockets: &Sockets,
    socket: &mut WebSocket,
    binary: bool,
    credentials: Credentials,
    correlation: &Arc<str>,
) -> Result<Option<Session>, LiveError> {
    let Sockets { hub, places, .. } = sockets;
    let patience = Duration::from_secs(hub.settings.hello_seconds);
    let first = tokio::time::timeout(patience, listen(socket, binary)).await;
    let Some(first) = first.map_err(|_| LiveError::NoToken)? else {
        return Ok(None);
    };
    Session::greet(hub, places, credentials, first?, correlation)
        .await
        .map(Some)
}

/// Carries frames both ways until one side ends. Returns the last frame, if there is one to send.
async fn run(
    mut session: Session,
    socket: &mut WebSocket,
    binary: bool,
    patience: Duration,
) -> Option<Bye> {
    loop {
        tokio::select! {
            out = session.next() => {
                let sent = send(&mut session, socket, binary, out?);
                match Box::pin(tokio::time::timeout(patience, sent)).await {
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some(bye))) => return Some(bye),
                    Ok(Err(_)) | Err(_) => return None,
                }
            }
            heard = listen(socket, binary), if !session.is_busy() => {
                Box::pin(session.hear(heard?)).await;
            }
        }
    }
}

/// Sends a frame, and with it what else is ready. Returns the last frame where it comes to it.
async fn send(
    session: &mut Session,
    socket: &mut WebSocket,
    binary: bool,
    out: Out,
) -> Result<Option<Bye>, axum::Error> {
    let mut next = Some(out);
    let mut sent = 0;
    while let Some(out) = next {
        match out {
            Out::Bye(bye) => return Ok(Some(bye)),
            Out::Frame(frame, _) => socket.feed(message(&frame, binary)).await?,
        }
        sent += 1;
        next = if sent < BATCH {
            session.next_now()
        } else {
            None
        };
    }
    socket.flush().await?;
    Ok(None)
}

async fn close(socket: &mut WebSocket, binary: bool, bye: Bye) -> Result<(), axum::Error> {
    socket.feed(message(&bye.frame, binary)).await?;
    let end = CloseFrame {
        code: bye.code,
        reason: "".into(),
    };
    socket.send(Message::Close(Some(end))).await?;
    // The client's answer, so that what was sent is read before the connection goes. Who is asleep is not waited for.
    let answer = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = tokio::time::timeout(FAREWELL, answer).await;
    Ok(())
}

fn message(frame: &Frame, binary: bool) -> Message {
    if binary {
        Message::Binary(frame.proto())
    } else {
        Message::Text(frame.json())
    }
}

/// The next frame of the client; `None` where it went away. May be dropped and called again.
async fn listen(socket: &mut WebSocket, binary: bool) -> Option<Result<Heard, LiveError>> {
    loop {
        return match socket.recv().await? {
            Ok(Message::Text(text)) if text.len() > LARGEST => {
                Some(Err(LiveError::TooLarge(LARGEST)))
            }
            Ok(Message::Binary(bytes)) if bytes.len() > LARGEST => {
                Some(Err(LiveError::TooLarge(LARGEST)))
            }
            Ok(Message::Text(text)) if !binary => Some(inbound::from_json(&text)),
            Ok(Message::Binary(bytes)) if binary => Some(inbound::from_proto(bytes)),
            Ok(Message::Text(_)) => Some(Err(LiveError::Unreadable("binary was agreed on".into()))),
            Ok(Message::Binary(_)) => Some(Err(LiveError::Unreadable("text was agreed on".into()))),
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            // The library's error is not public; its text for a frame beyond the limit is.
            Err(error) if error.to_string().starts_with("Space limit exceeded") => {
                Some(Err(LiveError::TooLarge(LARGEST)))
            }
            Ok(Message::Close(_)) | Err(_) => None,
        };
    }
}

fn credentials(parts: &Parts) -> Credentials {
    let caller = parts
        .extensions
        .get::<Caller>()
        .map(|caller| caller.token.clone());
    Credentials {
        token: caller.or_else(|| guard::bearer(&parts.headers).map(Into::into)),
        by_cookie: parts.extensions.get::<ByCookie>().is_some(),
    }
}

fn correlation(hub: &Hub, parts: &Parts) -> Arc<str> {
    named(&parts.headers)
        .unwrap_or_else(|| hub.ids.uuid().to_string())
        .into()
}

fn named(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(CORRELATION)?.to_str().ok()?;
    guard::is_correlation(name).then(|| name.to_owned())
}
