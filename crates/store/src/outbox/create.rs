//! The tables of an outbox.

use sea_orm_migration::prelude::*;

/// Makes the outbox and its cursors. The first of a service's migrations.
pub struct CreateOutbox;

impl MigrationName for CreateOutbox {
    fn name(&self) -> &'static str {
        "outbox_1"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateOutbox {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let outbox = Table::create()
            .table("outbox")
            // AUTOINCREMENT: the number of a forgotten event is never given again.
            .col(
                ColumnDef::new("seq")
                    .big_integer()
                    .not_null()
                    .auto_increment()
                    .primary_key(),
            )
            .col(ColumnDef::new("event_id").uuid().not_null().unique_key())
            .col(ColumnDef::new("subject").text().not_null())
            .col(ColumnDef::new("payload").blob().not_null())
            .col(ColumnDef::new("at").big_integer().not_null())
            .to_owned();
        manager.create_table(outbox).await?;
        let cursor = Table::create()
            .table("consumer_cursor")
            .col(ColumnDef::new("name").text().not_null().primary_key())
            .col(ColumnDef::new("last_seq").big_integer().not_null())
            .to_owned();
        manager.create_table(cursor).await
    }
}
