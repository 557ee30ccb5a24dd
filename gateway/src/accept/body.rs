//! Answers on their way out, in pieces small enough to see whether they move.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::pulse::Answering;

/// The largest piece, in bytes. An answer in one piece would be taken whole into the connection's buffers, read or not.
const PIECE: usize = 16 << 10;

/// An answer's body that tells the connection's watch whether the client takes it.
pub(super) struct Outgoing {
    body: Body,
    /// What was cut off the last frame.
    rest: Bytes,
    answering: Answering,
}

impl Outgoing {
    pub(super) fn new(body: Body, answering: Answering) -> Self {
        // Until it is asked for, the client has not made room for its first byte.
        answering.owes();
        Self {
            body,
            rest: Bytes::new(),
            answering,
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                none @ (Poll::Pending | Poll::Ready(None | Some(Err(_)))) => return none,
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = self.next(cx);
        if next.is_pending() {
            self.answering.waits();
        } else {
            self.answering.owes();
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
