//! Where a service keeps its entities: a file of its own, or a schema of its own.

use std::path::PathBuf;

use sea_orm_migration::MigratorTrait;

use crate::{Entities, StoreError, postgres, sqlite};

/// Where the entities of one service are kept.
#[derive(Debug, Clone)]
pub enum Home {
    /// A SQLite file. The data folder around it must be locked ([`FolderLock`](crate::FolderLock)).
    File(PathBuf),
    /// A schema of a PostgreSQL database, which other processes may use at the same time.
    Schema(postgres::Schema),
}

impl Home {
    /// Opens the database. A file is made where it is missing and brought up to date; a schema must be what `M` says already, because
    /// other processes use it: [`Home::migrate`] changes it.
    ///
    /// # Errors
    /// Those of [`sqlite::open`] and [`postgres::open`].
    pub async fn open<M: MigratorTrait>(&self) -> Result<Entities, StoreError> {
        match self {
            Self::File(path) => sqlite::open::<M>(path).await,
            Self::Schema(schema) => postgres::open::<M>(schema).await,
        }
    }

    /// Makes every change of the tables that `M` knows and the database lacks, all or none. Returns their names.
    ///
    /// # Errors
    /// Those of [`sqlite::migrate`] and [`postgres::migrate`].
    pub async fn migrate<M: MigratorTrait>(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::File(path) => sqlite::migrate::<M>(path).await,
            Self::Schema(schema) => postgres::migrate::<M>(schema).await,
        }
    }
}
