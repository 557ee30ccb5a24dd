//! A body that keeps something until it is done: a place among the calls at work, a connection.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body, and what is dropped once the body has ended or is dropped itself.
pub(super) struct Held<B, K> {
    body: B,
    kept: Option<K>,
}

impl<B, K> Held<B, K> {
    pub(super) fn new(body: B, kept: K) -> Self {
        Self {
            body,
            kept: Some(kept),
        }
    }
}

impl<B, K> Body for Held<B, K>
where
    B: Body<Data = Bytes> + Unpin,
    K: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.as_ref().is_none_or(Result::is_err) {
            self.kept = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
