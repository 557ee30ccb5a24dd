//! Spaces, who belongs to them, and the numbered changes of that.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_spaces"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let space = Table::create()
            .table("space")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("kind").small_integer().not_null())
            .col(ColumnDef::new("name").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("deleted_at").big_integer())
            .to_owned();
        manager.create_table(space).await?;

        let member = Table::create()
            .table("space_member")
            .col(ColumnDef::new("space_id").uuid().not_null())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("role").small_integer().not_null())
            .col(ColumnDef::new("joined_at").big_integer().not_null())
            .col(ColumnDef::new("left_at").big_integer())
            .primary_key(Index::create().col("space_id").col("user_id"))
            .foreign_key(
                ForeignKey::create()
                    .from("space_member", "space_id")
                    .to("space", "id"),
            )
            .foreign_key(
                ForeignKey::create()
                    .from("space_member", "user_id")
                    .to("account", "id"),
            )
            .to_owned();
        manager.create_table(member).await?;
        let by_user = Index::create()
            .name("space_member_by_user")
            .table("space_member")
            .col("user_id")
            .to_owned();
        manager.create_index(by_user).await?;

        let key = Table::create()
            .table("space_key")
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("key").text().not_null())
            .col(ColumnDef::new("space_id").uuid().not_null())
            .primary_key(Index::create().col("user_id").col("key"))
            .to_owned();
        manager.create_table(key).await?;

        let change = Table::create()
            .table("access_change")
            .col(ColumnDef::new("n").big_integer().not_null().primary_key())
            .col(ColumnDef::new("at").big_integer().not_null())
            .col(ColumnDef::new("kind").small_integer().not_null())
            .col(ColumnDef::new("space_id").uuid())
            .col(ColumnDef::new("user_id").uuid())
            .col(ColumnDef::new("session_id").uuid())
            .col(ColumnDef::new("role").small_integer())
            .col(ColumnDef::new("joined").boolean().not_null())
            .to_owned();
        manager.create_table(change).await?;

        let count = Table::create()
            .table("access_count")
            .col(
                ColumnDef::new("id")
                    .small_integer()
                    .not_null()
                    .primary_key(),
            )
            .col(ColumnDef::new("n").big_integer().not_null())
            .to_owned();
        manager.create_table(count).await?;
        let zero = Query::insert()
            .into_table("access_count")
            .columns(["id", "n"])
            .values_panic([1.into(), 0.into()])
            .to_owned();
        manager.execute(zero).await
    }
}
