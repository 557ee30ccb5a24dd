//! Why nothing opens.

use std::time::Duration;

use guildhall_kernel::{Failure, Kind};
use tonic::Status;

use crate::{Reason, Reasoned, token::BadToken};

/// When to ask again after nobody could say.
const RETRY: Duration = Duration::from_secs(2);

/// Why a token does not open anything.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The token itself.
    #[error(transparent)]
    Bad(BadToken),
    /// Its session.
    #[error("the session has ended")]
    SessionEnded,
    /// Nobody can say.
    #[error("rights cannot be checked just now")]
    Unknown(#[source] Status),
}

impl Failure for Refused {
    fn kind(&self) -> Kind {
        match self {
            Self::Bad(_) | Self::SessionEnded => Kind::Unauthenticated,
            Self::Unknown(_) => Kind::Unavailable,
        }
    }
}

impl Reasoned for Refused {
    fn reason(&self) -> Reason {
        match self {
            Self::Bad(BadToken::Expired) => Reason::TokenExpired,
            Self::Bad(_) => Reason::TokenInvalid,
            Self::SessionEnded => Reason::SessionEnded,
            Self::Unknown(_) => Reason::Busy,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Unknown(_)).then_some(RETRY)
    }
}
