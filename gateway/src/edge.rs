//! The way of one request, from the socket to its answer, in order: who, what, how often, all of it, go, dress the answer, note it.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use guildhall_kernel::{Clock, Ids, Kind, UserId};
use guildhall_mesh::{
    Reason,
    guard::{LARGEST, bearer, is_correlation, missing_token},
    link::CORRELATION,
    status::refusal,
    telemetry,
};
use guildhall_transcode::Transcoder;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, header::ACCEPT_ENCODING, request::Parts,
};
use metrics::{counter, histogram};
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use tracing::{Instrument as _, info};

use crate::{
    accept::Answer,
    arrival::{Arrivals, Arrived, NotArrived},
    auth::{Auth, cookies},
    cors, headers,
    limits::Limits,
    pack::pack,
    pages::Site,
    peer::{Client, Proxies, Remote},
    rest,
    rpc::Passage,
    target::{Rpcs, Target},
    wire::{Wire, no_such_rpc, plain, text},
};

/// Everything that a request meets. Shared by all connections.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) parts: Arc<EdgeParts>,
}

/// The parts of the edge, in the order in which a request meets them.
pub(crate) struct EdgeParts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) proxies: Proxies,
    pub(crate) rpcs: Rpcs,
    pub(crate) limits: Limits,
    pub(crate) auth: Auth,
    pub(crate) arrivals: Arrivals,
    /// A place for each call that is being answered.
    pub(crate) calls: Semaphore,
    pub(crate) passage: Passage,
    pub(crate) transcoder: Transcoder,
    pub(crate) site: Site,
    /// The live part's own routes.
    pub(crate) live: Router,
}

/// What is known of a request when it is noted.
#[derive(Default)]
struct Known {
    wire: Option<Wire>,
    user: Option<UserId>,
}

impl Answer for Edge {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let edge = &*self.parts;
        let began = edge.clock.uptime();
        let (mut parts, body) = request.into_parts();
        let correlation = edge.correlation(&mut parts);
        let client = edge.client(&parts);
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let accepted = parts.headers.get(ACCEPT_ENCODING).cloned();
        let listed = cors::listed(&edge.auth.origins, &parts.headers);

        let span = tracing::info_span!("request", otel.name = %format_args!("{method} {}", uri.path()), %correlation);
        telemetry::continue_trace(&parts.headers, &span);
        let mut known = Known::default();
        let served = edge.serve(&mut known, parts, body, &client, &correlation);
        // Boxed: it holds a whole call, on whichever wire.
        let mut response = Box::pin(served.instrument(span)).await;
        if known.wire == Some(Wire::Http) && method != Method::HEAD {
            response = pack(accepted, response).await;
        }

        let is_grpc = known.wire == Some(Wire::Grpc);
        let headers = response.headers_mut();
        cookies::hand_out(headers);
        if !is_grpc {
            headers::secure(headers, client.tls);
            cors::open(headers, listed);
        }
        if let Ok(id) = HeaderValue::try_from(&correlation) {
            headers.insert(CORRELATION, id);
        }

        let took = edge.clock.uptime().saturating_sub(began);
        let (status, wire) = (outcome(&response), known.wire.map_or("http", Wire::name));
        counter!("guildhall_http_requests_total", "wire" => wire, "status" => status.clone())
            .increment(1);
        histogram!("guildhall_http_seconds", "wire" => wire).record(took.as_secs_f64());
        info!(
            %method,
            path = uri.path(),
            status,
            ms = took.as_secs_f64() * 1_000.0,
            wire,
            client = %client.address,
            user = known.user.map(tracing::field::display),
            correlation,
            "request"
        );
        response
    }
}

impl EdgeParts {
    async fn serve(
        &self,
        known: &mut Known,
        mut request: Parts,
        body: Body,
        client: &Client,
        correlation: &str,
    ) -> Response<Body> {
        let wire = Wire::of(&request);
        known.wire = wire.ok();
        if let Err(refused) = self.limits.count_address(client.address) {
            return wire.unwrap_or(Wire::Http).refuse(&refused, correlation);
        }
        let wire = match wire {
            Ok(wire) => wire,
            Err(misfit) => return misfit.into_response(correlation),
        };
        if let Some(answer) = cors::preflight(&self.auth.origins, &request) {
            return answer;
        }
        let target = Target::of(&request, wire, &self.rpcs, &self.transcoder);

        let admitted = async {
            self.auth.admit(&mut request, client, wire, &target)?;
            known.user = self.auth.user(&request).await;
            let counted = known.user.filter(|_| target.counts_people());
            self.limits
                .count_call(target.rate(), client.address, counted)?;
            // No body is waited for whose call is refused anyhow.
            if target.needs_token() && bearer(&request.headers).is_none() {
                return Err(missing_token());
            }
            Ok(())
        };
        if let Err(refused) = admitted.await {
            return wire.refuse(&refused, correlation);
        }

        if target.is_client_stream() {
            return self
                .go(
                    wire,
                    &target,
                    Request::from_parts(request, body),
                    client,
                    correlation,
                )
                .await;
        }
        let arrived = match self.arrivals.whole(body, largest(wire)).await {
            Ok(arrived) => arrived,
            Err(why) => return not_arrived(why, wire, correlation),
        };
        let Ok(_place) = self.calls.try_acquire() else {
            counter!("guildhall_calls_shed_total").increment(1);
            return wire.refuse(&busy(), correlation);
        };
        // Its share of the memory is held as long as the call may hold the bytes.
        let Arrived { bytes, .. } = &arrived;
        let request = Request::from_parts(request, Body::from(bytes.clone()));
        self.go(wire, &target, request, client, correlation).await
    }

    /// Hands the request to what answers it.
    async fn go(
        &self,
        wire: Wire,
        target: &Target<'_>,
        request: Request<Body>,
        client: &Client,
        correlation: &str,
    ) -> Response<Body> {
        match target {
            Target::Rpc(_) | Target::Tools => self.passage.answer(wire, target, request).await,
            Target::Live => match self.live.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Target::Page(page) => {
                let (request, _) = request.into_parts();
                self.site.answer(*page, &request, client, correlation).await
            }
            Target::Nothing if wire != Wire::Http => wire.refuse(&no_such_rpc(), correlation),
            Target::Rest(_) | Target::Nothing => {
                rest::answer(&self.transcoder, &self.passage.clients, request).await
            }
        }
    }

    /// Names the request: by the client's own id, if it is a plain one, else by a new one. From here on it is in the headers.
    fn correlation(&self, request: &mut Parts) -> String {
        let given = text(&request.headers, CORRELATION).filter(|id| is_correlation(id));
        let correlation = given.map_or_else(|| self.ids.uuid().to_string(), str::to_owned);
        if let Ok(value) = HeaderValue::try_from(&correlation) {
            request.headers.insert(CORRELATION, value);
        }
        correlation
    }

    fn client(&self, request: &Parts) -> Client {
        let unknown = Remote {
            address: ([0, 0, 0, 0], 0).into(),
            tls: false,
        };
        let remote = request
            .extensions
            .get::<Remote>()
            .copied()
            .unwrap_or(unknown);
        let names = &self.auth.origins.own;
        self.proxies
            .client(remote, &request.headers, &request.uri, names)
    }
}

/// The largest body, in bytes: a message, and what its wire adds to it. The services count the message itself.
const fn largest(wire: Wire) -> usize {
    const FRAME: usize = 5;
    match wire {
        Wire::Http => LARGEST,
        Wire::Grpc | Wire::GrpcWeb => LARGEST + FRAME,
        Wire::GrpcWebText => (LARGEST + FRAME).div_ceil(3) * 4,
    }
}

fn busy() -> Status {
    let detail = "the hall is busy and took nothing on; come back after the time given";
    let soon = Some(Duration::from_secs(1));
    refusal(Kind::Unavailable, Reason::Busy, detail, &[], soon)
}

fn not_arrived(why: NotArrived, wire: Wire, correlation: &str) -> Response<Body> {
    let http = |status, code, detail: &str, reason| {
        if wire == Wire::Http {
            plain(status, code, detail, reason, correlation)
        } else {
            let kind = if code == Code::ResourceExhausted {
                Kind::Exhausted
            } else {
                Kind::Deadline
            };
            wire.refuse(
                &refusal(kind, reason.unwrap_or_default(), detail, &[], None),
                correlation,
            )
        }
    };
    match why {
        NotArrived::TooLarge => {
            let detail = format!("The body is longer than {LARGEST} bytes.");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            http(
                status,
                Code::ResourceExhausted,
                &detail,
                Some(Reason::TooLarge),
            )
        }
        NotArrived::Late => {
            let detail = "The body took too long to arrive.";
            let status = StatusCode::REQUEST_TIMEOUT;
            http(
                status,
                Code::DeadlineExceeded,
                detail,
                Some(Reason::Deadline),
            )
        }
        NotArrived::BrokenOff => wire.refuse(&Status::cancelled("the body broke off"), correlation),
        NotArrived::Busy => wire.refuse(&busy(), correlation),
    }
}

/// The outcome in a word: the gRPC code where there is one, else the HTTP status.
fn outcome(response: &Response<Body>) -> String {
    match Status::from_header_map(response.headers()) {
        Some(status) => guildhall_mesh::status::code_name(status.code()).to_owned(),
        None => response.status().as_str().to_owned(),
    }
}
