//! Opens one SQLite file.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, SqlxSqliteConnector,
    sqlx::{
        ConnectOptions as _,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use sea_orm_migration::MigratorTrait;

use crate::{
    Entities, StoreError,
    entities::{Purpose, begin},
    migrate,
};

/// Older libraries can damage a database in WAL mode that has more than one connection.
pub const OLDEST: (u32, u32, u32) = (3, 51, 3);
const OLDEST_TEXT: &str = "3.51.3";
/// How many connections read.
const READERS: u32 = 4;
/// How long a connection waits for a lock of the file, and a caller for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens a database, making it where it is missing, and brings its tables up to what `M` says, all of it or nothing. The data
/// folder must be locked ([`FolderLock`](crate::FolderLock)): only one process may have the file open.
///
/// # Errors
/// [`StoreError::Newer`] where a newer version wrote it, [`StoreError::OldLibrary`], [`StoreError::Folder`], or what the file says.
pub async fn open<M: MigratorTrait>(path: &Path) -> Result<Entities, StoreError> {
    let (place, writer, _) = up_to_date::<M>(path).await?;
    let readers = place.readers().await?;
    Ok(Entities::sqlite(place, writer, readers))
}

/// Makes a database where it is missing, and brings its tables up to what `M` says. Returns the changes that it made.
///
/// # Errors
/// Those of [`open`].
pub async fn migrate<M: MigratorTrait>(path: &Path) -> Result<Vec<String>, StoreError> {
    let (_, writer, made) = up_to_date::<M>(path).await?;
    writer.close().await?;
    Ok(made)
}

async fn up_to_date<M: MigratorTrait>(
    path: &Path,
) -> Result<(Place, DatabaseConnection, Vec<String>), StoreError> {
    make_private(path)?;
    let place = Place(path.to_owned());
    let writer = place.writer().await?;
    check_library(&writer).await?;
    let tx = begin(&writer, Purpose::Write).await?;
    let made = match migrate::up::<M>(&tx, &path.display().to_string()).await {
        Ok(made) => made,
        Err(error) => {
            // The error says more than a failure to undo would.
            let _ = tx.rollback().await;
            return Err(error);
        }
    };
    tx.commit().await.map_err(StoreError::OutcomeUnknown)?;
    Ok((place, writer, made))
}

/// Where a database is; opens connections to it.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// The one connection that writes. Every setting that durability hangs on stands here.
    pub(crate) async fn writer(&self) -> Result<DatabaseConnection, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.0)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        connect(pool(1), options).await
    }

    /// The connections that read, and cannot write.
    async fn readers(&self) -> Result<DatabaseConnection, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.0)
            .read_only(true)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        connect(pool(READERS), options).await
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn connect(
    pool: SqlitePoolOptions,
    options: SqliteConnectOptions,
) -> Result<DatabaseConnection, StoreError> {
    let opened = pool.connect_with(options).await;
    let opened = opened.map_err(|cause| {
        StoreError::from(sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(
            cause.into(),
        )))
    })?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(opened))
}

/// Makes the file before SQLite does, readable by its owner only; the files beside it inherit that.
fn make_private(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|cause| StoreError::Folder {
            path: path.to_owned(),
            cause,
        })
}

async fn check_library(connection: &DatabaseConnection) -> Result<(), StoreError> {
    let backend = connection.get_database_backend();
    let ask = sea_orm::Statement::from_string(backend, "SELECT sqlite_version() AS v");
    let row = connection.query_one_raw(ask).await?;
    let found: String = row
        .map(|row| row.try_get("", "v"))
        .transpose()?
        .unwrap_or_default();
    if is_sound(&found) {
        Ok(())
    } else {
        Err(StoreError::OldLibrary {
            found,
            needed: OLDEST_TEXT,
        })
    }
}

fn is_sound(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_damage_databases_are_refused() {
        assert!(
            ["3.51.3", "3.51.10", "3.54.1", "4.0.0"]
                .into_iter()
                .all(is_sound)
        );
        assert!(
            !["3.51.2", "3.7.0", "3.50.9", "", "x"]
                .into_iter()
                .any(is_sound)
        );
    }
}
