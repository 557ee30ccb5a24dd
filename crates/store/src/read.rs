//! The connections that read.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use tokio::time::timeout;

/// The connections that read what is committed and cannot write. Entities take it where they take a connection.
pub struct Read {
    pool: DatabaseConnection,
    /// How long an answer may take that comes over a network; a file needs no such bound.
    patience: Option<Duration>,
}

impl Read {
    pub(crate) fn new(pool: DatabaseConnection, patience: Option<Duration>) -> Self {
        Self { pool, patience }
    }

    pub(crate) fn pool(&self) -> &DatabaseConnection {
        &self.pool
    }

    async fn within<T>(&self, asked: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let Some(patience) = self.patience else {
            return asked.await;
        };
        timeout(patience, asked)
            .await
            .unwrap_or_else(|_| Err(no_answer()))
    }
}

/// The server is silent: it hangs, or the way to it is cut.
pub(crate) fn no_answer() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(
        "the server does not answer".to_owned(),
    ))
}

#[async_trait]
impl ConnectionTrait for Read {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.within(self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.within(self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.within(self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.within(self.pool.query_all_raw(statement)).await
    }
}
