//! Who came to a space when, as far as chat has heard.

use sea_orm_migration::prelude::*;

pub(super) struct CreateArrival;

impl MigrationName for CreateArrival {
    fn name(&self) -> &'static str {
        "m0002_arrival"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateArrival {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let arrival = Table::create()
            .table("arrival")
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("space_id").uuid().not_null())
            .col(ColumnDef::new("came_at").big_integer().not_null())
            .primary_key(Index::create().col("user_id").col("space_id"))
            .to_owned();
        manager.create_table(arrival).await
    }
}
