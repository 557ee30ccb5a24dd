//! How facts travel: a doorbell, never the record. Whoever must not miss one reads the record (`outbox`, a channel's changes).
//!
//! [`Bus`] says what every bus promises. [`LocalBus`] keeps it inside one process, [`NatsBus`] between processes.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use guildhall_kernel::{EventId, Time};
use prost::{Message, Name};
use tokio::sync::{Notify, mpsc, watch};

mod local;
mod nats;

pub use local::LocalBus;
pub use nats::{NatsBus, NatsFault, NatsSettings};

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
    /// Facts were lost on the way to this listener, or may have been: its queue was full, or the bus was away. Read the record.
    Lagged,
}

/// The bus did not take the note.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The bus cannot be reached, or did not answer in time and may have taken the note; it stays in its outbox.
    #[error("the bus cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bus takes no such note: trying again does not mend it.
    #[error("the bus refuses the note")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bus stops.
    #[error("the bus is closed")]
    Closed,
}

/// Carries notes to whoever listens now. Best effort: a note may come twice, and one may be lost, never two of one subject in the
/// wrong order.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Sends a note. Never waits for a listener; ends within the bus's deadline.
    ///
    /// Two notes of one subject are heard in their order where the second was sent after the first had been taken.
    async fn send(&self, note: Note) -> Result<(), BusError>;

    /// Hears notes from when it returns until the listener is dropped. In `pattern` a `*` stands for one part of a subject.
    /// Up to `room` notes wait; when more come, they are lost and the listener hears [`Heard::Lagged`] once.
    async fn listen(&self, pattern: &str, room: usize) -> Result<Listener, BusError>;

    /// Says something in passing about a topic (`typing.<channel>`): to whoever overhears it now, in this process too. It is kept
    /// nowhere, heard once or never, and nobody is told of a loss. Never waits for anybody.
    async fn whisper(&self, topic: &str, words: Bytes) -> Result<(), BusError>;

    /// Overhears what is whispered about the topics of `pattern` from when it returns until [`Overheard`] is dropped. Up to `room`
    /// whispers wait; what more comes is lost.
    async fn overhear(&self, pattern: &str, room: usize) -> Result<Overheard, BusError>;

    /// Whether a note would be taken now; if not, why, in words.
    fn is_reachable(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether the bus still has a note that it took, or is not meant to have it any more.
    async fn remembers(&self, _note: &Note) -> Result<bool, BusError> {
        Ok(true)
    }

    /// Whether followers read what the bus keeps, rather than outboxes.
    fn is_followed(&self) -> bool {
        false
    }

    /// Changes when the bus was found to have forgotten notes that it should have: its files were wiped or are from a backup. Who
    /// holds the record tells it again.
    fn forgot(&self) -> watch::Receiver<u64> {
        watch::Sender::new(0).subscribe()
    }
}

/// One subscription; dropping it ends it.
pub struct Listener {
    queue: mpsc::Receiver<Note>,
    lag: Arc<Lag>,
    // Ends the subscription on the bus's side.
    _end: Box<dyn std::any::Any + Send + Sync>,
}

impl Listener {
    /// The next thing heard; `None` once the bus is closed.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            // What was queued before the loss is heard before it.
            match self.queue.try_recv() {
                Ok(note) => return Some(Heard::Note(note)),
                Err(_) if self.lag.take() => return Some(Heard::Lagged),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => {}
            }
            tokio::select! {
                biased;
                note = self.queue.recv() => match note {
                    Some(note) => return Some(Heard::Note(note)),
                    // A loss may have been the last thing that happened.
                    None => return self.lag.take().then_some(Heard::Lagged),
                },
                () = self.lag.bell.notified() => {}
            }
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// Something said in passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whisper {
    /// What it is about: `typing.<channel>`.
    pub topic: Arc<str>,
    /// What was said.
    pub words: Bytes,
}

impl Whisper {
    /// How it goes through the queues that notes go through. The name and the time mean nothing.
    fn note(topic: &str, words: Bytes) -> Note {
        Note {
            id: EventId::from_bytes([0; 16]),
            subject: topic.into(),
            payload: words,
            at: Time::from_micros(0),
        }
    }
}

/// What is overheard; dropping it ends it.
#[derive(Debug)]
pub struct Overheard(Listener);

impl Overheard {
    /// The next whisper; `None` once the bus is closed.
    pub async fn next(&mut self) -> Option<Whisper> {
        loop {
            match self.0.next().await? {
                Heard::Note(note) => {
                    let (topic, words) = (note.subject, note.payload);
                    return Some(Whisper { topic, words });
                }
                Heard::Lagged => {}
            }
        }
    }
}

/// Whether a listener lost something that it was not told of yet. The bus sets it, the listener takes it.
#[derive(Debug, Default)]
struct Lag {
    lost: AtomicBool,
    // Wakes a listener whose queue is empty.
    bell: Notify,
}

impl Lag {
    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    fn take(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }
}
