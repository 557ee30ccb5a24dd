//! How facts travel: a doorbell, never the record. Whoever must not miss one reads the record (`outbox`, a channel's changes).

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use guildhall_kernel::{EventId, Time};
use prost::{Message, Name};

mod local;

pub use local::LocalBus;

/// A told fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Names the fact; a repeat carries the same.
    pub id: EventId,
    /// `<package>.<scope>.<Event>`.
    pub subject: Arc<str>,
    /// The event's message, encoded.
    pub payload: Bytes,
    /// When it became a fact.
    pub at: Time,
}

impl Note {
    /// Tells `event` about `scope` (the channel, else the space or account). The subject comes from the schema.
    pub fn of<M: Message + Name>(
        id: EventId,
        at: Time,
        scope: impl fmt::Display,
        event: &M,
    ) -> Self {
        Self {
            id,
            subject: subject::<M>(scope).into(),
            payload: event.encode_to_vec().into(),
            at,
        }
    }

    /// The event's name: "MessagePosted".
    pub fn event(&self) -> &str {
        self.subject.rsplit('.').next().unwrap_or_default()
    }

    /// Reads the event if it is an `M`; `None` where it is another one.
    ///
    /// # Errors
    /// The decoder's, where the payload is damaged.
    pub fn read<M: Message + Name + Default>(&self) -> Option<Result<M, prost::DecodeError>> {
        let package = self.subject.starts_with(M::PACKAGE);
        (package && self.event() == M::NAME).then(|| M::decode(self.payload.clone()))
    }
}

/// The subject of event `M` about a scope; `*` for any scope.
pub fn subject<M: Name>(scope: impl fmt::Display) -> String {
    format!("{}.{scope}.{}", M::PACKAGE, M::NAME)
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A fact.
    Note(Note),
    /// Facts were lost on the way to this listener, its queue was full: read the record.
    Lagged,
}

/// The bus did not take the note.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The bus cannot be reached; the note stays in its outbox.
    #[error("the bus cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bus stops.
    #[error("the bus is closed")]
    Closed,
}

/// Carries notes to whoever listens now. Best effort: a note may come twice, and one may be lost, never two of one subject in the
/// wrong order.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Sends a note. Never waits for a listener.
    async fn send(&self, note: Note) -> Result<(), BusError>;

    /// Hears notes from when it returns until the listener is dropped. In `pattern` a `*` stands for one part of a subject.
    /// Up to `room` notes wait; when more come, they are lost and the listener hears [`Heard::Lagged`] once.
    async fn listen(&self, pattern: &str, room: usize) -> Result<Listener, BusError>;
}

/// One subscription; dropping it ends it.
pub struct Listener {
    queue: tokio::sync::mpsc::Receiver<Note>,
    lagged: Arc<std::sync::atomic::AtomicBool>,
    // Ends the subscription on the bus's side.
    _end: Box<dyn std::any::Any + Send + Sync>,
}

impl Listener {
    /// The next thing heard; `None` once the bus is closed.
    pub async fn next(&mut self) -> Option<Heard> {
        // What was queued before the loss is heard before it.
        match self.queue.try_recv() {
            Ok(note) => return Some(Heard::Note(note)),
            Err(_) if self.lagged.swap(false, std::sync::atomic::Ordering::AcqRel) => {
                return Some(Heard::Lagged);
            }
            Err(_) => {}
        }
        self.queue.recv().await.map(Heard::Note)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}
