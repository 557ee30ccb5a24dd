//! Brings tables up to date: ordered, additive changes, each made once and never edited after a release.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};
use sea_orm_migration::MigratorTrait;

use crate::StoreError;

/// Makes every change that `M` knows and the database at `place` lacks. Returns their names.
///
/// # Errors
/// [`StoreError::Newer`] where the database has one that `M` does not know; what the statements said otherwise.
pub(crate) async fn up<M: MigratorTrait>(
    tx: &DatabaseTransaction,
    place: &str,
) -> Result<Vec<String>, StoreError> {
    M::install(tx).await?;
    let missing = missing::<M>(tx, place).await?;
    M::up(tx, None).await?;
    Ok(missing)
}

/// The changes that `M` knows and the database at `place` lacks, in order. Changes nothing.
///
/// # Errors
/// [`StoreError::Newer`] where the database has one that `M` does not know.
pub(crate) async fn missing<M: MigratorTrait>(
    on: &impl ConnectionTrait,
    place: &str,
) -> Result<Vec<String>, StoreError> {
    let made = made(on).await?;
    let known: Vec<String> = M::migrations()
        .iter()
        .map(|change| change.name().to_owned())
        .collect();
    if let Some(change) = made.iter().find(|change| !known.contains(change)) {
        return Err(StoreError::Newer {
            place: place.to_owned(),
            change: change.clone(),
        });
    }
    let made: HashSet<String> = made.into_iter().collect();
    Ok(known
        .into_iter()
        .filter(|change| !made.contains(change))
        .collect())
}

/// The changes that were made, also those that `M` does not know.
async fn made(on: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let backend = on.get_database_backend();
    let look = if backend == DbBackend::Postgres {
        "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'seaql_migrations'"
    } else {
        "SELECT 1 FROM sqlite_schema WHERE name = 'seaql_migrations'"
    };
    let list = on
        .query_one_raw(Statement::from_string(backend, look))
        .await?;
    if list.is_none() {
        return Ok(Vec::new());
    }
    let ask = "SELECT version FROM seaql_migrations ORDER BY version";
    on.query_all_raw(Statement::from_string(backend, ask))
        .await?
        .iter()
        .map(|row| row.try_get("", "version"))
        .collect()
}
