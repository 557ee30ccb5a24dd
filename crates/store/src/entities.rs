//! An opened database: many readers, one writer, one way to write.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _,
};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::{StoreError, sqlite::Place};

/// How many writes wait for the writer; one more is refused as busy.
const WAITING: usize = 1_024;

/// An opened database. Clones share it.
#[derive(Clone)]
pub struct Entities {
    inner: Arc<Inner>,
}

struct Inner {
    place: Place,
    readers: DatabaseConnection,
    /// The one writing connection, held for a whole transaction by one caller after the other in the order they came. `None`: the
    /// last transaction did not end cleanly, so its connection was given up and the next write opens another.
    writer: Mutex<Option<DatabaseConnection>>,
    waiting: Semaphore,
    grown: watch::Sender<u64>,
}

impl Entities {
    pub(crate) fn new(
        place: Place,
        writer: DatabaseConnection,
        readers: DatabaseConnection,
    ) -> Self {
        let inner = Inner {
            place,
            readers,
            writer: Mutex::new(Some(writer)),
            waiting: Semaphore::new(WAITING),
            grown: watch::Sender::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The connections that read what is committed. They cannot write.
    pub fn read(&self) -> &DatabaseConnection {
        &self.inner.readers
    }

    /// Reads several things of one state of the database.
    ///
    /// # Errors
    /// The body's, or those of beginning.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the helper that the ban points to"
    )]
    pub async fn snapshot<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&DatabaseTransaction) -> Result<T, E>,
        E: From<StoreError>,
    {
        let deferred = options(SqliteTransactionMode::Deferred);
        let tx = self.inner.readers.begin_with_options(deferred).await;
        let tx = tx.map_err(StoreError::from)?;
        let read = body(&tx).await;
        tx.rollback().await.map_err(StoreError::from)?;
        read
    }

    /// Runs `body` in one write transaction: committed and synced where it answers `Ok`, undone where it answers `Err` or is
    /// dropped. It is alone with the database, so what it reads stays true until the commit; let it wait for nothing else.
    ///
    /// # Errors
    /// The body's; [`StoreError::Busy`] where too many wait; [`StoreError::OutcomeUnknown`] where the commit failed.
    pub async fn write<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&Write) -> Result<T, E>,
        E: From<StoreError>,
    {
        let _place = self
            .inner
            .waiting
            .try_acquire()
            .map_err(|_| StoreError::Busy)?;
        let mut slot = self.inner.writer.lock().await;
        // Taken out for the time of the transaction: whatever way this function is left, the connection comes back only when the
        // transaction is known to have ended.
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.inner.place.writer().await?,
        };
        let tx = match begin_immediate(&connection).await {
            Ok(tx) => tx,
            Err(error) => {
                *slot = Some(connection);
                return Err(error.into());
            }
        };
        let write = Write {
            tx,
            owed: AtomicU64::new(0),
        };
        match body(&write).await {
            Ok(done) => {
                let bell = Bell {
                    grown: &self.inner.grown,
                    number: write.owed.into_inner(),
                };
                write
                    .tx
                    .commit()
                    .await
                    .map_err(StoreError::OutcomeUnknown)?;
                *slot = Some(connection);
                drop(bell);
                Ok(done)
            }
            Err(error) => {
                if write.tx.rollback().await.is_ok() {
                    *slot = Some(connection);
                }
                Err(error)
            }
        }
    }

    /// Changes whenever a commit added to the outbox; the value is the number of its last event.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.inner.grown.subscribe()
    }

    /// Closes the file after the write that is under way. Later calls fail.
    pub async fn close(&self) {
        self.inner.waiting.close();
        let writer = self.inner.writer.lock().await.take();
        // Nothing is lost by a failure here: what was acknowledged is synced.
        let _ = self.inner.readers.close_by_ref().await;
        if let Some(writer) = writer {
            let _ = writer.close().await;
        }
    }
}

impl fmt::Debug for Entities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entities").field(&self.inner.place).finish()
    }
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

/// A write transaction. Entities take it where they take a connection.
pub struct Write {
    tx: DatabaseTransaction,
    /// The number of the last event that this transaction put into the outbox.
    owed: AtomicU64,
}

impl Write {
    pub(crate) fn owes(&self, number: u64) {
        self.owed.fetch_max(number, Ordering::Relaxed);
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Write")
    }
}

#[async_trait]
impl ConnectionTrait for Write {
    fn get_database_backend(&self) -> DbBackend {
        self.tx.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.tx.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.tx.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.tx.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.tx.query_all_raw(statement).await
    }
}

/// Begins to write at once: a transaction that reads first and takes the lock later fails under load.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the helper that the ban points to"
)]
pub(crate) async fn begin_immediate(
    writer: &DatabaseConnection,
) -> Result<DatabaseTransaction, StoreError> {
    Ok(writer
        .begin_with_options(options(SqliteTransactionMode::Immediate))
        .await?)
}

fn options(mode: SqliteTransactionMode) -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(mode),
        ..TransactionOptions::default()
    }
}
