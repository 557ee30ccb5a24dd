//! Channels, and the spaces that were closed.

use sea_orm_migration::prelude::*;

pub(super) struct CreateChannel;

impl MigrationName for CreateChannel {
    fn name(&self) -> &'static str {
        "m0001_channel"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateChannel {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let channel = Table::create()
            .table("channel")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("space_id").uuid().not_null())
            .col(ColumnDef::new("kind").small_integer().not_null())
            .col(ColumnDef::new("name").text().not_null())
            // The folded name: what must be unique in the space.
            .col(ColumnDef::new("name_key").text().not_null())
            .col(ColumnDef::new("topic").text().not_null())
            .col(ColumnDef::new("created_by").uuid().not_null())
            // What its creator called the call, in this space; null for direct channels, whose id is their key.
            .col(ColumnDef::new("create_key").text())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            // Who is in a direct one: 16 bytes each, in their order.
            .col(ColumnDef::new("people").binary().not_null())
            .col(ColumnDef::new("deleted_at").big_integer())
            .to_owned();
        manager.create_table(channel).await?;

        // Deleted channels free their names.
        let by_name = Index::create()
            .name("channel_name")
            .table("channel")
            .col("space_id")
            .col("name_key")
            .unique()
            .and_where(Expr::col("deleted_at").is_null())
            .to_owned();
        manager.create_index(by_name).await?;
        let by_key = Index::create()
            .name("channel_key")
            .table("channel")
            .col("created_by")
            .col("space_id")
            .col("create_key")
            .unique()
            .to_owned();
        manager.create_index(by_key).await?;

        let closed = Table::create()
            .table("closed_space")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("closed_at").big_integer().not_null())
            .to_owned();
        manager.create_table(closed).await
    }
}
