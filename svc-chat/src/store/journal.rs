//! The outbox of channels, as the relay and followers read it.

use async_trait::async_trait;
use guildhall_mesh::{
    Note,
    outbox::{Journal, JournalError},
};
use guildhall_store::{
    Entities,
    outbox::{self, Event},
};
use tokio::sync::watch;

const NAME: &str = "chat";

/// The events about channels, in the order of their commits.
#[derive(Debug, Clone)]
pub struct ChannelJournal(pub Entities);

#[async_trait]
impl Journal for ChannelJournal {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, Note)>, JournalError> {
        let rows = outbox::read(&self.0, after, limit).await.map_err(failed)?;
        Ok(rows
            .into_iter()
            .map(|(number, event)| (number, told(event)))
            .collect())
    }

    async fn cursor(&self, reader: &str) -> Result<u64, JournalError> {
        outbox::cursor(&self.0, reader).await.map_err(failed)
    }

    async fn advance(&self, reader: &str, to: u64) -> Result<(), JournalError> {
        outbox::advance(&self.0, reader, to).await.map_err(failed)
    }

    async fn readers(&self) -> Result<Vec<(String, u64)>, JournalError> {
        outbox::readers(&self.0).await.map_err(failed)
    }

    async fn leave(&self, reader: &str) -> Result<(), JournalError> {
        outbox::leave(&self.0, reader).await.map_err(failed)
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.0.grown()
    }
}

/// A note as it is kept.
pub(super) fn kept(note: Note) -> Event {
    Event {
        id: note.id,
        subject: note.subject.as_ref().to_owned(),
        payload: note.payload.into(),
        at: note.at,
    }
}

fn told(event: Event) -> Note {
    Note {
        id: event.id,
        subject: event.subject.into(),
        payload: event.payload.into(),
        at: event.at,
    }
}

fn failed(cause: guildhall_store::StoreError) -> JournalError {
    JournalError {
        journal: NAME,
        cause: cause.into(),
    }
}
