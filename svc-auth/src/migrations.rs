//! The tables of svc-auth, in the order they came. Additive, and never edited after a release.

use guildhall_store::outbox::{CountOutbox, CreateOutbox};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

mod m0001_accounts;
mod m0002_spaces;

/// All of them.
pub(crate) struct Migrations;

impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(CreateOutbox),
            Box::new(m0001_accounts::Migration),
            Box::new(m0002_spaces::Migration),
            Box::new(CountOutbox),
        ]
    }
}
