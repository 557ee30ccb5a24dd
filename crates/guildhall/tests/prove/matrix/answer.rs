//! The answer to a call, in words that all wires share.

use bytes::Bytes;
use guildhall_mesh::status::code_name;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 200, or what the status is on HTTP.
    pub(crate) status: u16,
    /// The gRPC code's name.
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) detail: String,
    /// Whether a stream said Gone.
    pub(crate) gone: bool,
    /// What was said, where it went well and is no stream.
    pub(crate) said: Bytes,
}

impl Answer {
    pub(crate) fn ok() -> Self {
        Self {
            status: 200,
            code: String::new(),
            reason: String::new(),
            detail: String::new(),
            gone: false,
            said: Bytes::new(),
        }
    }

    pub(crate) fn saying(said: Bytes) -> Self {
        Self { said, ..Self::ok() }
    }

    /// Whether the answer names this id. Ids are texts on every wire.
    pub(crate) fn names(&self, id: &str) -> bool {
        self.said
            .windows(id.len())
            .any(|part| part == id.as_bytes())
    }

    pub(crate) fn of(status: &Status) -> Self {
        let info = status.get_details_error_info();
        Self {
            status: http_status(status.code()),
            code: code_name(status.code()).into(),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            detail: status.message().to_owned(),
            gone: false,
            said: Bytes::new(),
        }
    }

    /// Reads a problem as REST and frames show it.
    pub(crate) fn problem(status: u16, problem: &Value) -> Self {
        let text = |name: &str| {
            problem
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            status,
            code: text("code"),
            reason: text("reason"),
            detail: text("detail"),
            gone: false,
            said: Bytes::new(),
        }
    }
}

/// The status that HTTP has for a code: the proof's own account of it.
fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}
