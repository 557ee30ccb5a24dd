//! What can go wrong between us and the servers, and what it means for whoever asked.

use std::sync::Arc;

use scylla::errors::{DbError, ExecutionError, PagerExecutionError, RequestAttemptError};

use crate::store::StoreError;

/// One statement, or one batch, did not go through.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// A statement failed on the servers or on the way.
    #[error(transparent)]
    Statement(Arc<ExecutionError>),
    /// A long answer broke off.
    #[error(transparent)]
    Pages(Arc<PagerExecutionError>),
    /// The answer is not what the statement asks for.
    #[error("the answer cannot be read")]
    Answer(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Rows contradict each other or hold what cannot be.
    #[error("{0}")]
    Damaged(&'static str),
    /// Others changed the channel again and again while we tried.
    #[error("the channel was changed by others at every try")]
    Contended,
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        Self::Statement(Arc::new(error))
    }
}

impl From<PagerExecutionError> for Failure {
    fn from(error: PagerExecutionError) -> Self {
        Self::Pages(Arc::new(error))
    }
}

impl Failure {
    pub(super) fn answer(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Answer(Arc::new(cause))
    }

    /// Whether a batch that ended like this was certainly not made: it was never sent, or was refused before the first replica
    /// heard of it. After everything else it may have been made, now or later.
    pub(super) fn is_certain(&self) -> bool {
        match self {
            Self::Statement(error) => was_not_made(error),
            Self::Damaged(_) | Self::Contended => true,
            Self::Pages(_) | Self::Answer(_) => false,
        }
    }

    /// Whether trying again can help.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Statement(error) => !matches!(
                error.as_ref(),
                ExecutionError::BadQuery(_)
                    | ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                        DbError::SyntaxError | DbError::Invalid | DbError::Unauthorized,
                        _
                    ))
            ),
            Self::Pages(_) | Self::Contended => true,
            Self::Answer(_) | Self::Damaged(_) => false,
        }
    }

    /// What to tell whoever asked for a change that may have been made.
    pub(super) fn in_doubt(self) -> StoreError {
        StoreError::OutcomeUnknown(Box::new(self))
    }
}

fn was_not_made(error: &ExecutionError) -> bool {
    if let ExecutionError::LastAttemptError(attempt) = error {
        return was_refused(attempt);
    }
    matches!(
        error,
        ExecutionError::BadQuery(_)
            | ExecutionError::EmptyPlan
            | ExecutionError::PrepareError(_)
            | ExecutionError::ConnectionPoolError(_)
    )
}

fn was_refused(attempt: &RequestAttemptError) -> bool {
    if let RequestAttemptError::DbError(error, _) = attempt {
        return matches!(
            error,
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::AuthenticationError
                | DbError::Unauthorized
                | DbError::ConfigError
                | DbError::Unavailable { .. }
                | DbError::IsBootstrapping
                | DbError::Unprepared { .. }
        );
    }
    matches!(
        attempt,
        RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::UnableToAllocStreamId
    )
}

/// The error for a failure that changed nothing.
impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Contended => Self::Busy,
            Failure::Statement(_) | Failure::Pages(_) if failure.passes() => {
                Self::Refused(Box::new(failure))
            }
            Failure::Damaged(_)
            | Failure::Answer(_)
            | Failure::Statement(_)
            | Failure::Pages(_) => Self::Broken(Box::new(failure)),
        }
    }
}
