//! Opens one schema of a PostgreSQL database: each service has its own, which the connection's search path names.
//!
//! [`open`] never changes a table, since other processes work on them; [`migrate()`] does, one process at a time.

use std::{fmt, sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr,
    SqlxPostgresConnector, Statement,
    sqlx::{
        Connection as _, Error as SqlxError, PgConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};
use sea_orm_migration::MigratorTrait;

use crate::{
    Entities, StoreError,
    entities::{Purpose, begin, within},
    migrate,
    read::no_answer,
};

mod server;

pub use server::{BadServer, Condition, Server};

/// How long an answer may take, as the caller waits: longer than the server is given for a statement, so that its own word comes first.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// How long the server may work on a statement, waiting for locks included, in milliseconds.
const STATEMENT: &str = "5000";
/// How long a transaction may do nothing before the server ends it, in milliseconds: its process was frozen or cut off, and others
/// wait for its locks.
const IDLE: &str = "15000";
/// How long a caller waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how long at rest a connection is tried before it is used.
const RESTED: Duration = Duration::from_secs(1);
/// How long that may take, and how long what a caller left behind may take to be cleared away.
const TRIAL: Duration = Duration::from_secs(2);
/// After how long unused a connection is closed.
const UNUSED: Duration = Duration::from_mins(5);
/// How old a connection grows. Then the next one finds its way anew, also after a move of the server.
const OLDEST: Duration = Duration::from_mins(30);

/// A schema of a database.
#[derive(Clone)]
pub struct Schema {
    server: Server,
    name: Arc<str>,
}

impl Schema {
    pub(crate) fn of(server: Server, name: &str) -> Self {
        Self {
            server,
            name: name.into(),
        }
    }

    /// Its name in the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many connections write, and how many read.
    pub(crate) fn connections(&self) -> usize {
        self.server.connections().try_into().unwrap_or(usize::MAX)
    }

    /// What it is called in sentences.
    fn place(&self) -> String {
        format!("the schema {} of {}", self.name, self.server)
    }

    /// Connections that write, or that cannot.
    fn pool(&self, access: Access) -> DatabaseConnection {
        let pool = PgPoolOptions::new()
            .max_connections(self.server.connections())
            .min_connections(0)
            .acquire_timeout(PATIENCE)
            .idle_timeout(UNUSED)
            .max_lifetime(OLDEST)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for < RESTED {
                        return Ok(true);
                    }
                    try_out(connection).await
                })
            })
            .after_release(|connection, _| Box::pin(try_out(connection)))
            .connect_lazy_with(self.options(access, STATEMENT));
        SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
    }

    /// Every setting that durability and isolation hang on stands here, whatever the server's own defaults are.
    fn options(&self, access: Access, statement: &str) -> PgConnectOptions {
        let read_only = match access {
            Access::Write => "off",
            Access::Read => "on",
        };
        self.server.options().options([
            ("search_path", &*self.name),
            ("synchronous_commit", "on"),
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", read_only),
            ("statement_timeout", statement),
            ("idle_in_transaction_session_timeout", IDLE),
        ])
    }

    /// One connection, whose failure says what is wrong, where a pool only says that it waited. A statement on it may take its time.
    async fn reach(&self, access: Access) -> Result<DatabaseConnection, StoreError> {
        let unreachable = |cause| StoreError::Unreachable {
            place: self.server.to_string(),
            cause,
        };
        let options = self.options(access, "0");
        let trial = within(Some(PATIENCE), PgConnection::connect_with(&options)).await;
        let trial = trial.ok_or_else(|| unreachable(no_answer()))?;
        let trial = trial.map_err(|cause| unreachable(failed(cause)))?;
        let _ = within(Some(TRIAL), trial.close()).await;

        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
    }

    /// The same, to a server that will do.
    async fn look(&self) -> Result<DatabaseConnection, StoreError> {
        let connection = self.reach(Access::Write).await?;
        match server::condition(&connection).await?.wrong() {
            None => Ok(connection),
            Some(wrong) => Err(StoreError::Unfit {
                place: self.server.to_string(),
                wrong,
            }),
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// Opens a schema whose tables are what `M` says.
///
/// # Errors
/// [`StoreError::Unreachable`], [`StoreError::Unfit`] for a server that cannot be used, [`StoreError::Behind`] where changes of the
/// tables are missing, [`StoreError::Newer`] where a newer version made some.
pub async fn open<M: MigratorTrait>(schema: &Schema) -> Result<Entities, StoreError> {
    let look = schema.look().await?;
    let missing = migrate::missing::<M>(&look, &schema.place()).await;
    let _ = look.close().await;
    if let Some(change) = missing?.into_iter().next() {
        return Err(StoreError::Behind {
            place: schema.place(),
            change,
        });
    }
    Ok(Entities::postgres(
        schema.clone(),
        schema.pool(Access::Write),
        schema.pool(Access::Read),
    ))
}

/// The changes of its tables that `M` knows and a schema lacks.
///
/// # Errors
/// Those of [`open`], but for [`StoreError::Behind`].
pub async fn missing<M: MigratorTrait>(schema: &Schema) -> Result<Vec<String>, StoreError> {
    let look = schema.look().await?;
    let missing = migrate::missing::<M>(&look, &schema.place()).await;
    let _ = look.close().await;
    missing
}

/// Makes a schema where it is missing, and brings its tables up to what `M` says, all of it or nothing. One process does so at a time,
/// others wait. Returns the changes that it made.
///
/// # Errors
/// Those of [`missing`]; what the statements said.
pub async fn migrate<M: MigratorTrait>(schema: &Schema) -> Result<Vec<String>, StoreError> {
    let connection = schema.look().await?;
    let tx = begin(&connection, Purpose::Write).await?;
    let made = match change::<M>(&tx, schema).await {
        Ok(made) => made,
        Err(error) => {
            // The error says more than a failure to undo would.
            let _ = tx.rollback().await;
            return Err(error);
        }
    };
    tx.commit().await.map_err(StoreError::OutcomeUnknown)?;
    let _ = connection.close().await;
    Ok(made)
}

/// Takes a schema away with everything in it. For tests: nothing in the product gives up a database.
///
/// # Errors
/// Those of [`missing`].
pub async fn remove(schema: &Schema) -> Result<(), StoreError> {
    let connection = schema.look().await?;
    let remove = format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", schema.name);
    let removed = connection.execute_unprepared(&remove).await;
    let _ = connection.close().await;
    removed?;
    Ok(())
}

async fn change<M: MigratorTrait>(
    tx: &DatabaseTransaction,
    schema: &Schema,
) -> Result<Vec<String>, StoreError> {
    let backend = tx.get_database_backend();
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('guildhall migrate ' || $1, 0))";
    let lock = Statement::from_sql_and_values(backend, lock, [schema.name().into()]);
    tx.execute_raw(lock).await?;
    tx.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", schema.name))
        .await?;
    let made = migrate::up::<M>(tx, &schema.place()).await?;
    order_by_bytes(tx).await?;
    Ok(made)
}

/// Makes every column of text compare by its bytes, as SQLite does: the same order of names on every server, whatever its locale.
async fn order_by_bytes(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    let ask = "SELECT format('ALTER TABLE %I ALTER COLUMN %I TYPE text COLLATE \"C\"', table_name, column_name) AS change
         FROM information_schema.columns
         WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'";
    let changes = tx
        .query_all_raw(Statement::from_string(tx.get_database_backend(), ask))
        .await?;
    for change in changes {
        let change: String = change.try_get("", "change")?;
        tx.execute_unprepared(&change).await?;
    }
    Ok(())
}

/// Whether a connection still answers. Sends what an interrupted caller left behind on its way, too.
async fn try_out(connection: &mut PgConnection) -> Result<bool, SqlxError> {
    match within(Some(TRIAL), connection.ping()).await {
        Some(answer) => answer.map(|()| true),
        None => Err(SqlxError::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

fn failed(cause: SqlxError) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(cause.into()))
}
