//! Which protocol a request speaks, and how each of them is told no.

use axum::body::Body;
use guildhall_kernel::Kind;
use guildhall_mesh::{Reason, status::refusal};
use guildhall_transcode::{Problem, problem};
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
    request::Parts,
};
use tonic::{Code, Status};

/// The wires that calls come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// gRPC over HTTP/2.
    Grpc,
    /// grpc-web, in bytes.
    GrpcWeb,
    /// grpc-web, in base64.
    GrpcWebText,
    /// Everything else.
    Http,
}

impl Wire {
    /// Reads the wire from the type of the request's body.
    ///
    /// # Errors
    /// An answer, for what claims to be gRPC and cannot be.
    pub(crate) fn of(request: &Parts) -> Result<Self, Misfit> {
        let kind = request.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let Some(kind) = kind.filter(|kind| kind.starts_with(b"application/grpc")) else {
            return Ok(Self::Http);
        };
        let wire = match kind {
            b"application/grpc" | b"application/grpc+proto" => Self::Grpc,
            b"application/grpc-web" | b"application/grpc-web+proto" => Self::GrpcWeb,
            b"application/grpc-web-text" | b"application/grpc-web-text+proto" => Self::GrpcWebText,
            _ => return Err(Misfit::Encoding),
        };
        if request.method != Method::POST {
            return Err(Misfit::Method);
        }
        if wire == Self::Grpc && request.version < Version::HTTP_2 {
            return Err(Misfit::Version);
        }
        Ok(wire)
    }

    /// A name for logs and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb | Self::GrpcWebText => "grpc-web",
            Self::Http => "http",
        }
    }

    /// Says no in the words of this wire.
    pub(crate) fn refuse(self, status: &Status, correlation: &str) -> Response<Body> {
        let problem = Problem::of(status, false).correlation_id(Some(correlation.to_owned()));
        let retry_after = problem.retry_after;
        let mut response = match self {
            Self::Http => return problem.into_response().map(Body::new),
            Self::Grpc => status.clone().into_http(),
            Self::GrpcWeb => web(status, "application/grpc-web+proto"),
            Self::GrpcWebText => web(status, "application/grpc-web-text+proto"),
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A refusal of grpc-web: its trailers are its headers, so it has no body.
fn web(status: &Status, kind: &'static str) -> Response<Body> {
    let mut response: Response<Body> = status.clone().into_http();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Why something that calls itself gRPC is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Messages in another encoding than protobuf.
    Encoding,
    /// Not by POST.
    Method,
    /// Not by HTTP/2.
    Version,
}

impl Misfit {
    /// The answer; a problem, because such a client does not speak gRPC well enough to be told in it.
    pub(crate) fn into_response(self, correlation: &str) -> Response<Body> {
        let (status, detail) = match self {
            Self::Encoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "gRPC and grpc-web are spoken here with protobuf messages only.",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "gRPC calls are made by POST.",
            ),
            Self::Version => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "gRPC needs HTTP/2; over HTTP/1.1 there is grpc-web.",
            ),
        };
        let mut response = plain(status, Code::InvalidArgument, detail, None, correlation);
        if self == Self::Method {
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// A problem whose status is not the usual one of its code.
pub(crate) fn plain(
    status: StatusCode,
    code: Code,
    detail: &str,
    reason: Option<Reason>,
    correlation: &str,
) -> Response<Body> {
    let reason = reason.map(|reason| reason.as_str_name().to_owned());
    problem::response(status, code, detail, reason, Some(correlation.to_owned())).map(Body::new)
}

/// The answer for an rpc that is not there, and for one that is for other services only: no difference is told.
pub(crate) fn no_such_rpc() -> Status {
    refusal(
        Kind::Unimplemented,
        Reason::Unspecified,
        "no such rpc",
        &[],
        None,
    )
}

/// The first value of a header, if it is text.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
