//! Services that answer from a table and note what they were asked.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use guildhall_mesh::{Link, Peer};
use guildhall_proto::{auth::v1 as auth, chat::v1 as chat};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message;
use tonic::{Status, body::Body};
use tower::service_fn;

use super::alice;

/// What a service was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Bytes,
    pub(crate) peer: Option<Peer>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }
}

type Answers = HashMap<String, Result<(Bytes, HeaderMap), Status>>;

/// Stands for auth and chat.
#[derive(Clone, Default)]
pub(crate) struct Services {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<Answers>>,
    refused_once: Arc<Mutex<HashMap<String, Status>>>,
    down: Arc<AtomicBool>,
    slow: Arc<AtomicBool>,
}

impl Services {
    pub(super) fn new(jwks: &str) -> Self {
        let this = Self::default();
        let keys = auth::GetKeysResponse {
            jwks: jwks.to_owned(),
        };
        this.answer("/guildhall.auth.v1.AccessService/GetKeys", &keys);
        this.answer(
            "/guildhall.chat.v1.FeedService/ListHeads",
            &chat::ListHeadsResponse::default(),
        );
        let account = auth::Account {
            user: Some(auth::User {
                id: alice().to_string(),
                username: "alice".into(),
                ..Default::default()
            }),
            email: "alice@example.org".into(),
            ..Default::default()
        };
        let me = auth::GetMeResponse {
            account: Some(account.clone()),
        };
        this.answer("/guildhall.auth.v1.AccountService/GetMe", &me);
        this.answer(
            "/guildhall.auth.v1.AccountService/UpdateMe",
            &auth::UpdateMeResponse {
                account: Some(account),
            },
        );
        this.answer(
            "/guildhall.auth.v1.SpaceService/ListSpaces",
            &auth::ListSpacesResponse::default(),
        );
        this.answer(
            "/guildhall.auth.v1.SessionService/Login",
            &auth::LoginResponse::default(),
        );
        this.answer(
            "/guildhall.auth.v1.SessionService/Refresh",
            &auth::RefreshResponse::default(),
        );
        this.answer(
            "/guildhall.auth.v1.SessionService/Logout",
            &auth::LogoutResponse::default(),
        );
        this.answer(
            "/guildhall.chat.v1.ChannelService/ListChannels",
            &chat::ListChannelsResponse::default(),
        );
        this
    }

    /// Answers an rpc with a message from now on.
    pub(crate) fn answer(&self, path: &str, message: &impl Message) {
        self.answer_with(path, message, &[]);
    }

    /// The same, with metadata.
    pub(crate) fn answer_with(
        &self,
        path: &str,
        message: &impl Message,
        metadata: &[(&'static str, &str)],
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in metadata {
            headers.insert(*name, value.parse().expect("a value"));
        }
        let answer = Ok((message.encode_to_vec().into(), headers));
        self.answers
            .lock()
            .expect("free")
            .insert(path.to_owned(), answer);
    }

    /// Refuses an rpc from now on.
    pub(crate) fn refuse(&self, path: &str, status: Status) {
        self.answers
            .lock()
            .expect("free")
            .insert(path.to_owned(), Err(status));
    }

    /// Refuses an rpc the next time.
    pub(crate) fn refuse_once(&self, path: &str, status: Status) {
        let mut once = self.refused_once.lock().expect("free");
        once.insert(path.to_owned(), status);
    }

    /// Makes every rpc fail, or work again.
    pub(crate) fn go_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Makes every rpc take for ever, or work again.
    pub(crate) fn go_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::SeqCst);
    }

    /// What was asked of one rpc.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().expect("free");
        asked
            .iter()
            .filter(|asked| asked.path == path)
            .cloned()
            .collect()
    }

    pub(super) fn link(&self) -> Link {
        let this = self.clone();
        Link::local(
            "gateway",
            service_fn(move |request| {
                let this = this.clone();
                async move { Ok::<_, Infallible>(this.serve(request).await) }
            }),
        )
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let message = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let asked = Asked {
            path: path.clone(),
            headers: parts.headers,
            message: message.slice(5.min(message.len())..),
            peer: parts.extensions.get().cloned(),
        };
        self.asked.lock().expect("free").push(asked);
        if self.down.load(Ordering::SeqCst) {
            return Status::unavailable("down").into_http();
        }
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        if let Some(status) = self.refused_once.lock().expect("free").remove(&path) {
            return status.into_http();
        }
        let answer = self.answers.lock().expect("free").get(&path).cloned();
        match answer {
            None => Status::unimplemented(format!("no answer for {path}")).into_http(),
            Some(Err(status)) => status.into_http(),
            Some(Ok((message, metadata))) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let frames = [
                    Ok(Frame::data(framed(&message))),
                    Ok::<_, Status>(Frame::trailers(trailers)),
                ];
                let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
                let mut response = Response::new(body);
                *response.headers_mut() = metadata;
                response
                    .headers_mut()
                    .insert("content-type", HeaderValue::from_static("application/grpc"));
                response
            }
        }
    }
}

/// A message as gRPC sends it.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.put_slice(message);
    frame.freeze()
}
