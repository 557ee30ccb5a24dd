//! The outbox of svc-auth, as mesh reads it.

use async_trait::async_trait;
use guildhall_mesh::{
    Note,
    outbox::{Journal, JournalError},
};
use guildhall_store::{Entities, StoreError, outbox};
use tokio::sync::watch;

const NAME: &str = "auth";

/// The events of svc-auth in the order of their commits.
pub(crate) struct AuthJournal(pub(crate) Entities);

#[async_trait]
impl Journal for AuthJournal {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, Note)>, JournalError> {
        let events = outbox::read(&self.0, after, limit).await.map_err(failed)?;
        let notes = events.into_iter().map(|(number, event)| {
            let note = Note {
                id: event.id,
                subject: event.subject.into(),
                payload: event.payload.into(),
                at: event.at,
            };
            (number, note)
        });
        Ok(notes.collect())
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

fn failed(cause: StoreError) -> JournalError {
    JournalError {
        journal: NAME,
        cause: Box::new(cause),
    }
}
