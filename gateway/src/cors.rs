//! Pages of other sites: only those on the list, one by one, never a wild card.

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
    request::Parts,
};

use crate::auth::origin::Origins;

/// What such a page may send.
const SENT: &str = "authorization, content-type, accept-language, idempotency-key, last-event-id, request-timeout, grpc-timeout, \
                    x-csrf-token, x-grpc-web, x-request-id, x-user-agent";
/// What it may read beside the usual.
const READ: &str = "grpc-status, grpc-message, grpc-status-details-bin, retry-after, x-request-id";
/// What it may do.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// How long a browser may remember that, in seconds.
const REMEMBERED: &str = "7200";

/// Answers a browser that asks before it calls; `None` for every other request.
pub(crate) fn preflight(origins: &Origins, request: &Parts) -> Option<Response<Body>> {
    let asks = request.method == Method::OPTIONS
        && request.headers.contains_key(ORIGIN)
        && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if listed(origins, &request.headers).is_some() {
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        );
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
    }
    Some(response)
}

/// The listed origin that a request comes from.
pub(crate) fn listed(origins: &Origins, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    origins.lists(origin.to_str().ok()?).then(|| origin.clone())
}

/// Lets a listed page read the answer. Answers differ by origin, so caches are told.
pub(crate) fn open(headers: &mut HeaderMap, listed: Option<HeaderValue>) {
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = listed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(READ),
        );
    }
}
