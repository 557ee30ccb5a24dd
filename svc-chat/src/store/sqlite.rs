//! The embedded engine: one SQLite file, one thread that writes, a few that read.
//!
//! In reading order: `schema` is what is in the file; `ledger` are the changes, `view` the questions; `writer` and `press` bring
//! changes together into transactions that share a sync; `readers` answer questions beside them; `tail` keeps the newest events in
//! memory for whoever tells them; `queue` stands between callers and threads; `failure` is what can go wrong, and `fault` what a proof
//! can make go wrong.
//!
//! A write is answered after its sync, and readers see nothing before. Numbers come from the one writer, so they have no gaps;
//! events stand in the outbox in the transaction of their change, so none is forgotten and none is told that did not happen.
//! Whoever builds a service starts [`guildhall_mesh::outbox::relay`] over this engine, which is a [`Journal`].

use std::{
    io,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use guildhall_kernel::{ChannelId, Clock, Ids, Time, UserId};
use guildhall_mesh::{
    Note,
    outbox::{Journal, JournalError},
};
use guildhall_store::{EngineFile, EngineFileError};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::watch;

use super::{
    StoreError,
    timeline::{Appended, Changed, Changes, History, Moved, Newest, Place, Timeline},
};
use crate::model::{Draft, Epoch, Mark, Message, MessageId, Rev, Seq, Text};

mod failure;
mod fault;
mod ledger;
mod press;
mod queue;
mod readers;
mod schema;
mod tail;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use fault::Faults;
use ledger::Ledger;
use press::Press;
use queue::Queue;
use readers::Readers;
pub use schema::SchemaError;
use tail::Tail;
use writer::Writer;

/// How many bytes of waiting changes are too many.
const WAITING_BYTES: usize = 16 << 20;

/// How big the engine is.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many threads read.
    pub readers: NonZero<usize>,
    /// How many changes, and how many questions, may wait. Further ones are refused at once with [`StoreError::Busy`].
    pub waiting: usize,
    /// How many changes share a transaction at most.
    pub group: NonZero<usize>,
    /// Which guards are off, for proofs.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        const FOUR: NonZero<usize> = NonZero::new(4).expect("not zero");
        const GROUP: NonZero<usize> = NonZero::new(256).expect("not zero");
        Self {
            readers: FOUR,
            waiting: 1_024,
            group: GROUP,
            faults: Faults::default(),
        }
    }
}

/// The engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened.
    #[error(transparent)]
    File(#[from] EngineFileError),
    /// Its tables cannot be used.
    #[error("{} cannot be used", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: SchemaError,
    },
    /// The system gives no thread.
    #[error("no thread for the timeline")]
    Thread(#[source] io::Error),
}

/// Timelines in one SQLite file.
pub struct SqliteTimeline {
    epoch: Epoch,
    writer: Writer,
    readers: Readers,
    // Shared with the writing thread.
    tail: Arc<Tail>,
}

impl SqliteTimeline {
    /// Opens the file, making it where it is missing, and starts the threads. Nobody else may have it open: the data folder must be
    /// locked.
    pub async fn open(
        path: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let path = path.into();
        let opened =
            tokio::task::spawn_blocking(move || Self::start(&path, clock, ids.as_ref(), &options));
        match opened.await {
            Ok(opened) => opened,
            Err(stopped) => Err(OpenError::Thread(stopped.into())),
        }
    }

    /// Does what was asked so far, refuses the rest, and closes the file with an empty log. Best called when nobody asks any more.
    pub async fn close(&self) {
        let readers = self.readers.close();
        let writer = self.writer.close();
        // The writer last, because the last connection to close empties the log.
        let ends = tokio::task::spawn_blocking(move || {
            for thread in readers.into_iter().chain(writer) {
                // A panic was logged where it happened.
                let _ = thread.join();
            }
        });
        let _ = ends.await;
    }

    fn start(
        path: &Path,
        clock: Arc<dyn Clock>,
        ids: &dyn Ids,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let file = EngineFile::at(path);
        let faults = options.faults;
        let schema = |cause: SchemaError| OpenError::Schema {
            path: path.to_owned(),
            cause,
        };

        let mut connection = file.writer()?;
        let epoch = schema::prepare(&mut connection, ids).map_err(schema)?;
        let (ledger, last) =
            ledger_on(connection, &epoch, faults).map_err(|cause| schema(cause.into()))?;
        let cursors = cursors(&ledger).map_err(|cause| schema(cause.into()))?;
        let origin = if faults.no_sweep() { last } else { 0 };
        let tail = Arc::new(Tail::new(last, cursors, origin));

        let readers = Readers::start(&file, options.readers.get(), options.waiting)
            .map_err(OpenError::Thread)?;
        let changes = Arc::new(Queue::new("write", options.waiting, WAITING_BYTES));
        let press = Press {
            file,
            clock,
            tail: tail.clone(),
            epoch: epoch.clone(),
            faults,
            most: options.group.get(),
            ledger: Some(ledger),
            chores: press::Chores::default(),
            trouble: press::Trouble::default(),
        };
        let writer = Writer::start(changes, press).map_err(OpenError::Thread)?;
        Ok(Self {
            epoch,
            writer,
            readers,
            tail,
        })
    }
}

/// Opens the writing connection of a file whose tables are up to date.
fn open_ledger(
    file: &EngineFile,
    epoch: &Epoch,
    faults: Faults,
) -> Result<(Ledger, u64), EngineFileError> {
    let says = |cause| EngineFileError::Sqlite {
        path: file.path().to_owned(),
        cause,
    };
    ledger_on(file.writer()?, epoch, faults).map_err(says)
}

/// The ledger over a connection, and the number of the newest event that ever was in the file.
fn ledger_on(
    connection: Connection,
    epoch: &Epoch,
    faults: Faults,
) -> rusqlite::Result<(Ledger, u64)> {
    if faults.unsynced() {
        connection.pragma_update(None, "synchronous", "OFF")?;
    }
    let last: Option<i64> = connection
        .query_row(
            "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let ledger = Ledger::new(connection, epoch.clone(), faults);
    Ok((ledger, last.unwrap_or(0).cast_unsigned()))
}

fn cursors(ledger: &Ledger) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut find = ledger.connection.prepare("SELECT name, id FROM cursor")?;
    let cursors = find.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    });
    cursors?.collect()
}

#[async_trait]
impl Timeline for SqliteTimeline {
    fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    async fn append(&self, channel: ChannelId, draft: Draft) -> Result<Appended, StoreError> {
        let bytes = draft.text.as_str().len() + draft.key.as_str().len();
        self.writer
            .make(bytes, move |ledger| ledger.append(channel, &draft))
            .await
    }

    async fn edit(
        &self,
        id: MessageId,
        editor: UserId,
        text: Text,
        at: Time,
    ) -> Result<Changed, StoreError> {
        let bytes = text.as_str().len();
        self.writer
            .make(bytes, move |ledger| ledger.edit(id, editor, &text, at))
            .await
    }

    async fn delete(
        &self,
        id: MessageId,
        by: UserId,
        of_others: bool,
        at: Time,
    ) -> Result<Changed, StoreError> {
        self.writer
            .make(0, move |ledger| ledger.delete(id, by, of_others, at))
            .await
    }

    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        self.readers.ask(move |file| view::message(file, id)).await
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Newest>, StoreError> {
        self.readers.ask_each(channels, view::newest).await
    }

    async fn history(
        &self,
        channel: ChannelId,
        place: Place,
        limit: usize,
    ) -> Result<History, StoreError> {
        self.readers
            .ask(move |file| view::history(file, channel, place, limit))
            .await
    }

    async fn changes(
        &self,
        channel: ChannelId,
        after: Rev,
        limit: usize,
    ) -> Result<Changes, StoreError> {
        self.readers
            .ask(move |file| view::changes(file, channel, after, limit))
            .await
    }

    async fn mark_read(
        &self,
        channel: ChannelId,
        user: UserId,
        to: Seq,
        at: Time,
    ) -> Result<Moved, StoreError> {
        self.writer
            .make(0, move |ledger| ledger.mark(channel, user, to, Some(at)))
            .await
    }

    async fn mark_read_until(
        &self,
        channel: ChannelId,
        user: UserId,
        at: Time,
    ) -> Result<Moved, StoreError> {
        self.writer
            .make(0, move |ledger| ledger.mark_until(channel, user, at))
            .await
    }

    async fn marks(
        &self,
        user: UserId,
        channels: &[(ChannelId, Option<Time>)],
    ) -> Result<Vec<Mark>, StoreError> {
        self.readers
            .ask_each(channels, move |file, (channel, came)| match came {
                None => view::mark(file, channel, user),
                Some(came) => view::mark_since(file, channel, user, came),
            })
            .await
    }

    async fn readers(
        &self,
        channel: ChannelId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Seq)>, StoreError> {
        self.readers
            .ask(move |file| view::readers(file, channel, after, limit))
            .await
    }
}

#[async_trait]
impl Journal for SqliteTimeline {
    fn name(&self) -> &'static str {
        "timeline"
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<(u64, Note)>, JournalError> {
        if let Some(events) = self.tail.read(after, limit) {
            return Ok(events);
        }
        let read = self
            .readers
            .ask(move |file| view::outbox(file, after, limit))
            .await;
        read.map_err(|cause| JournalError {
            journal: self.name(),
            cause: cause.into(),
        })
    }

    async fn cursor(&self, reader: &str) -> Result<u64, JournalError> {
        Ok(self.tail.cursor(reader))
    }

    async fn advance(&self, reader: &str, to: u64) -> Result<(), JournalError> {
        // Written down with the next commit, or within a second: a crash before makes the reader hear some events again.
        self.tail.advance(reader, to);
        Ok(())
    }

    async fn readers(&self) -> Result<Vec<(String, u64)>, JournalError> {
        Ok(self.tail.readers())
    }

    async fn leave(&self, reader: &str) -> Result<(), JournalError> {
        self.tail.leave(reader);
        Ok(())
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.tail.grown()
    }
}
