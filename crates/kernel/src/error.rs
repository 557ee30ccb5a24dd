//! The closed list of ways to fail. Each maps once to gRPC and once to HTTP (`guildhall-mesh`, `status`).

/// How a call failed, as coarse as a caller's next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request breaks a rule that holds whatever is stored. Mend it.
    Invalid,
    /// Nobody, or nobody any more. Sign in.
    Unauthenticated,
    /// Somebody, but not with this right.
    Denied,
    /// Not there, or not to be seen by this caller.
    NotFound,
    /// What should be new is there already.
    Exists,
    /// The state of things does not allow it.
    State,
    /// Somebody else was faster. Repeat from the start.
    Aborted,
    /// Too much or too often. Repeat later.
    Exhausted,
    /// A part is away. Repeat soon; the outcome may be unknown.
    Unavailable,
    /// Not done in time; the outcome is unknown.
    Deadline,
    /// No such rpc.
    Unimplemented,
    /// Our fault. The cause is in the log, never in the answer.
    Internal,
}

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field as a path of proto names: `user_ids[2]`.
    pub field: String,
    /// What is wrong with it, a sentence without its full stop.
    pub description: String,
}

impl FieldFault {
    /// A fault of one field.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            description: description.into(),
        }
    }
}

/// An error that knows what it means for a caller. Each crate's error enum is one.
pub trait Failure: std::error::Error {
    /// Picks the status.
    fn kind(&self) -> Kind;

    /// The fields at fault; for [`Kind::Invalid`] at least one.
    fn faults(&self) -> Vec<FieldFault> {
        Vec::new()
    }
}
