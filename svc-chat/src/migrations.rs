//! The tables of channels: ordered, additive changes, never edited after a release.

use guildhall_store::outbox::{CountOutbox, CreateOutbox};
use sea_orm_migration::prelude::*;

mod m0001_channel;
mod m0002_arrival;

/// Every change, in order.
pub(crate) struct Migrations;

#[async_trait::async_trait]
impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(CreateOutbox),
            Box::new(m0001_channel::CreateChannel),
            Box::new(m0002_arrival::CreateArrival),
            Box::new(CountOutbox),
        ]
    }
}
