//! Faults for proofs: the variable SABOTAGE takes one guard of the process away. A proof that stays green then proves nothing.
//!
//! Compiled with the cargo feature `sabotage` only. The product is never built with it.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_mesh::{
    Note,
    outbox::{Journal, JournalError},
};
use svc_chat::store::{TimelineHome, cql, sqlite};
use tokio::sync::{OnceCell, watch};

/// How many events are passed over at once.
const BATCH: usize = 1_000;

/// The home of timelines, whose engine lacks the guard.
pub(super) fn timelines(mut home: TimelineHome) -> TimelineHome {
    match &mut home {
        TimelineHome::File { options, .. } => {
            options.faults = sqlite::Faults::named(&told()).unwrap_or_default();
        }
        TimelineHome::Keyspace { options, .. } => {
            options.faults = cql::Faults::named(&told()).unwrap_or_default();
        }
    }
    home
}

/// What a service hears of another: with `no-sweep` only what is committed from its start on, never what an earlier process left.
pub(super) fn heard(journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
    if told() == "no-sweep" {
        Arc::new(Unswept {
            journal,
            begun: OnceCell::new(),
        })
    } else {
        journal
    }
}

fn told() -> String {
    std::env::var("SABOTAGE").unwrap_or_default()
}

/// A journal with one reader, whose cursor stands at the end when a process begins.
struct Unswept {
    journal: Arc<dyn Journal>,
    begun: OnceCell<()>,
}

impl Unswept {
    async fn pass_over(&self, reader: &str) -> Result<(), JournalError> {
        let mut after = self.journal.cursor(reader).await?;
        while let Some((last, _)) = self.journal.read(after, BATCH).await?.last() {
            after = *last;
        }
        self.journal.advance(reader, after).await
    }
}

#[async_trait]
impl Journal for Unswept {
    fn name(&self) -> &'static str {
        self.journal.name()
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, Note)>, JournalError> {
        self.journal.read(after, limit).await
    }

    async fn cursor(&self, reader: &str) -> Result<u64, JournalError> {
        self.begun
            .get_or_try_init(|| self.pass_over(reader))
            .await?;
        self.journal.cursor(reader).await
    }

    async fn advance(&self, reader: &str, to: u64) -> Result<(), JournalError> {
        self.journal.advance(reader, to).await
    }

    async fn readers(&self) -> Result<Vec<(String, u64)>, JournalError> {
        self.journal.readers().await
    }

    async fn leave(&self, reader: &str) -> Result<(), JournalError> {
        self.journal.leave(reader).await
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.journal.grown()
    }
}
