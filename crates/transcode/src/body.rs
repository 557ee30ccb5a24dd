//! The body type of answers.

use std::error::Error;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use tonic::Status;

/// The body of an answer. Streams of JSON say in their last event what went wrong; only a raw download that breaks off
/// ends in an error, so that nobody takes half a file for a whole one.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(Into::into).boxed_unsync()
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(Into::into).boxed_unsync()
}

/// Sends chunks as they come.
pub(crate) fn chunks(
    first: Bytes,
    rest: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Body {
    let all = stream::iter([Ok(first)]).chain(rest);
    StreamBody::new(all.map(|chunk| chunk.map(Frame::data).map_err(Into::into))).boxed_unsync()
}
