//! The live feed as rpcs. Written by hand where tonic would encode each frame anew for each reader.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use guildhall_kernel::{ChannelId, UserId};
use guildhall_mesh::{
    Call, Caller,
    guard::{self, bad_field},
};
use guildhall_proto::{live::v1 as pb, options::v1::Place};
use guildhall_transcode::{Encoded, Event, Wire};
use metrics::counter;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    server::{Grpc, NamedService},
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use super::{
    ByCookie,
    error::{Bye, LiveError},
    hub::Hub,
    inbound::{self, LARGEST},
    places::ChannelPlaces,
    session::{Credentials, Out, Session},
    wire::{Carried, Carrier},
};

/// The largest request of the other rpcs, in bytes.
const LARGEST_REQUEST: usize = 1 << 20;

/// `guildhall.live.v1.LiveService`, to be put into tonic's `Routes` behind the guard.
#[derive(Clone)]
pub struct LiveServer {
    hub: Arc<Hub>,
    places: Arc<ChannelPlaces>,
}

/// Frames of one stream, until it ends.
type Frames = Pin<Box<dyn Stream<Item = Result<Carried, Status>> + Send>>;

impl NamedService for LiveServer {
    const NAME: &'static str = "guildhall.live.v1.LiveService";
}

impl Service<http::Request<Body>> for LiveServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

impl LiveServer {
    pub(crate) fn new(hub: Arc<Hub>, places: Arc<ChannelPlaces>) -> Self {
        Self { hub, places }
    }

    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        let rpc = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        match rpc.as_str() {
            "Open" => {
                let token: Option<Arc<str>> = guard::bearer(request.headers()).map(Into::into);
                let open = service_fn(move |request| {
                    let frames = self.clone().open(request, token.clone());
                    std::future::ready(Ok::<_, Status>(Response::new(frames)))
                });
                Grpc::new(Carrier::<pb::OpenRequest>::new())
                    .apply_max_message_size_config(Some(LARGEST), None)
                    .streaming(open, request)
                    .await
            }
            "Watch" => {
                let watch = service_fn(move |request| self.clone().watch(request));
                Grpc::new(Carrier::<pb::WatchRequest>::new())
                    .apply_max_message_size_config(Some(LARGEST_REQUEST), None)
                    .server_streaming(watch, request)
                    .await
            }
            "SendTyping" => {
                let send = service_fn(move |request| self.clone().send_typing(request));
                Grpc::new(ProstCodec::<pb::SendTypingResponse, pb::SendTypingRequest>::new())
                    .unary(send, request)
                    .await
            }
            "GetPresence" => {
                let get = service_fn(move |request| self.clone().get_presence(request));
                Grpc::new(ProstCodec::<pb::GetPresenceResponse, pb::GetPresenceRequest>::new())
                    .unary(get, request)
                    .await
            }
            _ => Status::unimplemented("no such rpc").into_http(),
        }
    }

    /// Anybody may open one; who they are is found out with the first frame.
    fn open(self, request: Request<Streaming<pb::OpenRequest>>, token: Option<Arc<str>>) -> Frames {
        let credentials = Credentials {
            token,
            by_cookie: by_cookie(&request),
        };
        let correlation = Call::of(&request).correlation;
        let state = Opening::Greeting(Box::new(Greeting {
            server: self,
            inbound: request.into_inner(),
            credentials,
            correlation,
        }));
        stream::unfold(state, Opening::step).boxed()
    }

    async fn watch(self, request: Request<pb::WatchRequest>) -> Result<Response<Frames>, Status> {
        let caller = Caller::of(&request)?;
        let credentials = Credentials {
            token: Some(caller.token.clone()),
            by_cookie: by_cookie(&request),
        };
        let wire = request.extensions().get::<Wire>().copied();
        let request = request.into_inner();
        let wish = request.subscribe.unwrap_or_default();
        let mut wanted = super::wish::Wanted::of(&wish, caller.user);
        if !request.last_event_id.is_empty() {
            self.go_on(&mut wanted, &request.last_event_id, caller.user);
        }
        let correlation = &caller.call.correlation;
        let opened = Session::open(&self.hub, &self.places, &credentials, correlation).await;
        let mut session = opened.map_err(LiveError::into_status)?;
        session.leave_trail();
        session.subscribe(0, wanted, true);

        let frames = stream::unfold(session, async |mut session| {
            let out = session.next().await?;
            Some((out, session))
        });
        let Some(_) = wire else {
            return Ok(Response::new(frames.map(|out| Ok(carried(out))).boxed()));
        };
        // The transcoder prints this instead of the answer's own body: one text for all readers.
        let mut response = Response::new(stream::empty().boxed());
        response
            .extensions_mut()
            .insert(Encoded::new(frames.map(|out| Ok(printed(out)))));
        Ok(response)
    }

    /// Goes on where the user's earlier stream was at an event, if that is still known.
    fn go_on(&self, wanted: &mut super::wish::Wanted, event: &str, user: UserId) {
        let found = self.hub.trails().take(event, user);
        let outcome = if found.is_some() {
            "resumed"
        } else {
            "unknown"
        };
        counter!("guildhall_live_resumes_total", "outcome" => outcome).increment(1);
        let Some(found) = found else { return };
        wanted.seen.extend(found.positions);
        if let Some(earlier) = self.hub.stream(found.stream) {
            earlier.end(LiveError::Replaced, None);
        }
    }

    async fn send_typing(
        self,
        request: Request<pb::SendTypingRequest>,
    ) -> Result<Response<pb::SendTypingResponse>, Status> {
        let caller = Caller::of(&request)?;
        let channel = ChannelId::parse(&request.get_ref().channel_id)
            .map_err(|_| guard::not_found(Place::Channel))?;
        self.hub.tell_typing(channel, caller.user);
        self.hub.whisper_typing(channel, caller.user).await;
        Ok(Response::new(pb::SendTypingResponse {}))
    }

    async fn get_presence(
        self,
        request: Request<pb::GetPresenceRequest>,
    ) -> Result<Response<pb::GetPresenceResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut users = Vec::new();
        for (at, id) in request.into_inner().user_ids.iter().enumerate() {
            let user = UserId::named(id, caller.user);
            let bad = |_| bad_field(&format!("user_ids[{at}]"), "must be a user id or `me`");
            users.push(user.map_err(bad)?);
        }
        let seen = self.hub.presence(caller.user, &users).await?;
        let presence = seen.into_iter().map(|(user, state)| pb::Presence {
            user_id: user.to_string(),
            state: state.into(),
        });
        Ok(Response::new(pb::GetPresenceResponse {
            presence: presence.collect(),
        }))
    }
}

/// A stream both ways, from its first frame on.
enum Opening {
    Greeting(Box<Greeting>),
    Open(Box<(Session, Option<Streaming<pb::OpenRequest>>)>),
    Over,
}

struct Greeting {
    server: LiveServer,
    inbound: Streaming<pb::OpenRequest>,
    credentials: Credentials,
    correlation: Arc<str>,
}

impl Opening {
    async fn step(self) -> Option<(Result<Carried, Status>, Self)> {
        let mut open = match self {
            Self::Over => return None,
            Self::Open(open) => open,
            Self::Greeting(greeting) => {
                let correlation = greeting.correlation.clone();
                match greeting.greet().await {
                    Ok(Some(open)) => Box::new(open),
                    Ok(None) => return None,
                    Err(error) => {
                        let bye = Bye::of(error, None, &correlation);
                        return Some((Ok(carried(Out::Bye(bye))), Self::Over));
                    }
                }
            }
        };
        let (session, inbound) = &mut *open;
        loop {
            let listening = inbound.is_some() && !session.is_busy();
            let heard = tokio::select! {
                out = session.next() => {
                    let out = out?;
                    let next = if matches!(out, Out::Bye(_)) { Self::Over } else { Self::Open(open) };
                    return Some((Ok(carried(out)), next));
                }
                heard = listen(inbound), if listening => heard,
            };
            match heard {
                Some(Ok(frame)) => session.hear(inbound::check(frame)).await,
                Some(Err(status)) if is_too_large(&status) => {
                    session.end(LiveError::TooLarge(LARGEST));
                    *inbound = None;
                }
                // A broken connection takes the answers with it.
                Some(Err(_)) => return None,
                // Who has said all there is to say may go on listening.
                None => *inbound = None,
            }
        }
    }
}

impl Greeting {
    async fn greet(
        mut self: Box<Self>,
    ) -> Result<Option<(Session, Option<Streaming<pb::OpenRequest>>)>, LiveError> {
        let LiveServer { hub, places } = &self.server;
        let patience = Duration::from_secs(hub.settings.hello_seconds);
        let first = tokio::time::timeout(patience, self.inbound.message()).await;
        let first = match first.map_err(|_| LiveError::NoToken)? {
            Ok(Some(request)) => request.frame.unwrap_or_default(),
            Err(status) if is_too_large(&status) => return Err(LiveError::TooLarge(LARGEST)),
            Ok(None) | Err(_) => return Ok(None),
        };
        let first = inbound::check(first)?;
        let session =
            Session::greet(hub, places, self.credentials, first, &self.correlation).await?;
        Ok(Some((session, Some(self.inbound))))
    }
}

async fn listen(
    inbound: &mut Option<Streaming<pb::OpenRequest>>,
) -> Option<Result<pb::ClientFrame, Status>> {
    match inbound.as_mut()?.message().await {
        Ok(request) => request.map(|request| Ok(request.frame.unwrap_or_default())),
        Err(status) => Some(Err(status)),
    }
}

fn is_too_large(status: &Status) -> bool {
    matches!(
        status.code(),
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted
    )
}

fn by_cookie<T>(request: &Request<T>) -> bool {
    request.extensions().get::<ByCookie>().is_some()
}

fn carried(out: Out) -> Carried {
    match out {
        Out::Frame(frame, event) => Carried {
            frame: frame.proto(),
            event,
        },
        Out::Bye(bye) => Carried {
            frame: bye.frame.proto(),
            event: None,
        },
    }
}

fn printed(out: Out) -> Event {
    match out {
        Out::Frame(frame, event) => Event {
            id: event,
            data: Some(frame.json().into()),
        },
        Out::Bye(bye) => Event {
            id: None,
            data: Some(bye.frame.json().into()),
        },
    }
}
