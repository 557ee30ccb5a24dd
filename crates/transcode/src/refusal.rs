//! What is checked before any service is asked, and the problems that come of it.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tonic::Code;

use crate::{
    accept::{self, Wire},
    body::Body,
    json,
    options::{Fault, Options},
    problem::{FieldError, Problem},
    route::{BodyRule, Route},
    router::Miss,
};

/// A request that gets a problem for an answer.
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// Headers beside the problem's own.
    pub(crate) headers: HeaderMap,
}

impl Refusal {
    pub(crate) fn into_response(self, correlation: Option<String>) -> Response<Body> {
        let mut response = self.problem.correlation_id(correlation).into_response();
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            headers: HeaderMap::new(),
        }
    }
}

/// Refuses for a fault that arose here.
pub(crate) fn refuse(
    options: &Options,
    fault: Fault,
    status: StatusCode,
    code: Code,
    detail: impl Into<String>,
) -> Refusal {
    let reason = (options.reason)(fault);
    Problem::with_status(status, code, detail)
        .reason(reason)
        .into()
}

/// Refuses a request for what stands in it.
pub(crate) fn bad_input(options: &Options, errors: Vec<FieldError>) -> Refusal {
    let detail = match errors.as_slice() {
        [only] => format!("{}: {}.", only.field, only.description),
        many => format!("{} fields of the request are wrong.", many.len()),
    };
    let mut refusal = refuse(
        options,
        Fault::BadInput,
        StatusCode::BAD_REQUEST,
        Code::InvalidArgument,
        detail,
    );
    refusal.problem.errors = errors;
    refusal
}

/// Refuses a request that has no route.
pub(crate) fn missed(options: &Options, miss: Miss) -> Refusal {
    match miss {
        Miss::NoRoute => refuse(
            options,
            Fault::NoRoute,
            StatusCode::NOT_FOUND,
            Code::NotFound,
            "There is nothing at this path.",
        ),
        Miss::BadPath => bad_input(
            options,
            vec![FieldError::new(
                "path",
                "its percent escapes are broken or not UTF-8",
            )],
        ),
        Miss::WrongMethod(allowed) => {
            let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
            let names = names.join(", ");
            let mut refusal = refuse(
                options,
                Fault::WrongMethod,
                StatusCode::METHOD_NOT_ALLOWED,
                Code::Unimplemented,
                format!("This path takes {names}."),
            );
            if let Ok(value) = HeaderValue::try_from(names) {
                refusal.headers.insert(header::ALLOW, value);
            }
            refusal
        }
    }
}

/// The form of stream that the caller gets; `None` for calls that have one answer.
pub(crate) fn wanted(
    options: &Options,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Option<Wire>, Refusal> {
    let not_acceptable = |offered: &str| {
        refuse(
            options,
            Fault::NotAcceptable,
            StatusCode::NOT_ACCEPTABLE,
            Code::InvalidArgument,
            format!("This call answers with {offered}, which the Accept header leaves out."),
        )
    };
    if route.raw_answer {
        // The type is known only when the answer is there.
        return Ok(route.rpc.is_server_streaming().then_some(Wire::Lines));
    }
    if route.rpc.is_server_streaming() {
        return match accept::wire(headers) {
            Some(wire) => Ok(Some(wire)),
            None => Err(not_acceptable("text/event-stream or application/x-ndjson")),
        };
    }
    if accept::takes_json(headers) {
        Ok(None)
    } else {
        Err(not_acceptable("application/json"))
    }
}

/// The time that the caller gives the call, cut down to the most there is.
pub(crate) fn asked_time(
    options: &Options,
    headers: &HeaderMap,
) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get("request-timeout") else {
        return Ok(None);
    };
    let seconds = value
        .to_str()
        .ok()
        .filter(|text| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
        .and_then(|text| text.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|seconds| seconds.as_millis() > 0);
    match seconds {
        Some(seconds) => Ok(Some(seconds.min(options.max_timeout))),
        None => Err(bad_input(
            options,
            vec![FieldError::new(
                "Request-Timeout",
                "expected a number of seconds above 0",
            )],
        )),
    }
}

/// Reads the body that the rule allows.
pub(crate) async fn body<B>(
    options: &Options,
    route: &Route,
    headers: &HeaderMap,
    body: B,
    limit: Duration,
) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return if route.raw_body || route.body_may_be_absent() {
            Ok(Bytes::new())
        } else if headers.contains_key(header::CONTENT_TYPE) && !accept::is_json(headers) {
            Err(unsupported(options))
        } else {
            Err(bad_input(
                options,
                vec![FieldError::new(json::WHOLE, "the body is missing")],
            ))
        };
    }
    let announced = body.size_hint().lower();
    if announced > options.max_body as u64 {
        return Err(too_large(options));
    }
    if route.body != BodyRule::None && !route.raw_body && !accept::is_json(headers) {
        return Err(unsupported(options));
    }

    let read = Limited::new(body, options.max_body).collect();
    let bytes = match tokio::time::timeout(limit, read).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(options)),
        Ok(Err(_)) => {
            let error = FieldError::new(json::WHOLE, "the body broke off");
            return Err(bad_input(options, vec![error]));
        }
        Err(_) => {
            return Err(refuse(
                options,
                Fault::Timeout,
                StatusCode::REQUEST_TIMEOUT,
                Code::DeadlineExceeded,
                "The body took too long to arrive.",
            ));
        }
    };
    if route.body == BodyRule::None && !bytes.is_empty() {
        let error = FieldError::new(json::WHOLE, "this call takes no body");
        return Err(bad_input(options, vec![error]));
    }
    Ok(bytes)
}

fn too_large(options: &Options) -> Refusal {
    refuse(
        options,
        Fault::BodyTooLarge,
        StatusCode::PAYLOAD_TOO_LARGE,
        Code::ResourceExhausted,
        format!("The body is longer than {} bytes.", options.max_body),
    )
}

fn unsupported(options: &Options) -> Refusal {
    refuse(
        options,
        Fault::UnsupportedMediaType,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::InvalidArgument,
        "The body must be application/json in UTF-8.",
    )
}
