//! Who came to a space when: written down when the newcomer's read marks are.

use std::{collections::HashMap, sync::Arc};

use guildhall_kernel::{SpaceId, Time, UserId};
use guildhall_store::Write;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, sea_query::OnConflict,
};

use super::{
    ChannelStore,
    row::arrival::{ActiveModel, Column, Entity},
};
use crate::store::StoreError;

/// Where one person has come, and when.
pub type CameAt = HashMap<SpaceId, Time>;

impl ChannelStore {
    /// The last arrival of a user in each space, as far as [`ChannelStore::put_arrival`] was told.
    pub async fn arrivals(&self, user: UserId) -> Result<Arc<CameAt>, StoreError> {
        if self.is_shared {
            return self.kept_arrivals(user).await;
        }
        self.arrivals_lately(user).await
    }

    /// Whether this arrival is written down.
    pub async fn has_arrived(
        &self,
        user: UserId,
        space: SpaceId,
        at: Time,
    ) -> Result<bool, StoreError> {
        // Everybody who posts is asked for here, and nearly all have been before.
        if self.settled.get(&(user, space)) == Some(at) {
            return Ok(true);
        }
        // What stood there a second ago was put there; what did not may have been since.
        let is_here = |came: &CameAt| came.get(&space) == Some(&at);
        let has_arrived = is_here(&*self.arrivals_lately(user).await?)
            || self.is_shared && is_here(&*self.kept_arrivals(user).await?);
        if has_arrived {
            self.settled.insert((user, space), at);
        }
        Ok(has_arrived)
    }

    async fn arrivals_lately(&self, user: UserId) -> Result<Arc<CameAt>, StoreError> {
        let read = async { self.kept_arrivals(user).await.map(Some) };
        Ok(self.arrived.get(&user, read).await?.unwrap_or_default())
    }

    async fn kept_arrivals(&self, user: UserId) -> Result<Arc<CameAt>, StoreError> {
        let rows = Entity::find()
            .filter(Column::UserId.eq(user.uuid()))
            .all(self.entities.read())
            .await?;
        let arrivals = rows
            .into_iter()
            .map(|row| (SpaceId::of(row.space_id), Time::from_micros(row.came_at)));
        Ok(Arc::new(arrivals.collect()))
    }

    /// Writes down when a user came to a space, in the place of what was written there.
    pub async fn put_arrival(
        &self,
        user: UserId,
        space: SpaceId,
        at: Time,
    ) -> Result<(), StoreError> {
        let store = self.clone();
        self.whole(async move {
            let put = store
                .entities
                .write(async move |write: &Write| -> Result<(), StoreError> {
                    let row = ActiveModel {
                        user_id: Set(user.uuid()),
                        space_id: Set(space.uuid()),
                        came_at: Set(at.micros()),
                    };
                    let same_place = OnConflict::columns([Column::UserId, Column::SpaceId])
                        .update_column(Column::CameAt)
                        .to_owned();
                    Entity::insert(row)
                        .on_conflict(same_place)
                        .exec_without_returning(write)
                        .await?;
                    Ok(())
                })
                .await;
            store.arrived.forget(&user);
            put
        })
        .await
    }
}
