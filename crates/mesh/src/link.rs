//! How one service calls another: the same type whether the other one is in this process or behind a network.
//!
//! In reading order: [`settings`](LinkSettings) is where the others are; [`Identity`] is who this process is to them, by `names` and
//! `verify`; `server` lets others call the services of this process; `remote` is the way to them.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use guildhall_kernel::{Clock, Ids};

use http::{HeaderValue, Request, Response};
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

use crate::{
    caller::{Call, Caller, Peer},
    config::BadSettings,
    rules::Rules,
    tasks::Tasks,
    telemetry,
};

mod exec;
mod held;
mod identity;
mod names;
mod remote;
mod server;
mod settings;
mod verify;

pub use identity::Identity;
pub use names::NAMES_BEGIN;
pub use server::{Served, serve_links};
pub use settings::LinkSettings;

/// The header that names a call in every log; taken from clients where it is well-formed.
pub const CORRELATION: &str = "x-request-id";

/// The largest head of a request or an answer between processes, in decoded bytes: more than the gateway lets in, and room for a refusal
/// that names every field.
const HEAD: u32 = 128 << 10;

/// A way to call one service. Cheap to clone; generated clients take it as their channel.
#[derive(Clone)]
pub struct Link {
    inner: BoxCloneSyncService<Request<Body>, Response<Body>, Status>,
    from: Peer,
    on_behalf: Option<OnBehalf>,
}

/// What a link to another process needs.
#[derive(Clone)]
pub struct RemoteParts {
    /// Who we are.
    pub identity: Identity,
    /// The rules of all rpcs: which may be repeated, and what they are about.
    pub rules: Arc<Rules>,
    /// For measuring what is left out and for how long, and for judging certificates.
    pub clock: Arc<dyn Clock>,
    /// For choosing.
    pub ids: Arc<dyn Ids>,
    /// What runs the connections.
    pub tasks: Tasks,
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
            from: Peer::local(from),
            on_behalf: None,
        }
    }

    /// A link from service `from` to service `to` in other processes, which the settings say where to find. Connects when it is used.
    ///
    /// # Errors
    /// [`BadSettings`] where the settings do not name the service, or the certificate is not for `from`.
    pub fn remote(
        from: &'static str,
        to: &'static str,
        settings: &LinkSettings,
        parts: RemoteParts,
    ) -> Result<Self, BadSettings> {
        let remote = remote::Remote::new(from, to, settings, parts)?;
        Ok(Self {
            inner: BoxCloneSyncService::new(remote),
            from: Peer::local(from),
            on_behalf: None,
        })
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
        request.extensions_mut().insert(self.from.clone());
        telemetry::pass_trace(request.headers_mut());
        let Some(OnBehalf { token, call }) = &self.on_behalf else {
            return;
        };
        request.extensions_mut().insert(call.clone());
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
    let now = tokio::time::Instant::now();
    timeout_of(call.deadline.saturating_duration_since(now))
}

fn timeout_of(left: std::time::Duration) -> HeaderValue {
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
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}
