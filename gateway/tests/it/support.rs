//! A gateway on a free port, before services that answer from a table and note what they were asked.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use guildhall_gateway::{
    Gateway, GatewaySettings, LimitSettings, Links, Listener, LiveSettings, Parts,
};
use guildhall_kernel::{Role, SessionId, SpaceId, SystemClock, SystemIds, UserId};
use guildhall_mesh::{
    Link, LocalBus, Peer, Tasks,
    access::{Access, AccessSettings, Changes, Source},
    token::{AUDIENCE, Claims, ISSUER, TYPE},
};
use guildhall_proto::{auth::v1 as auth, chat::v1 as chat};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use prost::Message;
use tonic::{Status, body::Body};
use tower::service_fn;
use uuid::Uuid;

/// The one whose tokens tests use.
pub(crate) fn alice() -> UserId {
    UserId::of(Uuid::from_u128(0xa11ce))
}

/// Settings that no test meets by accident.
pub(crate) fn roomy() -> LimitSettings {
    LimitSettings {
        sign_in_burst: 10_000,
        register_burst: 10_000,
        stream_burst: 10_000,
        ordinary_burst: 10_000,
        write_burst: 10_000,
        address_burst: 100_000,
        ..LimitSettings::default()
    }
}

/// A gateway, its services and its address.
pub(crate) struct Hall {
    pub(crate) address: SocketAddr,
    pub(crate) services: Services,
    pub(crate) gateway: Gateway,
    pub(crate) tasks: Tasks,
    token: String,
    expired_token: String,
}

pub(crate) async fn hall() -> Hall {
    hall_with(GatewaySettings::default(), roomy()).await
}

pub(crate) async fn hall_with(settings: GatewaySettings, limits: LimitSettings) -> Hall {
    let settings = GatewaySettings {
        listen: "127.0.0.1:0".into(),
        ..settings
    };
    let keys = Arc::new(SigningKeys::new());
    let services = Services::new(&keys.jwks());
    let tasks = Tasks::new();
    let clock = Arc::new(SystemClock::new());
    let access = Access::new(keys.clone(), clock.clone(), &AccessSettings::default());
    let parts = Parts {
        clock,
        ids: Arc::new(SystemIds),
        tasks: tasks.clone(),
        access,
        bus: Arc::new(LocalBus::default()),
        links: Links {
            auth: services.link(),
            chat: services.link(),
        },
    };
    let gateway = guildhall_gateway::build(&settings, &limits, &LiveSettings::default(), parts)
        .expect("builds");
    let listener = Listener::bind(&settings).await.expect("a free port");
    let address = listener.address();
    gateway.serve(listener);
    Hall {
        address,
        services,
        gateway,
        tasks,
        token: keys.token(alice(), 900),
        expired_token: keys.token(alice(), -60),
    }
}

impl Hall {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A good access token of Alice.
    pub(crate) fn token(&self) -> String {
        self.token.clone()
    }

    /// An access token of Alice that ran out a minute ago.
    pub(crate) fn expired_token(&self) -> String {
        self.expired_token.clone()
    }

    pub(crate) async fn is_ready(&self) {
        self.gateway
            .ready()
            .wait_for(|ready| *ready)
            .await
            .expect("the gateway lives");
    }

    pub(crate) async fn channel(&self) -> tonic::transport::Channel {
        let endpoint = tonic::transport::Endpoint::from_shared(self.origin()).expect("an address");
        endpoint.connect().await.expect("connects")
    }
}

/// A client that speaks HTTP/1.1, follows nothing and keeps no cookies.
pub(crate) fn client() -> reqwest::Client {
    client_builder().build().expect("a client")
}

/// The same over HTTP/2 in plain text.
pub(crate) fn client_h2() -> reqwest::Client {
    client_builder()
        .http2_prior_knowledge()
        .build()
        .expect("a client")
}

fn client_builder() -> reqwest::ClientBuilder {
    crypto();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
}

/// Chooses the provider of cryptography for clients.
pub(crate) fn crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another test of this process may have been faster.
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// A problem, read.
pub(crate) async fn problem(response: reqwest::Response) -> (u16, serde_json::Value) {
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"]
        .to_str()
        .expect("text")
        .to_owned();
    let text = response.text().await.expect("a body");
    assert_eq!(kind, "application/problem+json", "{status} {text}");
    let problem: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(problem["status"], status);
    assert!(
        problem["correlationId"]
            .as_str()
            .is_some_and(|id| !id.is_empty()),
        "{problem}"
    );
    (status, problem)
}

// Services

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
    down: Arc<AtomicBool>,
    slow: Arc<AtomicBool>,
}

impl Services {
    fn new(jwks: &str) -> Self {
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

    fn link(&self) -> Link {
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
            peer: parts.extensions.get().copied(),
        };
        self.asked.lock().expect("free").push(asked);
        if self.down.load(Ordering::SeqCst) {
            return Status::unavailable("down").into_http();
        }
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
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

// Tokens

/// Signs tokens, and knows that every session lives.
struct SigningKeys {
    pair: Ed25519KeyPair,
    private: Vec<u8>,
}

impl SigningKeys {
    fn new() -> Self {
        let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let private = private.as_ref().to_vec();
        let pair = Ed25519KeyPair::from_pkcs8(&private).expect("the same key");
        Self { pair, private }
    }

    fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": x}]}).to_string()
    }

    fn token(&self, user: UserId, good_for: i64) -> String {
        let now = guildhall_kernel::Clock::now(&SystemClock::new()).seconds();
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: SessionId::of(Uuid::from_u128(7)).to_string(),
            jti: "j1".into(),
            iat: now - 120,
            nbf: now - 120,
            exp: now + good_for,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some("k1".into());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&self.private))
            .expect("signs")
    }
}

#[async_trait]
impl Source for SigningKeys {
    async fn keys(&self) -> Result<String, Status> {
        Ok(self.jwks())
    }

    async fn session(&self, _: UserId, _: SessionId) -> Result<(bool, u64), Status> {
        Ok((true, 0))
    }

    async fn role(&self, _: UserId, _: SpaceId) -> Result<(Option<Role>, u64), Status> {
        Ok((None, 0))
    }

    async fn roles(&self, _: UserId) -> Result<(Vec<(SpaceId, Role)>, u64), Status> {
        Ok((Vec::new(), 0))
    }

    async fn changes(&self, _: u64, _: u32) -> Result<Changes, Status> {
        Ok(Changes::default())
    }
}
