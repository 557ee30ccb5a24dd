//! Streamed answers: events -> `text/event-stream` or `application/x-ndjson`.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time::{Interval, MissedTickBehavior};
use tonic::Status;

use crate::{accept::Wire, body::Body, problem::Problem};

/// Messages that are ready together go out together, up to about this many bytes.
const CHUNK: usize = 32 << 10;

/// One message of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The position that a reader comes back with; printed in event streams only.
    pub id: Option<String>,
    /// The JSON text, in one line. `None`: the position moves, nothing else happens.
    pub data: Option<Bytes>,
}

/// A stream whose events are printed already.
///
/// A backend in the same process may put it into the extensions of its answer when the request carries a [`Wire`]; the
/// answer's own body is then not read. So one text serves many readers.
#[derive(Clone)]
pub struct Encoded(Arc<Mutex<Option<Events>>>);

/// Events until the first error or the end.
pub(crate) type Events = BoxStream<'static, Result<Event, Status>>;

impl Encoded {
    /// Wraps a stream of printed events.
    pub fn new(events: impl Stream<Item = Result<Event, Status>> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(events.boxed()))))
    }

    pub(crate) fn take(&self) -> Option<Events> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoded")
    }
}

/// How event streams breathe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulse {
    pub(crate) heartbeat: Duration,
    pub(crate) retry: Duration,
}

/// Answers with a stream. `report` turns the error that ends it into a problem.
pub(crate) fn response(
    events: Events,
    wire: Wire,
    pulse: Pulse,
    report: impl Fn(&Status) -> Problem + Send + Unpin + 'static,
) -> Response<Body> {
    let mut heartbeat = tokio::time::interval(pulse.heartbeat.max(Duration::from_millis(1)));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.reset();
    let mut greeting = BytesMut::new();
    if wire == Wire::EventStream {
        greeting.put_slice(format!("retry: {}\n\n", pulse.retry.as_millis()).as_bytes());
    }
    let text = Text {
        events: Some(events),
        wire,
        waiting: greeting,
        heartbeat,
        report,
    };

    let mut response = Response::new(text.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(wire.media_type()),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The body of a streamed answer. Dropping it drops the stream, which tells the backend that nobody reads any more.
struct Text<R> {
    /// `None` once it has ended.
    events: Option<Events>,
    wire: Wire,
    waiting: BytesMut,
    heartbeat: Interval,
    report: R,
}

impl<R: Fn(&Status) -> Problem> Text<R> {
    fn write(&mut self, event: &Event) {
        match self.wire {
            Wire::Lines => {
                if let Some(data) = &event.data {
                    self.waiting.put_slice(data);
                    self.waiting.put_u8(b'\n');
                }
            }
            Wire::EventStream => {
                // An id that breaks the line would let its author write events of its own.
                let id = event
                    .id
                    .as_deref()
                    .filter(|id| !id.contains(['\n', '\r', '\0']));
                if let Some(id) = id {
                    self.line(b"id: ", id.as_bytes());
                }
                if let Some(data) = &event.data {
                    self.line(b"data: ", data);
                }
                if id.is_some() || event.data.is_some() {
                    self.waiting.put_u8(b'\n');
                }
            }
        }
    }

    fn write_error(&mut self, status: &Status) {
        let problem = (self.report)(status).to_json();
        match self.wire {
            Wire::Lines => {
                self.waiting.put_slice(b"{\"error\":");
                self.waiting.put_slice(&problem);
                self.waiting.put_slice(b"}\n");
            }
            Wire::EventStream => {
                self.line(b"event: ", b"error");
                self.line(b"data: ", &problem);
                self.waiting.put_u8(b'\n');
            }
        }
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.waiting.put_slice(name);
        self.waiting.put_slice(value);
        self.waiting.put_u8(b'\n');
    }
}

impl<R: Fn(&Status) -> Problem + Unpin> http_body::Body for Text<R> {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        while let Some(events) = &mut this.events
            && this.waiting.len() < CHUNK
        {
            match events.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(event))) => this.write(&event),
                Poll::Ready(Some(Err(status))) => {
                    this.events = None;
                    this.write_error(&status);
                }
                Poll::Ready(None) => this.events = None,
                Poll::Pending => break,
            }
        }
        if !this.waiting.is_empty() {
            this.heartbeat.reset();
            return Poll::Ready(Some(Ok(Frame::data(this.waiting.split().freeze()))));
        }
        if this.events.is_none() {
            return Poll::Ready(None);
        }
        if this.wire == Wire::EventStream && this.heartbeat.poll_tick(cx).is_ready() {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))));
        }
        Poll::Pending
    }
}
