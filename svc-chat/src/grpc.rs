//! How chat is called: each rpc is decoded, handed to its use case, and its result encoded. No decisions.

use std::error::Error as _;

use guildhall_kernel::{Failure as _, Kind};
use tonic::{Response, Status};
use tracing::error;

use crate::error::ChatError;

mod channel;
mod convert;
mod feed;
mod message;
mod place;

pub(crate) use channel::ChannelRpcs;
pub(crate) use feed::FeedRpcs;
pub(crate) use message::MessageRpcs;
pub(crate) use place::ChannelPlaces;

type Reply<T> = Result<Response<T>, Status>;

/// Turns an error into what the caller gets. Why a part was away is for the log: the caller can only try again.
fn status(refused: ChatError) -> Status {
    if refused.kind() == Kind::Unavailable
        && let Some(cause) = refused.source()
    {
        error!(error = %refused, cause, "chat cannot answer");
    }
    guildhall_mesh::status(refused)
}
