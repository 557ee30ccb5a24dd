//! Errors as the caller sees them: `application/problem+json` (RFC 9457) with the gRPC name of the error beside it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::body::{self, Body};

/// The status of a caller that went away before the answer; it has no name in the registry.
const CLIENT_CLOSED: u16 = 499;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where it stands: a JSON path such as `userIds[2]`, a header name, or `$` for the whole body.
    pub field: String,
    /// What is wrong, in words.
    pub description: String,
}

impl FieldError {
    /// Names a field and what is wrong with it.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            description: description.into(),
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Status line of the answer.
    pub status: StatusCode,
    /// The gRPC code, printed by name.
    pub code: Code,
    /// One sentence for people.
    pub detail: String,
    /// What programs decide by; printed exactly as the service gave it.
    pub reason: Option<String>,
    /// What is wrong field by field.
    pub errors: Vec<FieldError>,
    /// Finds this call again in logs.
    pub correlation_id: Option<String>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

/// The printed form; the order of the fields is the order on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'p> {
    r#type: &'static str,
    title: &'p str,
    status: u16,
    detail: &'p str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'p str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'p str>,
}

impl Problem {
    /// An error with the status that belongs to the code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::with_status(http_status(code), code, detail)
    }

    /// An error whose status is not the usual one of its code, such as 405.
    pub fn with_status(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            reason: None,
            errors: Vec::new(),
            correlation_id: None,
            retry_after: None,
        }
    }

    /// Reads a gRPC status with its details (BadRequest, ErrorInfo, RetryInfo).
    ///
    /// The text of internal errors is shown only if `show_internal`. Unavailable and its like keep their text if the
    /// service meant it for people, which it says by giving an ErrorInfo; what a transport says stays inside.
    pub fn of(status: &Status, show_internal: bool) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone());
        let hidden = !show_internal
            && match status.code() {
                Code::Unknown | Code::Internal | Code::DataLoss => true,
                Code::Unavailable | Code::DeadlineExceeded | Code::Unimplemented => {
                    reason.is_none()
                }
                _ => false,
            };
        let text = if hidden || status.message().is_empty() {
            generic(status.code())
        } else {
            status.message()
        };
        let violations = details
            .bad_request()
            .map_or(&[][..], |bad| &bad.field_violations);

        let mut problem = Self::new(status.code(), text);
        problem.reason = reason.filter(|reason| !reason.is_empty());
        problem.errors = violations
            .iter()
            .map(|violation| FieldError::new(&violation.field, &violation.description))
            .collect();
        problem.retry_after = details
            .retry_info()
            .and_then(|info| info.retry_delay)
            .map(|delay| (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1));
        problem
    }

    /// Gives the reason that programs decide by.
    pub fn reason(mut self, reason: Option<String>) -> Self {
        self.reason = reason;
        self
    }

    /// Gives the field errors.
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Gives the id under which logs know this call.
    pub fn correlation_id(mut self, id: Option<String>) -> Self {
        self.correlation_id = id;
        self
    }

    /// The JSON text, without line breaks.
    pub fn to_json(&self) -> Bytes {
        let printed = Printed {
            r#type: "about:blank",
            title: title(self.status),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: code_name(self.code),
            reason: self.reason.as_deref(),
            errors: &self.errors,
            correlation_id: self.correlation_id.as_deref(),
        };
        // Strings and numbers only: there is nothing in it that could fail to print.
        serde_json::to_vec(&printed).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
    }

    /// The whole answer, `Retry-After` included.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(body::full(self.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Answers with a problem in one call, for what a server refuses before any rpc is known.
pub fn response(
    status: StatusCode,
    code: Code,
    detail: impl Into<String>,
    reason: Option<String>,
    correlation_id: Option<String>,
) -> Response<Body> {
    Problem::with_status(status, code, detail)
        .reason(reason)
        .correlation_id(correlation_id)
        .into_response()
}

/// The HTTP status of a gRPC code.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => {
            StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::REQUEST_TIMEOUT)
        }
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The name of a gRPC code as `google.rpc.Code` spells it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        CLIENT_CLOSED => "Client Closed Request",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

/// What stands in for a text that is empty or not for the caller.
fn generic(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "The service cannot answer right now; try again soon.",
        Code::DeadlineExceeded => "The call took longer than it was given.",
        Code::Unimplemented => "This call is not implemented here.",
        Code::Unknown | Code::Internal | Code::DataLoss => "Something went wrong on our side.",
        _ => code.description(),
    }
}
