//! gzip for REST and pages. Never for gRPC, whose trailers and frames are not for a layer to touch, nor for streams of events, which a
//! compressor would hold back.

use std::convert::Infallible;

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{ACCEPT_ENCODING, CONTENT_TYPE},
};
use tower::{ServiceExt as _, service_fn};
use tower_http::compression::{
    Compression,
    predicate::{Predicate as _, SizeAbove},
};

/// The smallest body that is worth it, in bytes: what fits one packet costs the same either way.
const WORTH_IT: u64 = 1_400;

/// Packs an answer where the client takes that and it pays.
pub(crate) async fn pack(
    accepted: Option<HeaderValue>,
    response: Response<Body>,
) -> Response<Body> {
    let Some(accepted) = accepted else {
        return response;
    };
    let mut request = Request::new(());
    request.headers_mut().insert(ACCEPT_ENCODING, accepted);

    // The layer wants a service to ask; ours has its answer ready.
    let mut ready = Some(response);
    let service = service_fn(move |_| {
        let response = ready.take().unwrap_or_default();
        async move { Ok::<_, Infallible>(response) }
    });
    let pays = SizeAbove::new(WORTH_IT)
        .and(|_, _, headers: &HeaderMap, _: &http::Extensions| !is_stream(headers));
    let packed = Compression::new(service)
        .compress_when(pays)
        .oneshot(request)
        .await;
    match packed {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/x-ndjson")
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_ENCODING;

    use super::*;

    async fn encoding(
        accepted: Option<&'static str>,
        kind: &'static str,
        bytes: usize,
    ) -> Option<HeaderValue> {
        let mut response = Response::new(Body::from(vec![b'a'; bytes]));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let packed = pack(accepted.map(HeaderValue::from_static), response).await;
        packed.headers().get(CONTENT_ENCODING).cloned()
    }

    #[tokio::test]
    async fn large_json_is_packed_for_who_takes_it_and_streams_never() {
        assert_eq!(
            encoding(Some("gzip"), "application/json", 2_000).await,
            Some(HeaderValue::from_static("gzip"))
        );
        for (accepted, kind, bytes) in [
            (None, "application/json", 2_000),
            (Some("br"), "application/json", 2_000),
            (Some("gzip"), "application/json", 1_000),
            (Some("gzip"), "text/event-stream", 2_000),
            (Some("gzip"), "application/x-ndjson", 2_000),
        ] {
            assert_eq!(
                encoding(accepted, kind, bytes).await,
                None,
                "{accepted:?} {kind} {bytes}"
            );
        }
    }
}
