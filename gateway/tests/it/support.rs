//! A gateway on a free port, before services that answer from a table and note what they were asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Once},
};

use guildhall_gateway::{
    Gateway, GatewaySettings, LimitSettings, Links, Listener, LiveSettings, Parts,
};
use guildhall_kernel::{SystemClock, SystemIds, UserId};
use guildhall_mesh::{
    LocalBus, Tasks,
    access::{Access, AccessSettings},
};
use uuid::Uuid;

mod services;
mod tokens;

pub(crate) use services::{Services, framed};
use tokens::SigningKeys;

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

    /// A call of Alice by gRPC.
    pub(crate) fn signed<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        let value = format!("Bearer {}", self.token).parse();
        request
            .metadata_mut()
            .insert("authorization", value.expect("a token is plain text"));
        request
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
