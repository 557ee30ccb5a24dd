//! An opened database: many readers, one way to write.

use std::{fmt, sync::Arc, time::Duration};

use sea_orm::{
    AccessMode, DatabaseConnection, DatabaseTransaction, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::timeout,
};
use tracing::debug;

use crate::{
    Read, StoreError, Write,
    error::is_transient,
    postgres::{ANSWER, Schema},
    read::no_answer,
    sqlite::Place,
};

/// How many writes wait for a connection; one more is refused as busy.
const WAITING: usize = 1_024;
/// How often a write is tried on PostgreSQL before what is in its way is told.
const TRIES: u32 = 5;

/// An opened database. Clones share it.
#[derive(Clone)]
pub struct Entities {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    read: Read,
    waiting: Semaphore,
    grown: watch::Sender<u64>,
}

/// Who writes.
enum Engine {
    Sqlite {
        place: Place,
        /// The one writing connection, held for a whole transaction by one caller after the other in the order they came. `None`: the
        /// last transaction did not end cleanly, so its connection was given up and the next write opens another.
        writer: Mutex<Option<DatabaseConnection>>,
    },
    /// Several connections write, and those of other processes too: rows are locked where it matters.
    Postgres {
        schema: Schema,
        writers: DatabaseConnection,
        /// As many as there are connections. Writes wait here for each other, in the order they came and as long as their callers do;
        /// the pool's own patience is for a server that does not answer.
        turns: Semaphore,
    },
}

impl Entities {
    pub(crate) fn sqlite(
        place: Place,
        writer: DatabaseConnection,
        readers: DatabaseConnection,
    ) -> Self {
        let engine = Engine::Sqlite {
            place,
            writer: Mutex::new(Some(writer)),
        };
        Self::new(engine, Read::new(readers, None))
    }

    pub(crate) fn postgres(
        schema: Schema,
        writers: DatabaseConnection,
        readers: DatabaseConnection,
    ) -> Self {
        let engine = Engine::Postgres {
            turns: Semaphore::new(schema.connections()),
            schema,
            writers,
        };
        Self::new(engine, Read::new(readers, Some(ANSWER)))
    }

    fn new(engine: Engine, read: Read) -> Self {
        let inner = Inner {
            engine,
            read,
            waiting: Semaphore::new(WAITING),
            grown: watch::Sender::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The connections that read what is committed. They cannot write.
    pub fn read(&self) -> &Read {
        &self.inner.read
    }

    /// Whether other processes may write the database, too. Then nothing that was read may be remembered as if it stayed true.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.engine, Engine::Postgres { .. })
    }

    /// Reads several things of one state of the database.
    ///
    /// # Errors
    /// The body's, or those of beginning.
    pub async fn snapshot<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
        E: From<StoreError>,
    {
        let tx = begin(self.inner.read.pool(), Purpose::Snapshot).await?;
        let read = body(&tx).await;
        tx.rollback().await.map_err(StoreError::from)?;
        read
    }

    /// Runs `body` in one write transaction: committed and synced where it answers `Ok`, undone where it answers `Err` or is
    /// dropped. Let it wait for nothing but the database.
    ///
    /// On SQLite it is alone with the database, so what it reads stays true until the commit. On PostgreSQL that holds for the rows
    /// that it locks ([`Write`]), and where another transaction was faster (a unique value, a deadlock) or the connection is lost, the
    /// body runs anew: it must have no effect but on the database.
    ///
    /// # Errors
    /// The body's; [`StoreError::Busy`] where too many wait; [`StoreError::OutcomeUnknown`] where the commit failed.
    pub async fn write<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&Write) -> Result<T, E> + Clone,
        E: From<StoreError>,
    {
        let _place = self
            .inner
            .waiting
            .try_acquire()
            .map_err(|_| StoreError::Busy)?;
        match &self.inner.engine {
            Engine::Sqlite { place, writer } => self.write_alone(place, writer, body).await,
            Engine::Postgres { writers, turns, .. } => {
                let _turn = turns.acquire().await.map_err(|_| StoreError::Busy)?;
                self.write_beside(writers, body).await
            }
        }
    }

    async fn write_alone<T, E, F>(
        &self,
        place: &Place,
        writer: &Mutex<Option<DatabaseConnection>>,
        body: F,
    ) -> Result<T, E>
    where
        F: AsyncFnOnce(&Write) -> Result<T, E> + Clone,
        E: From<StoreError>,
    {
        let mut slot = writer.lock().await;
        // Taken out for the time of the transaction: whatever way this function is left, the connection comes back only when the
        // transaction is known to have ended.
        let connection = match slot.take() {
            Some(connection) => connection,
            None => place.writer().await?,
        };
        let tx = match begin(&connection, Purpose::Write).await {
            Ok(tx) => tx,
            Err(error) => {
                *slot = Some(connection);
                return Err(error.into());
            }
        };
        match self.once(tx, None, body).await {
            Tried::Done(done) => {
                *slot = Some(connection);
                Ok(done)
            }
            Tried::Undone { error, ended, .. } => {
                if ended {
                    *slot = Some(connection);
                }
                Err(error)
            }
            Tried::Unknown(cause) => Err(StoreError::OutcomeUnknown(cause).into()),
        }
    }

    async fn write_beside<T, E, F>(&self, writers: &DatabaseConnection, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&Write) -> Result<T, E> + Clone,
        E: From<StoreError>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let begun = within(Some(ANSWER), begin(writers, Purpose::Write)).await;
            let tx = match begun {
                Some(Ok(tx)) => tx,
                // A connection that died at rest: nothing was sent yet.
                Some(Err(StoreError::Io(cause))) if tries < TRIES && is_transient(&cause) => {
                    continue;
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(StoreError::Io(no_answer()).into()),
            };
            match self.once(tx, Some(ANSWER), body.clone()).await {
                Tried::Done(done) => return Ok(done),
                Tried::Undone { unlucky: true, .. } if tries < TRIES => {
                    debug!(tries, "a write met another one and is tried again");
                }
                Tried::Undone { error, .. } => return Err(error),
                // Never tried again: it may have been made.
                Tried::Unknown(cause) => return Err(StoreError::OutcomeUnknown(cause).into()),
            }
        }
    }

    /// One try: the body, the events that it owes, the commit.
    async fn once<T, E, F>(
        &self,
        tx: DatabaseTransaction,
        patience: Option<Duration>,
        body: F,
    ) -> Tried<T, E>
    where
        F: AsyncFnOnce(&Write) -> Result<T, E> + Clone,
        E: From<StoreError>,
    {
        let write = Write::of(tx);
        let work = async {
            let done = body(&write).await?;
            let number = write.finish().await?;
            Ok::<_, E>((done, number))
        };
        // Dropped in the middle, the transaction is undone by the pool.
        let Some(worked) = within(patience, work).await else {
            return Tried::Undone {
                error: StoreError::Busy.into(),
                unlucky: false,
                ended: false,
            };
        };
        let unlucky = write.was_unlucky();
        let tx = write.into_transaction();
        match worked {
            Ok((done, number)) => {
                let _bell = Bell {
                    grown: &self.inner.grown,
                    number,
                };
                match within(patience, tx.commit()).await {
                    Some(Ok(())) => Tried::Done(done),
                    Some(Err(cause)) => Tried::Unknown(cause),
                    None => Tried::Unknown(no_answer()),
                }
            }
            Err(error) => Tried::Undone {
                error,
                unlucky,
                ended: matches!(within(patience, tx.rollback()).await, Some(Ok(()))),
            },
        }
    }

    /// Changes whenever a commit of this process added to the outbox; the value is the number of its last event.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.inner.grown.subscribe()
    }

    /// Closes the database after the writes that are under way. Later calls fail.
    pub async fn close(&self) {
        self.inner.waiting.close();
        // Nothing is lost by a failure here: what was acknowledged is synced.
        match &self.inner.engine {
            Engine::Sqlite { writer, .. } => {
                let writer = writer.lock().await.take();
                let _ = self.inner.read.pool().close_by_ref().await;
                if let Some(writer) = writer {
                    let _ = writer.close().await;
                }
            }
            Engine::Postgres { writers, .. } => {
                let _ = within(Some(ANSWER), writers.close_by_ref()).await;
                let _ = within(Some(ANSWER), self.inner.read.pool().close_by_ref()).await;
            }
        }
    }
}

impl fmt::Debug for Entities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_tuple("Entities");
        match &self.inner.engine {
            Engine::Sqlite { place, .. } => told.field(place),
            Engine::Postgres { schema, .. } => told.field(schema),
        };
        told.finish()
    }
}

/// What became of one try.
enum Tried<T, E> {
    /// Committed.
    Done(T),
    /// Not made. `unlucky`: another try may fare better. `ended`: the database has said that the transaction is over.
    Undone {
        error: E,
        unlucky: bool,
        ended: bool,
    },
    /// The commit was sent and not confirmed.
    Unknown(DbErr),
}

/// Rings once the commit has been tried, also when its caller has gone away meanwhile: a look too many at the outbox does no harm.
struct Bell<'a> {
    grown: &'a watch::Sender<u64>,
    number: u64,
}

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        if self.number > 0 {
            self.grown.send_replace(self.number);
        }
    }
}

/// What a transaction is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// To write. On SQLite it takes the lock at once: a transaction that reads first and takes it later fails under load. On
    /// PostgreSQL every statement sees what is committed by then, so after a row was locked it is seen as it is.
    Write,
    /// To read several things of one state.
    Snapshot,
}

/// Begins a transaction.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the helper that the ban points to"
)]
pub(crate) async fn begin(
    on: &DatabaseConnection,
    purpose: Purpose,
) -> Result<DatabaseTransaction, StoreError> {
    let is_shared = on.get_database_backend() == sea_orm::DbBackend::Postgres;
    let options = match (purpose, is_shared) {
        (Purpose::Write, false) => sqlite(SqliteTransactionMode::Immediate),
        (Purpose::Snapshot, false) => sqlite(SqliteTransactionMode::Deferred),
        // As the connection was told when it was opened.
        (Purpose::Write, true) => TransactionOptions::default(),
        (Purpose::Snapshot, true) => TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        },
    };
    Ok(on.begin_with_options(options).await?)
}

fn sqlite(mode: SqliteTransactionMode) -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(mode),
        ..TransactionOptions::default()
    }
}

/// The answer, or `None` where it takes longer than that.
pub(crate) async fn within<T>(
    patience: Option<Duration>,
    answer: impl Future<Output = T>,
) -> Option<T> {
    match patience {
        Some(patience) => timeout(patience, answer).await.ok(),
        None => Some(answer.await),
    }
}
