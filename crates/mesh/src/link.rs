//! How one service calls another: the same type whether the other one is in this process or behind a network.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response};
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

use crate::{
    caller::{Call, Caller, Peer},
    telemetry,
};

/// The header that names a call in every log; taken from clients where it is well-formed.
pub const CORRELATION: &str = "x-request-id";

/// A way to call one service. Cheap to clone; generated clients take it as their channel.
#[derive(Clone)]
pub struct Link {
    inner: BoxCloneSyncService<Request<Body>, Response<Body>, Status>,
    from: Peer,
    on_behalf: Option<OnBehalf>,
}

#[derive(Clone)]
struct OnBehalf {
    token: Option<HeaderValue>,
    call: Call,
}

impl Link {
    /// A link from service `from` to a server in this process.
    pub fn local<S>(from: &'static str, server: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let inner = BoxCloneSyncService::new(server.map_err(|never| match never {}));
        Self {
            inner,
            from: Peer(from),
            on_behalf: None,
        }
    }

    /// The same link with the caller's token, deadline and correlation id on every call.
    pub fn on_behalf(&self, caller: &Caller) -> Self {
        let mut token = HeaderValue::try_from(format!("Bearer {}", caller.token)).ok();
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        Self {
            on_behalf: Some(OnBehalf {
                token,
                call: caller.call.clone(),
            }),
            ..self.clone()
        }
    }

    /// The same link for calls that this service makes for itself.
    pub fn as_service(&self, call: &Call) -> Self {
        Self {
            on_behalf: Some(OnBehalf {
                token: None,
                call: call.clone(),
            }),
            ..self.clone()
        }
    }

    fn dress(&self, request: &mut Request<Body>) {
        request.extensions_mut().insert(self.from);
        telemetry::pass_trace(request.headers_mut());
        let Some(OnBehalf { token, call }) = &self.on_behalf else {
            return;
        };
        if let Some(token) = token {
            request
                .headers_mut()
                .insert(http::header::AUTHORIZATION, token.clone());
        }
        if let Ok(correlation) = HeaderValue::try_from(&*call.correlation) {
            request.headers_mut().insert(CORRELATION, correlation);
        }
        request
            .headers_mut()
            .insert("grpc-timeout", timeout_header(call));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "deadlines are timers, kept by the runtime's clock"
)]
fn timeout_header(call: &Call) -> HeaderValue {
    let left = call
        .deadline
        .saturating_duration_since(tokio::time::Instant::now());
    // At most eight digits are allowed; milliseconds of a day fit.
    let millis = left.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{millis}m")).expect("digits are a header value")
}

impl Service<Request<Body>> for Link {
    type Response = Response<Body>;
    type Error = Status;
    type Future = <BoxCloneSyncService<Request<Body>, Response<Body>, Status> as Service<
        Request<Body>,
    >>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        self.dress(&mut request);
        self.inner.call(request)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("from", &self.from.0)
            .finish_non_exhaustive()
    }
}
