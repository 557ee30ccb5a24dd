//! Accounts, sessions, keys and secrets.

use sea_orm_migration::prelude::*;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_accounts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let account = Table::create()
            .table("account")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("username").text().not_null())
            .col(
                ColumnDef::new("username_key")
                    .text()
                    .not_null()
                    .unique_key(),
            )
            .col(ColumnDef::new("email").text().not_null())
            .col(ColumnDef::new("email_key").text().not_null().unique_key())
            .col(ColumnDef::new("password_hash").text().not_null())
            .col(ColumnDef::new("display_name").text().not_null())
            .col(ColumnDef::new("display_words").text().not_null())
            .col(ColumnDef::new("status_text").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .to_owned();
        manager.create_table(account).await?;

        let session = Table::create()
            .table("auth_session")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("agent").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("used_at").big_integer().not_null())
            .col(ColumnDef::new("idle_ends_at").big_integer().not_null())
            .col(ColumnDef::new("ends_at").big_integer().not_null())
            .col(ColumnDef::new("ended_at").big_integer())
            .col(ColumnDef::new("generation").integer().not_null())
            .col(ColumnDef::new("token_digest").binary_len(32).not_null())
            .col(ColumnDef::new("parent_digest").binary_len(32))
            .foreign_key(
                ForeignKey::create()
                    .from("auth_session", "user_id")
                    .to("account", "id"),
            )
            .to_owned();
        manager.create_table(session).await?;
        let by_user = Index::create()
            .name("auth_session_by_user")
            .table("auth_session")
            .col("user_id")
            .to_owned();
        manager.create_index(by_user).await?;
        // Living sessions by the end of their time.
        let by_end = Index::create()
            .name("auth_session_by_end")
            .table("auth_session")
            .col("idle_ends_at")
            .and_where(Expr::col("ended_at").is_null())
            .to_owned();
        manager.create_index(by_end).await?;

        let key = Table::create()
            .table("signing_key")
            .col(ColumnDef::new("id").text().not_null().primary_key())
            .col(ColumnDef::new("seed").binary_len(32).not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .to_owned();
        manager.create_table(key).await?;

        let secret = Table::create()
            .table("secret")
            .col(ColumnDef::new("name").text().not_null().primary_key())
            .col(ColumnDef::new("bytes").binary_len(32).not_null())
            .to_owned();
        manager.create_table(secret).await
    }
}
