//! Why a frame is refused or a stream ends.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::{Failure, FieldFault, Kind};
use guildhall_mesh::{
    Reason, Reasoned,
    access::Refused,
    status::{self, problem, refusal},
};
use guildhall_proto::{
    error::v1::Problem,
    live::v1::{self as pb, server_frame::Body},
};
use guildhall_transcode::problem::http_status;
use tonic::Status;

use super::frame::Frame;

/// What goes wrong on a stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiveError {
    /// A client frame breaks the order of frames.
    #[error("the first frame must be Hello")]
    Order,
    /// A client frame cannot be read.
    #[error("a frame cannot be read: {0}")]
    Unreadable(String),
    /// A client frame breaks rules of its fields.
    #[error("the frame has bad fields")]
    BadFields(Vec<FieldFault>),
    /// A client frame is too large.
    #[error("the frame is larger than {0} bytes")]
    TooLarge(usize),
    /// Nobody signed in.
    #[error("an access token is needed: none came with the request, nor in a Hello in time")]
    NoToken,
    /// The token opens nothing.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The token ran out while the stream was open.
    #[error("the access token has expired")]
    Expired,
    /// The session ended while the stream was open.
    #[error("the session has ended")]
    SessionEnded,
    /// A second Hello named somebody else.
    #[error("a stream stays with the user who opened it")]
    OtherUser,
    /// The channel is not there, or not the reader's.
    #[error("no such channel")]
    NoChannel,
    /// The reader does not read as fast as things happen.
    #[error("the reader fell too far behind")]
    SlowReader,
    /// The client says too much.
    #[error("too many frames")]
    TooFast,
    /// The user has too many streams.
    #[error("this user has too many streams open")]
    TooManyStreams,
    /// All users together have too many streams.
    #[error("the hall has too many streams open")]
    Busy,
    /// A stream that goes on from this one was opened.
    #[error("the stream goes on elsewhere")]
    Replaced,
    /// The wish names too much.
    #[error("the wish covers more than {0} channels: name some")]
    TooManyChannels(usize),
    /// The hall stops.
    #[error("the hall is restarting")]
    Restarting,
    /// Another service did not do its part.
    #[error("another part of the hall did not answer")]
    Upstream(#[from] Status),
}

impl Failure for LiveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Order
            | Self::Unreadable(_)
            | Self::BadFields(_)
            | Self::OtherUser
            | Self::TooManyChannels(_) => Kind::Invalid,
            Self::NoToken | Self::Expired | Self::SessionEnded => Kind::Unauthenticated,
            Self::Refused(refused) => refused.kind(),
            Self::NoChannel => Kind::NotFound,
            Self::TooLarge(_) | Self::SlowReader | Self::TooFast | Self::TooManyStreams => {
                Kind::Exhausted
            }
            Self::Replaced => Kind::Aborted,
            Self::Busy | Self::Restarting | Self::Upstream(_) => Kind::Unavailable,
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        if let Self::BadFields(faults) = self {
            return faults.clone();
        }
        if self.kind() == Kind::Invalid {
            return vec![FieldFault::new("frame", self.to_string())];
        }
        Vec::new()
    }
}

impl Reasoned for LiveError {
    fn reason(&self) -> Reason {
        match self {
            Self::Order | Self::Unreadable(_) | Self::OtherUser => Reason::Protocol,
            Self::BadFields(_) | Self::TooManyChannels(_) => Reason::BadField,
            Self::TooLarge(_) => Reason::TooLarge,
            Self::NoToken => Reason::TokenMissing,
            Self::Refused(refused) => refused.reason(),
            Self::Expired => Reason::TokenExpired,
            Self::SessionEnded => Reason::SessionEnded,
            Self::NoChannel => Reason::NotFound,
            Self::SlowReader => Reason::SlowReader,
            Self::TooFast | Self::TooManyStreams => Reason::RateLimited,
            Self::Busy | Self::Upstream(_) => Reason::Busy,
            Self::Replaced => Reason::Unspecified,
            Self::Restarting => Reason::Restarting,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::SlowReader | Self::Replaced => Some(Duration::from_millis(500)),
            Self::TooFast | Self::TooManyStreams | Self::Busy | Self::Upstream(_) => {
                Some(Duration::from_secs(5))
            }
            Self::Refused(refused) => refused.retry_after(),
            Self::Order
            | Self::Unreadable(_)
            | Self::BadFields(_)
            | Self::TooLarge(_)
            | Self::NoToken
            | Self::Expired
            | Self::SessionEnded
            | Self::OtherUser
            | Self::NoChannel
            | Self::TooManyChannels(_)
            | Self::Restarting => None,
        }
    }
}

impl LiveError {
    /// The status that a call ends with.
    pub(crate) fn into_status(self) -> Status {
        if let Self::Upstream(status) = self {
            return passed_on(status);
        }
        status::status(self)
    }

    /// The problem inside a stream.
    pub(crate) fn into_problem(self, correlation: &str) -> Problem {
        as_problem(&self.into_status(), correlation)
    }
}

/// The last frame of a stream, and the code that a WebSocket closes with.
#[derive(Debug, Clone)]
pub(crate) struct Bye {
    /// The frame.
    pub(crate) frame: Arc<Frame>,
    /// 4000 + status, or 1012 where the hall restarts.
    pub(crate) code: u16,
}

impl Bye {
    /// Ends a stream. `wait`: how long its reader should stay away; else the error's own hint.
    pub(crate) fn of(error: LiveError, wait: Option<Duration>, correlation: &str) -> Self {
        let restarting = matches!(error, LiveError::Restarting);
        let wait = wait.or(error.retry_after()).unwrap_or_default();
        let problem = error.into_problem(correlation);
        let status = u16::try_from(problem.status).unwrap_or(500);
        let code = if restarting { 1012 } else { 4_000 + status };
        let frame = Frame::general(Body::Bye(pb::Bye {
            problem: Some(problem),
            retry_after_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
        }));
        Self { frame, code }
    }
}

/// The problem that stands for a status.
fn as_problem(status: &Status, correlation: &str) -> Problem {
    problem(status, http_status(status.code()).as_u16(), correlation)
}

/// What another service refused is passed on; how it broke is not the client's.
fn passed_on(status: Status) -> Status {
    let broke = status::reason(&status) == Reason::Unspecified;
    if !broke {
        return status;
    }
    tracing::warn!(%status, "another service did not answer the live feed");
    let error = LiveError::Upstream(status);
    refusal(
        error.kind(),
        error.reason(),
        &error.to_string(),
        &[],
        error.retry_after(),
    )
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_stream_ends_with_the_code_of_its_status() {
        for (error, code, reason) in [
            (LiveError::SessionEnded, 4401, Reason::SessionEnded),
            (LiveError::NoToken, 4401, Reason::TokenMissing),
            (LiveError::SlowReader, 4429, Reason::SlowReader),
            (LiveError::TooFast, 4429, Reason::RateLimited),
            (LiveError::Order, 4400, Reason::Protocol),
            (LiveError::Busy, 4503, Reason::Busy),
            (LiveError::Restarting, 1012, Reason::Restarting),
        ] {
            let bye = Bye::of(error, None, "c1");

            let frame = pb::ServerFrame::decode(bye.frame.proto()).expect("decodes");
            let Some(Body::Bye(said)) = frame.body else {
                panic!("a Bye")
            };
            let problem = said.problem.expect("a problem");
            assert_eq!((bye.code, problem.reason()), (code, reason));
            assert_eq!(problem.correlation_id, "c1");
        }
    }

    #[test]
    fn a_bad_frame_names_at_least_one_field() {
        assert!(!LiveError::Order.faults().is_empty());
        assert!(LiveError::SlowReader.faults().is_empty());
    }
}
