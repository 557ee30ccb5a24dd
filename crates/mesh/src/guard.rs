//! The one stack that every call passes, whatever transport it came by and whether it crosses a network or not. In order:
//! telemetry, deadline, authentication, size, rules of the fields, authorization. Then the handler.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use guildhall_kernel::{Clock, FieldFault, Ids, Kind, SpaceId};
use guildhall_proto::options::v1::Place;
use http::{HeaderMap, Request, Response, request::Parts};
use metrics::histogram;
use prost_protovalidate::Validator;
use tonic::{Status, body::Body, service::Routes};
use tower::Service;
use tracing::Instrument as _;

use crate::{
    Call, Caller, Peer, Reason, Standing,
    access::Access,
    link::CORRELATION,
    rules::{self, Rule, Rules},
    status::{code_name, refusal, status},
    telemetry,
};

mod faults;
mod message;
mod refusals;

pub use faults::faults;
pub(crate) use refusals::{late, services_only};

use message::Received;

/// The longest that a call may take, and what it gets where it does not say.
pub const LONGEST: Duration = Duration::from_secs(30);
/// The largest request, in bytes.
pub const LARGEST: usize = 1 << 20;

/// Leads from what a request names to the space that decides.
#[async_trait]
pub trait Places: Send + Sync + 'static {
    /// The space that a thing belongs to; `None` where there is no such thing. Things that were deleted still belong to theirs: what
    /// that means is the use case's.
    async fn space_of(&self, place: Place, id: &str) -> Result<Option<SpaceId>, Status>;
}

/// For services whose requests name nothing but spaces.
#[derive(Debug, Clone, Copy)]
pub struct SpacesOnly;

#[async_trait]
impl Places for SpacesOnly {
    async fn space_of(&self, place: Place, id: &str) -> Result<Option<SpaceId>, Status> {
        Ok((place == Place::Space)
            .then(|| SpaceId::parse(id).ok())
            .flatten())
    }
}

/// What the stack needs.
#[derive(Clone)]
pub struct Guard {
    /// The rules of all rpcs.
    pub rules: Arc<Rules>,
    /// Who is who, and may what.
    pub access: Access,
    /// Where things belong.
    pub places: Arc<dyn Places>,
    /// For measuring.
    pub clock: Arc<dyn Clock>,
    /// For correlation ids.
    pub ids: Arc<dyn Ids>,
}

impl Guard {
    /// Puts the stack before the servers in `routes`.
    pub fn before(self, routes: Routes) -> Guarded {
        Guarded {
            shared: Arc::new(Shared { guard: self }),
            routes: routes.prepare(),
        }
    }
}

/// Servers behind the stack.
#[derive(Clone)]
pub struct Guarded {
    shared: Arc<Shared>,
    routes: Routes,
}

struct Shared {
    guard: Guard,
}

/// Checks the rules of fields. One for all guards of a process: it brings a descriptor pool of its own, of megabytes.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::new);

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

impl Guarded {
    async fn answer(self, mut request: Request<Body>) -> Response<Body> {
        let shared = self.shared.clone();
        let guard = &shared.guard;
        let Some(rule) = guard.rules.at(request.uri().path()) else {
            return refusal(
                Kind::Unimplemented,
                Reason::Unspecified,
                "no such rpc",
                &[],
                None,
            )
            .into_http();
        };
        let call = incoming(request.headers(), guard.ids.as_ref());
        let span = tracing::info_span!(
            "rpc",
            otel.name = %format_args!("{}/{}", rule.service, rule.name),
            correlation = %call.correlation
        );
        telemetry::continue_trace(request.headers(), &span);
        request.extensions_mut().insert(call.clone());
        let began = guard.clock.uptime();

        // The handler of a call that takes too long is dropped where it waits. Streams live on once they have begun.
        let handled = self.handle(rule, &call, request).instrument(span);
        let answer = match tokio::time::timeout_at(call.deadline, handled).await {
            Ok(answer) => answer.unwrap_or_else(Status::into_http),
            Err(_) => late().into_http(),
        };

        let took = guard.clock.uptime().saturating_sub(began);
        histogram!("guildhall_rpc_seconds", "service" => rule.service.clone(), "rpc" => rule.name.clone(), "code" => code_of(&answer))
            .record(took.as_secs_f64());
        answer
    }

    async fn handle(
        mut self,
        rule: &Rule,
        call: &Call,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let shared = self.shared.clone();
        let (parts, body) = request.into_parts();
        let mut caller = shared.authenticate(rule, call, &parts).await?;
        let body = if rule.client_streaming {
            body
        } else {
            let received = Received::read(body, &rule.input, LARGEST).await?;
            received.check(&VALIDATOR)?;
            shared.authorize(rule, &mut caller, &received).await?;
            received.into_body()
        };
        let mut request = Request::from_parts(parts, body);
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let answered = self.routes.call(request).await;
        answered.map_err(|never| match never {})
    }
}

impl Shared {
    /// Finds out who calls. Public rpcs are open to anybody, also to who comes with a token that is worth nothing.
    async fn authenticate(
        &self,
        rule: &Rule,
        call: &Call,
        request: &Parts,
    ) -> Result<Option<Caller>, Status> {
        let is_public = matches!(rule.who, rules::Caller::Public);
        if let rules::Caller::Service(callers) = &rule.who {
            let peer = request.extensions.get::<Peer>();
            return if peer.is_some_and(|peer| peer.is_one_of(callers)) {
                Ok(None)
            } else {
                Err(services_only())
            };
        }
        let Some(token) = bearer(&request.headers) else {
            return if is_public {
                Ok(None)
            } else {
                Err(missing_token())
            };
        };
        match self.guard.access.verify(token).await {
            Ok(verified) => Ok(Some(Caller {
                user: verified.user,
                session: verified.session,
                expires_at: verified.expires_at,
                token: token.into(),
                standing: None,
                call: call.clone(),
            })),
            Err(_) if is_public => Ok(None),
            Err(refused) => Err(status(refused)),
        }
    }

    /// Judges whether the caller may call with this request.
    async fn authorize(
        &self,
        rule: &Rule,
        caller: &mut Option<Caller>,
        received: &Received,
    ) -> Result<(), Status> {
        let (at_least, field, place) = match &rule.who {
            rules::Caller::Public | rules::Caller::SignedIn | rules::Caller::Service(_) => {
                return Ok(());
            }
            rules::Caller::Admin => {
                return Err(refusal(
                    Kind::Denied,
                    Reason::RoleTooLow,
                    "only administrators may do this",
                    &[],
                    None,
                ));
            }
            rules::Caller::InSpace {
                at_least,
                field,
                place,
            } => (*at_least, field, *place),
        };
        let caller = caller.as_mut().ok_or_else(missing_token)?;
        let id = received.text(field);
        let space = self
            .guard
            .places
            .space_of(place, &id)
            .await?
            .ok_or_else(|| not_found(place))?;
        let role = self
            .guard
            .access
            .role(caller.user, space)
            .await
            .map_err(status)?;
        #[cfg(feature = "sabotage")]
        let role = if rule.open {
            Some(guildhall_kernel::Role::Owner)
        } else {
            role
        };
        let role = role.ok_or_else(|| not_found(place))?;
        if role < at_least {
            let detail = "your role in the space is too low for this";
            return Err(refusal(Kind::Denied, Reason::RoleTooLow, detail, &[], None));
        }
        caller.standing = Some(Standing { space, role });
        Ok(())
    }
}

/// The answer for what is not there and for what is not the caller's: the same words.
pub fn not_found(place: Place) -> Status {
    let detail = match place {
        Place::Unspecified => "not found",
        Place::Space => "no such space",
        Place::Channel => "no such channel",
    };
    refusal(Kind::NotFound, Reason::NotFound, detail, &[], None)
}

/// The answer for a request with a bad field.
pub fn bad_field(field: &str, description: &str) -> Status {
    let fault = FieldFault::new(field, description);
    refusal(
        Kind::Invalid,
        Reason::BadField,
        "the request has a bad field",
        &[fault],
        None,
    )
}

/// The answer to a call without a token where one is needed.
pub fn missing_token() -> Status {
    refusal(
        Kind::Unauthenticated,
        Reason::TokenMissing,
        "an access token is needed",
        &[],
        None,
    )
}

/// The token in a request's headers.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What came along with a request: its correlation id, or a new one, and its deadline within what we grant.
fn incoming(headers: &HeaderMap, ids: &dyn Ids) -> Call {
    let given = headers
        .get(CORRELATION)
        .and_then(|value| value.to_str().ok());
    let correlation = match given {
        Some(text) if is_correlation(text) => text.to_owned(),
        _ => ids.uuid().to_string(),
    };
    let wished = headers
        .get("grpc-timeout")
        .and_then(|value| parse_timeout(value.to_str().ok()?));
    Call::own(&correlation, wished.unwrap_or(LONGEST).min(LONGEST))
}

/// Whether a client's text may name a call in our logs.
pub fn is_correlation(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Reads a `grpc-timeout`: up to eight digits and a unit.
pub(crate) fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

fn code_of(answer: &Response<Body>) -> &'static str {
    // Errors are trailers-only, so their status stands in the headers; an answer without one went well.
    Status::from_header_map(answer.headers()).map_or("OK", |status| code_name(status.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_in_every_unit_and_nothing_else() {
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("1H"), Some(Duration::from_secs(3_600)));
        for text in ["", "S", "5", "-5S", "5s", "123456789S", "5Ü"] {
            assert_eq!(parse_timeout(text), None, "{text}");
        }
    }

    #[test]
    fn a_correlation_id_from_a_client_is_plain_or_not_taken() {
        assert!(is_correlation("abc-1_2"));
        assert!(!is_correlation("a b") && !is_correlation("") && !is_correlation(&"x".repeat(65)));
    }
}
