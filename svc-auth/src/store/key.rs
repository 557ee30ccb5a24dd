//! Keys that sign access tokens, and what refresh tokens are derived with.

use guildhall_kernel::Time;
use guildhall_store::{StoreError, Write};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait as _, QueryOrder as _, sea_query::OnConflict,
};

use super::{
    damaged,
    entity::{secret, signing_key},
};

/// A key that signs, has signed, or will.
#[derive(Clone)]
pub(crate) struct StoredKey {
    pub(crate) id: String,
    pub(crate) seed: [u8; 32],
    pub(crate) created_at: Time,
}

/// All keys, the newest first.
pub(crate) async fn all(on: &impl ConnectionTrait) -> Result<Vec<StoredKey>, StoreError> {
    let rows = signing_key::Entity::find()
        .order_by_desc(signing_key::Column::CreatedAt)
        .order_by_desc(signing_key::Column::Id)
        .all(on)
        .await?;
    let keys = rows.into_iter().map(|row| {
        Ok(StoredKey {
            id: row.id,
            seed: row.seed.try_into().map_err(|_| damaged("signing_key"))?,
            created_at: Time::from_micros(row.created_at),
        })
    });
    keys.collect()
}

/// Keeps a new key.
pub(crate) async fn add(write: &Write, key: &StoredKey) -> Result<(), StoreError> {
    let row = signing_key::ActiveModel {
        id: Set(key.id.clone()),
        seed: Set(key.seed.to_vec()),
        created_at: Set(key.created_at.micros()),
    };
    signing_key::Entity::insert(row)
        .exec_without_returning(write)
        .await?;
    Ok(())
}

/// Forgets a key.
pub(crate) async fn drop_key(write: &Write, id: &str) -> Result<(), StoreError> {
    signing_key::Entity::delete_by_id(id).exec(write).await?;
    Ok(())
}

/// The secret of a name; where there is none yet, `fresh` becomes it.
pub(crate) async fn secret(
    write: &Write,
    name: &str,
    fresh: [u8; 32],
) -> Result<[u8; 32], StoreError> {
    let row = secret::ActiveModel {
        name: Set(name.to_owned()),
        bytes: Set(fresh.to_vec()),
    };
    let stays = OnConflict::column(secret::Column::Name)
        .do_nothing()
        .to_owned();
    secret::Entity::insert(row)
        .on_conflict(stays)
        .exec_without_returning(write)
        .await?;
    let kept = secret::Entity::find_by_id(name).one(write).await?;
    let kept = kept.ok_or_else(|| damaged("secret"))?;
    kept.bytes.try_into().map_err(|_| damaged("secret"))
}
