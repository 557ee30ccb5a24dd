//! Every way in which chat says no.

use std::time::Duration;

use guildhall_kernel::{Failure, FieldFault, Kind};
use guildhall_mesh::{Reason, Reasoned, access::Refused};
use tonic::Status;

use crate::store::StoreError;

/// How long to wait before a call that found a part away is worth repeating.
const SOON: Duration = Duration::from_secs(1);

/// A call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The space is not there any more.
    #[error("no such space")]
    NoSuchSpace,
    /// The channel is not there, or was deleted; in the words for what is not the caller's.
    #[error("no such channel")]
    NoSuchChannel,
    /// The message is not in this channel.
    #[error("no such message")]
    NoSuchMessage,
    /// Fields break a rule.
    #[error("the request has bad fields")]
    Fields(Vec<FieldFault>),
    /// Another channel of the space has this name.
    #[error("a channel of the space has this name")]
    NameTaken,
    /// The channel that the caller's key made was deleted since.
    #[error("the channel was deleted")]
    ChannelDeleted,
    /// Direct conversations keep their shape.
    #[error("a direct conversation keeps its people and its shape")]
    DirectIsFixed,
    /// Somebody else wrote the message.
    #[error("only the author may do this")]
    NotAuthor,
    /// The message was deleted.
    #[error("the message was deleted")]
    MessageDeleted,
    /// There is no list of changes from that position.
    #[error("the position lies too far back or belongs to another epoch: load the newest page")]
    TooFarBack,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody can say who is where.
    #[error(transparent)]
    Rights(#[from] Refused),
    /// Auth did not answer.
    #[error("a part of the hall does not answer just now")]
    AuthAway(#[source] Status),
    /// Auth refused what it should not refuse: our fault.
    #[error("auth refused a call of chat")]
    AuthRefused(#[source] Status),
}

impl ChatError {
    /// One field is bad.
    pub fn field(field: impl Into<String>, wrong: impl std::fmt::Display) -> Self {
        Self::Fields(vec![FieldFault::new(field, wrong.to_string())])
    }
}

impl Failure for ChatError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchSpace | Self::NoSuchChannel | Self::NoSuchMessage => Kind::NotFound,
            Self::Fields(_) => Kind::Invalid,
            Self::NameTaken => Kind::Exists,
            Self::ChannelDeleted
            | Self::DirectIsFixed
            | Self::MessageDeleted
            | Self::TooFarBack => Kind::State,
            Self::NotAuthor => Kind::Denied,
            Self::Store(error) => match error {
                StoreError::Full => Kind::State,
                StoreError::Busy => Kind::Exhausted,
                StoreError::Closed | StoreError::OutcomeUnknown(_) | StoreError::Refused(_) => {
                    Kind::Unavailable
                }
                StoreError::Broken(_) => Kind::Internal,
            },
            Self::Rights(refused) => refused.kind(),
            Self::AuthAway(_) => Kind::Unavailable,
            Self::AuthRefused(_) => Kind::Internal,
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        let field = match self {
            Self::Fields(faults) => return faults.clone(),
            Self::NameTaken => "name",
            Self::NoSuchSpace
            | Self::NoSuchChannel
            | Self::NoSuchMessage
            | Self::ChannelDeleted
            | Self::DirectIsFixed
            | Self::NotAuthor
            | Self::MessageDeleted
            | Self::TooFarBack
            | Self::Store(_)
            | Self::Rights(_)
            | Self::AuthAway(_)
            | Self::AuthRefused(_) => return Vec::new(),
        };
        vec![FieldFault::new(field, self.to_string())]
    }
}

impl Reasoned for ChatError {
    fn reason(&self) -> Reason {
        match self {
            Self::NoSuchSpace | Self::NoSuchChannel | Self::NoSuchMessage => Reason::NotFound,
            Self::Fields(_) => Reason::BadField,
            Self::NameTaken => Reason::ChannelNameTaken,
            Self::ChannelDeleted => Reason::ChannelDeleted,
            Self::DirectIsFixed => Reason::DirectIsFixed,
            Self::NotAuthor => Reason::NotAuthor,
            Self::MessageDeleted => Reason::MessageDeleted,
            Self::TooFarBack => Reason::TooFarBack,
            Self::Store(error) => match error {
                StoreError::Busy => Reason::Busy,
                StoreError::Full => Reason::ChannelFull,
                StoreError::Closed => Reason::Restarting,
                StoreError::OutcomeUnknown(_) => Reason::OutcomeUnknown,
                StoreError::Refused(_) => Reason::StoreRefused,
                StoreError::Broken(_) => Reason::Unspecified,
            },
            Self::Rights(refused) => refused.reason(),
            Self::AuthAway(_) => Reason::Busy,
            Self::AuthRefused(_) => Reason::Unspecified,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self.kind(), Kind::Exhausted | Kind::Unavailable).then_some(SOON)
    }
}

#[cfg(test)]
mod tests {
    use guildhall_mesh::{
        guard::not_found,
        status::{reason, status},
    };
    use guildhall_proto::options::v1::Place;

    use super::*;

    #[test]
    fn what_was_deleted_is_refused_in_the_words_for_what_is_not_yours() {
        for (error, place) in [
            (ChatError::NoSuchChannel, Place::Channel),
            (ChatError::NoSuchSpace, Place::Space),
        ] {
            let (ours, layers) = (status(error), not_found(place));

            assert_eq!(
                (ours.code(), ours.message()),
                (layers.code(), layers.message())
            );
            assert_eq!(ours.details(), layers.details());
        }
    }

    #[test]
    fn a_full_queue_says_when_to_come_back_and_a_full_channel_does_not() {
        let busy = ChatError::from(StoreError::Busy);
        let full = ChatError::from(StoreError::Full);

        assert_eq!(
            (busy.kind(), busy.retry_after()),
            (Kind::Exhausted, Some(SOON))
        );
        assert_eq!((full.kind(), full.retry_after()), (Kind::State, None));
        let busy = status(busy);
        assert_eq!(
            (busy.code(), reason(&busy)),
            (tonic::Code::ResourceExhausted, Reason::Busy)
        );
    }
}
