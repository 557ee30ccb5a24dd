//! What was told on a bus.

use std::time::Duration;

use guildhall_mesh::{Bus, Heard, Note, bus::Listener};
use prost::{Message, Name};

/// How long an event may take to arrive before the test fails.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many notes wait to be looked at.
const ROOM: usize = 10_000;

/// Catches the notes of a bus from when it was made.
#[derive(Debug)]
pub struct CaughtEvents {
    listener: Listener,
}

impl CaughtEvents {
    /// Catches what `pattern` covers.
    pub async fn of(bus: &dyn Bus, pattern: &str) -> Self {
        let listener = bus.listen(pattern, ROOM).await.expect("the bus is open");
        Self { listener }
    }

    /// Catches events of type `M` about any scope.
    pub async fn any<M: Name>(bus: &dyn Bus) -> Self {
        Self::of(bus, &guildhall_mesh::bus::subject::<M>("*")).await
    }

    /// The next note. Fails the test when none comes in 5 s.
    pub async fn note(&mut self) -> Note {
        match tokio::time::timeout(PATIENCE, self.listener.next()).await {
            Ok(Some(Heard::Note(note))) => note,
            Ok(Some(Heard::Lagged)) => panic!("more than {ROOM} events were not looked at"),
            Ok(None) => panic!("the bus is closed"),
            Err(elapsed) => panic!("no event in {PATIENCE:?}: {elapsed}"),
        }
    }

    /// The next note, read as an `M`. Fails the test when it is another event.
    pub async fn event<M: Message + Name + Default>(&mut self) -> M {
        let note = self.note().await;
        match note.read::<M>() {
            Some(read) => read.expect("the payload is what its subject says"),
            None => panic!("{} came, not {}", note.subject, M::NAME),
        }
    }

    /// Everything that is there now, without waiting.
    pub async fn so_far(&mut self) -> Vec<Note> {
        let mut notes = Vec::new();
        while let Ok(Some(Heard::Note(note))) =
            tokio::time::timeout(Duration::ZERO, self.listener.next()).await
        {
            notes.push(note);
        }
        notes
    }
}
