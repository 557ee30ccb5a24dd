//! What can go wrong in a transaction, and what it means for whoever asked.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// One request, or the whole transaction, did not go through.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The channel's numbers are used up. Found out before anything was written: the transaction goes on.
    #[error("the channel is full")]
    Full,
    /// A statement failed.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// Rows contradict each other or hold what cannot be.
    #[error("{0}")]
    Damaged(&'static str),
    /// Our code gave up.
    #[error("the engine panicked")]
    Panicked,
}

impl Failure {
    /// Whether the connection cannot be trusted any more.
    pub(super) fn spoils_connection(&self) -> bool {
        match self {
            Self::Full | Self::Damaged(_) => false,
            Self::Panicked => true,
            Self::Sql(error) => !matches!(
                error.sqlite_error_code(),
                None | Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DiskFull
                        | ErrorCode::ConstraintViolation
                        | ErrorCode::TooBig
                )
            ),
        }
    }

    /// Whether a commit that ended like this was certainly not made. A full disk refuses the write that would have made it, a
    /// lock the first one; after every other failure what is in the log may be read as a commit or not.
    pub(super) fn is_certain(&self) -> bool {
        match self {
            Self::Sql(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy)
            ),
            Self::Full | Self::Damaged(_) => true,
            Self::Panicked => false,
        }
    }
}

/// What to tell each of many who wait for one transaction. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// Nothing was changed.
    Not(Arc<Failure>),
    /// Nobody knows.
    InDoubt(Arc<Failure>),
    /// The file could not be opened again after a failure; nothing was changed.
    Away(Arc<dyn std::error::Error + Send + Sync>),
}

impl From<Verdict> for StoreError {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::InDoubt(cause) => Self::OutcomeUnknown(Box::new(cause)),
            Verdict::Away(cause) => Self::Refused(Box::new(cause)),
            Verdict::Not(cause) => refusal(&cause, || Box::new(Arc::clone(&cause))),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Verdict::Not(Arc::new(failure)).into()
    }
}

/// The error for a failure that changed nothing.
fn refusal(
    failure: &Failure,
    cause: impl FnOnce() -> Box<dyn std::error::Error + Send + Sync>,
) -> StoreError {
    let code = match failure {
        Failure::Full => return StoreError::Full,
        Failure::Damaged(_) | Failure::Panicked => return StoreError::Broken(cause()),
        Failure::Sql(error) => error.sqlite_error_code(),
    };
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory,
        ) => StoreError::Refused(cause()),
        _ => StoreError::Broken(cause()),
    }
}
