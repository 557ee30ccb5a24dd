//! Brings tables up to date: ordered, additive changes, each made once and never edited after a release.

use std::{collections::HashSet, path::Path};

use sea_orm::{DatabaseConnection, DatabaseTransaction};
use sea_orm_migration::{MigratorTrait, seaql_migrations};

use crate::{StoreError, entities::begin_immediate};

/// Makes every change that `M` knows and the database lacks, in one transaction.
///
/// # Errors
/// [`StoreError::Newer`] where the database has one that `M` does not know; what the statements said otherwise.
pub(crate) async fn up<M: MigratorTrait>(
    writer: &DatabaseConnection,
    path: &Path,
) -> Result<(), StoreError> {
    let tx = begin_immediate(writer).await?;
    M::install(&tx).await?;
    if let Some(change) = first_unknown::<M>(&tx).await? {
        tx.rollback().await?;
        return Err(StoreError::Newer {
            path: path.to_owned(),
            change,
        });
    }
    M::up(&tx, None).await?;
    tx.commit().await.map_err(StoreError::OutcomeUnknown)
}

async fn first_unknown<M: MigratorTrait>(
    tx: &DatabaseTransaction,
) -> Result<Option<String>, StoreError> {
    let known: HashSet<String> = M::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    let made: Vec<seaql_migrations::Model> = M::get_migration_models(tx).await?;
    Ok(made
        .into_iter()
        .map(|change| change.version)
        .find(|version| !known.contains(version)))
}
