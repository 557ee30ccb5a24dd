//! REST: the transcoder, told about our rpcs, our errors and our headers.

use std::sync::Arc;

use axum::body::Body;
use guildhall_mesh::{
    Reason,
    guard::{LARGEST, LONGEST},
    rules::Rules,
};
use guildhall_transcode::{BuildError, Fault, Options, Resume, Transcoder};
use http::{HeaderName, Request, Response};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Status;
use tower::ServiceExt as _;

use crate::{auth::inside, clients::Clients};

/// The live feed's way to be resumed.
const WATCH: &str = "guildhall.live.v1.LiveService.Watch";

/// Reads the http rules of every public rpc.
///
/// # Errors
/// [`BuildError`] for rules that contradict one another: nothing is served then.
pub(crate) fn transcoder(
    pool: &DescriptorPool,
    rules: &Arc<Rules>,
) -> Result<Transcoder, BuildError> {
    let mut options = Options {
        max_body: LARGEST,
        timeout: LONGEST,
        max_timeout: LONGEST,
        // One spelling per value: what is refused is refused by the description too, and a null never means "leave it".
        strict: true,
        response_headers: inside::OUTWARD.map(HeaderName::from_static).to_vec(),
        reason: Arc::new(|fault| reason(fault).map(|reason| reason.as_str_name().to_owned())),
        resume: Arc::new(|rpc| {
            (rpc.full_name() == WATCH).then(|| Resume {
                request_field: "last_event_id".into(),
                response_field: "event_id".into(),
            })
        }),
        ..Options::default()
    };
    options
        .request_headers
        .extend(inside::INWARD.map(HeaderName::from_static));
    let rules = rules.clone();
    options.filter =
        Arc::new(move |rpc| rule_of(&rules, rpc).is_some_and(|rule| !rule.is_internal()));
    Transcoder::build(pool.clone(), options)
}

/// Answers a REST request by the service that has the rpc.
pub(crate) async fn answer(
    transcoder: &Transcoder,
    clients: &Clients,
    request: Request<Body>,
) -> Response<Body> {
    let clients = clients.clone();
    let call = |call: Request<tonic::body::Body>| async move {
        let link = clients.to(call.uri().path()).cloned();
        let link = link.ok_or_else(|| Status::internal("no service answers this rpc"))?;
        link.oneshot(call).await
    };
    transcoder.handle(request, call).await.map(Body::new)
}

/// The rule of an rpc.
pub(crate) fn rule_of<'r>(
    rules: &'r Rules,
    rpc: &MethodDescriptor,
) -> Option<&'r guildhall_mesh::rules::Rule> {
    rules.at(&format!(
        "/{}/{}",
        rpc.parent_service().full_name(),
        rpc.name()
    ))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list may grow, and a new fault has no reason of ours"
)]
fn reason(fault: Fault) -> Option<Reason> {
    Some(match fault {
        Fault::NoRoute => Reason::NotFound,
        Fault::BodyTooLarge => Reason::TooLarge,
        Fault::BadInput => Reason::BadField,
        Fault::Timeout => Reason::Deadline,
        // The status says it all: 405, 406, 415.
        _ => return None,
    })
}
