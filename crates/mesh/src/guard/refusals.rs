//! What a caller hears from this stack and from links alike.

use std::time::Duration;

use guildhall_kernel::Kind;
use tonic::Status;

use crate::{Reason, status::refusal};

/// The answer to whoever is not one of the services that may call.
pub(crate) fn services_only() -> Status {
    refusal(
        Kind::Denied,
        Reason::ServicesOnly,
        "only other services may call this",
        &[],
        None,
    )
}

/// The answer where the time of a call is over.
pub(crate) fn late() -> Status {
    let detail = "the call was not done in its time; its outcome is unknown";
    refusal(
        Kind::Deadline,
        Reason::Deadline,
        detail,
        &[],
        Some(Duration::from_secs(1)),
    )
}
