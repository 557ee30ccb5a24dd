//! One write transaction, as the body of [`Entities::write`](crate::Entities::write) sees it.

use std::{
    fmt, mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use crate::{
    StoreError,
    error::is_transient,
    outbox::{self, Event},
};

/// A write transaction. Entities take it where they take a connection.
///
/// On SQLite it is alone with the database. On PostgreSQL others write at the same time: what it reads may change before its commit,
/// unless it holds the row (`lock(LockType::NoKeyUpdate)` in a query, which SQLite leaves out) or is [`alone`](Self::alone).
pub struct Write {
    tx: DatabaseTransaction,
    /// Events that the body has put into the outbox. They are kept as the last thing before the commit. Touched by the one task
    /// that runs the body, so never contended.
    owed: Mutex<Vec<Event>>,
    /// The first statement that failed. PostgreSQL does nothing more in such a transaction, and answers a COMMIT of it as if all were
    /// well; so it is never committed.
    failed: Mutex<Option<DbErr>>,
}

impl Write {
    pub(crate) fn of(tx: DatabaseTransaction) -> Self {
        Self {
            tx,
            owed: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// Waits until no other transaction of this database is alone about the same thing, and keeps others out until this one ends.
    /// For what has no row to be locked: something that is not there yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn alone(&self, about: &str) -> Result<(), StoreError> {
        let backend = self.get_database_backend();
        if backend != DbBackend::Postgres {
            // There is one writer.
            return Ok(());
        }
        let lock =
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' ' || $1, 0))";
        let lock = Statement::from_sql_and_values(backend, lock, [about.into()]);
        self.execute_raw(lock).await?;
        Ok(())
    }

    /// Adds an event to what is kept with the change.
    pub(crate) fn owe(&self, event: Event) {
        locked(&self.owed).push(event);
    }

    /// Keeps the events. Returns the number of the last, 0 where there is none. What comes after it is the commit.
    pub(crate) async fn finish(&self) -> Result<u64, StoreError> {
        if let Some(cause) = locked(&self.failed).clone() {
            return Err(cause.into());
        }
        let events = mem::take(&mut *locked(&self.owed));
        outbox::keep(self, events).await
    }

    /// Whether it failed for a reason that the same again may not meet: another transaction was in the way, or the connection was lost.
    pub(crate) fn was_unlucky(&self) -> bool {
        locked(&self.failed).as_ref().is_some_and(is_transient)
    }

    pub(crate) fn into_transaction(self) -> DatabaseTransaction {
        self.tx
    }

    fn seen<T>(&self, answer: Result<T, DbErr>) -> Result<T, DbErr> {
        if let Err(cause) = &answer {
            locked(&self.failed).get_or_insert_with(|| cause.clone());
        }
        answer
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.seen(self.tx.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.seen(self.tx.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.seen(self.tx.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.seen(self.tx.query_all_raw(statement).await)
    }
}
