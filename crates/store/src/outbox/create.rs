//! The tables of an outbox.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

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

/// Makes the row that numbers the events. Comes after [`CreateOutbox`].
pub struct CountOutbox;

impl MigrationName for CountOutbox {
    fn name(&self) -> &'static str {
        "outbox_2"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CountOutbox {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let head = Table::create()
            .table("outbox_head")
            .col(
                ColumnDef::new("id")
                    .small_integer()
                    .not_null()
                    .primary_key(),
            )
            .col(ColumnDef::new("n").big_integer().not_null())
            .to_owned();
        manager.create_table(head).await?;
        // It goes on from the last number that was given, also where that event was forgotten since.
        let last = if manager.get_database_backend() == DbBackend::Sqlite {
            "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"
        } else {
            "SELECT max(seq) FROM outbox"
        };
        let begin = format!("INSERT INTO outbox_head (id, n) SELECT 1, COALESCE(({last}), 0)");
        let connection = manager.get_connection();
        connection.execute_unprepared(&begin).await.map(drop)
    }
}
