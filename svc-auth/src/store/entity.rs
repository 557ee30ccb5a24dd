//! The tables as SeaORM sees them.

macro_rules! entities {
    ($($(#[$doc:meta])* $name:ident = $table:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        pub(super) mod $name {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub(in crate::store) struct Model {
                $($(#[$attribute])* pub(in crate::store) $field: $type,)*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub(in crate::store) enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    )*};
}

entities! {
    account = "account" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        username: String,
        username_key: String,
        email: String,
        email_key: String,
        password_hash: String,
        display_name: String,
        display_words: String,
        status_text: String,
        created_at: i64,
    }

    session = "auth_session" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        user_id: Uuid,
        agent: String,
        created_at: i64,
        used_at: i64,
        idle_ends_at: i64,
        ends_at: i64,
        ended_at: Option<i64>,
        generation: i32,
        token_digest: Vec<u8>,
        parent_digest: Option<Vec<u8>>,
    }

    signing_key = "signing_key" {
        #[sea_orm(primary_key, auto_increment = false)] id: String,
        seed: Vec<u8>,
        created_at: i64,
    }

    secret = "secret" {
        #[sea_orm(primary_key, auto_increment = false)] name: String,
        bytes: Vec<u8>,
    }

    space = "space" {
        #[sea_orm(primary_key, auto_increment = false)] id: Uuid,
        kind: i16,
        name: String,
        created_at: i64,
        deleted_at: Option<i64>,
    }

    member = "space_member" {
        #[sea_orm(primary_key, auto_increment = false)] space_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] user_id: Uuid,
        role: i16,
        joined_at: i64,
        left_at: Option<i64>,
    }

    space_key = "space_key" {
        #[sea_orm(primary_key, auto_increment = false)] user_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)] key: String,
        space_id: Uuid,
    }

    change = "access_change" {
        #[sea_orm(primary_key, auto_increment = false)] n: i64,
        at: i64,
        kind: i16,
        space_id: Option<Uuid>,
        user_id: Option<Uuid>,
        session_id: Option<Uuid>,
        role: Option<i16>,
        joined: bool,
    }

    count = "access_count" {
        #[sea_orm(primary_key, auto_increment = false)] id: i16,
        n: i64,
    }
}
