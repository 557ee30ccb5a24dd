//! One table from our error kinds to gRPC. (The one from gRPC to HTTP is in `guildhall-transcode`.)

use std::{collections::HashMap, time::Duration};

use guildhall_kernel::{Failure, FieldFault, Kind};
use guildhall_proto::error::v1::{FieldError, Problem, Reason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::error;

/// An error that also tells clients its reason. Each service's error enum is one.
pub trait Reasoned: Failure {
    /// What a client may test for.
    fn reason(&self) -> Reason;

    /// When it makes sense to try again; `None` where it makes none.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Turns an error into what the caller gets. The inside of an internal one goes to the log only.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub fn status(error: impl Reasoned) -> Status {
    let kind = error.kind();
    if kind == Kind::Internal {
        let mut causes = String::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push_str(": ");
            causes.push_str(&cause.to_string());
            source = cause.source();
        }
        error!(error = %format_args!("{error}{causes}"), "internal error");
        return refusal(
            Kind::Internal,
            Reason::Unspecified,
            "internal error",
            &[],
            None,
        );
    }
    refusal(
        kind,
        error.reason(),
        &error.to_string(),
        &error.faults(),
        error.retry_after(),
    )
}

/// Builds a status from its parts: for refusals that come from a layer, not from an error enum.
pub fn refusal(
    kind: Kind,
    reason: Reason,
    detail: &str,
    faults: &[FieldFault],
    retry_after: Option<Duration>,
) -> Status {
    let mut details = ErrorDetails::new();
    if reason != Reason::Unspecified {
        details.set_error_info(reason.as_str_name(), "guildhall", HashMap::new());
    }
    for fault in faults {
        details.add_bad_request_violation(&fault.field, &fault.description);
    }
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code(kind), detail, details)
}

/// The gRPC code of a kind.
pub const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Denied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Exists => Code::AlreadyExists,
        Kind::State => Code::FailedPrecondition,
        Kind::Aborted => Code::Aborted,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Deadline => Code::DeadlineExceeded,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}

/// The reason that a status carries; unspecified where it carries none of ours.
pub fn reason(status: &Status) -> Reason {
    let details = status.get_error_details();
    let name = details
        .error_info()
        .map(|info| info.reason.as_str())
        .unwrap_or_default();
    Reason::from_str_name(name).unwrap_or(Reason::Unspecified)
}

/// The problem that stands for a status inside a stream. `http` is the HTTP status a call would have ended with.
pub fn problem(status: &Status, http: u16, correlation_id: &str) -> Problem {
    let details = status.get_error_details();
    let errors = details.bad_request().map(|bad| &bad.field_violations);
    Problem {
        status: u32::from(http),
        code: code_name(status.code()).to_owned(),
        detail: status.message().to_owned(),
        reason: reason(status).into(),
        errors: errors
            .into_iter()
            .flatten()
            .map(|fault| FieldError {
                field: json_path(&fault.field),
                description: fault.description.clone(),
            })
            .collect(),
        correlation_id: correlation_id.to_owned(),
    }
}

/// The name of a code as the gRPC documents spell it: "NOT_FOUND".
pub const fn code_name(code: Code) -> &'static str {
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

/// A path of proto names as a path of JSON names: `user_ids[2]` becomes `userIds[2]`.
pub fn json_path(path: &str) -> String {
    let mut json = String::with_capacity(path.len());
    let mut raise = false;
    for letter in path.chars() {
        match letter {
            '_' => raise = true,
            letter if raise => {
                json.extend(letter.to_uppercase());
                raise = false;
            }
            letter => json.push(letter),
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_its_reason_and_its_fields() {
        let faults = [FieldFault::new("user_ids[2]", "no such user")];

        let status = refusal(
            Kind::Invalid,
            Reason::BadField,
            "bad request",
            &faults,
            None,
        );
        let problem = problem(&status, 400, "c1");

        assert_eq!(reason(&status), Reason::BadField);
        assert_eq!(problem.code, "INVALID_ARGUMENT");
        assert_eq!(problem.errors[0].field, "userIds[2]");
        assert_eq!(problem.correlation_id, "c1");
    }

    #[test]
    fn the_inside_of_an_internal_error_stays_inside() {
        #[derive(Debug, thiserror::Error)]
        #[error("disk on fire")]
        struct Fire;
        impl Failure for Fire {
            fn kind(&self) -> Kind {
                Kind::Internal
            }
        }
        impl Reasoned for Fire {
            fn reason(&self) -> Reason {
                Reason::StoreRefused
            }
        }

        let status = status(Fire);

        assert_eq!(
            (status.code(), status.message()),
            (Code::Internal, "internal error")
        );
    }
}
