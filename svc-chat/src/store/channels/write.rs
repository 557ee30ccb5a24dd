//! What each write of channels does inside its transaction.
//!
//! On PostgreSQL others write at the same time. Who changes a channel takes its row first. Who makes one in a space, or closes the
//! space, is alone with that space: there is no row yet that both could take. Two that want the same name or key meet at its unique
//! index, and the slower one runs anew and finds it.

use guildhall_kernel::{ChannelId, EventId, SpaceId, Time};
use guildhall_mesh::Note;
use guildhall_store::{Write, outbox};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::{Set, Unchanged},
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{LockType, OnConflict},
};

use super::{
    ChannelStore, Created, Deleted, Updated, living,
    row::{self, channel, closed_space},
};
use crate::{
    event,
    model::{Channel, ChannelChange, ChannelKind, NewChannel},
    store::{StoreError, journal},
};

impl ChannelStore {
    pub(super) async fn create_in(
        &self,
        write: &Write,
        new: &NewChannel,
    ) -> Result<Created, StoreError> {
        alone(write, new.space).await?;
        let closed = closed_space::Entity::find_by_id(new.space.uuid());
        if closed.one(write).await?.is_some() {
            return Ok(Created::SpaceClosed);
        }
        let first = channel::Entity::find()
            .filter(channel::Column::CreatedBy.eq(new.by.uuid()))
            .filter(channel::Column::SpaceId.eq(new.space.uuid()))
            .filter(channel::Column::CreateKey.eq(new.key.as_str()))
            .one(write)
            .await?;
        if let Some(first) = first {
            let first = Channel::try_from(first)?;
            return Ok(match first.deleted_at {
                None => Created::Repeat(first),
                Some(_) => Created::Deleted,
            });
        }
        if is_taken(write, new.space, new.name.key()).await? {
            return Ok(Created::NameTaken);
        }

        let made = Channel {
            id: new.id,
            space: new.space,
            kind: ChannelKind::Text,
            name: new.name.as_str().to_owned(),
            topic: new.topic.as_str().to_owned(),
            created_at: new.at,
            people: Vec::new(),
            deleted_at: None,
        };
        let row = row::of(&made, new.name.key(), new.by, Some(new.key.as_str()));
        row.insert(write).await?;
        self.tell(write, new.at, &made, event::channel_created);
        Ok(Created::New(made))
    }

    pub(super) async fn update_in(
        &self,
        write: &Write,
        id: ChannelId,
        change: &ChannelChange,
        at: Time,
    ) -> Result<Updated, StoreError> {
        let Some(before) = lock(write, id)
            .await?
            .filter(|row| row.deleted_at.is_none())
        else {
            return Ok(Updated::Missing);
        };
        let (key_before, before) = (before.name_key.clone(), Channel::try_from(before)?);
        if before.kind == ChannelKind::Direct {
            return Ok(Updated::Direct);
        }
        let mut after = before.clone();
        let mut row = channel::ActiveModel {
            id: Unchanged(id.uuid()),
            ..Default::default()
        };
        if let Some(name) = &change.name {
            if name.key() != key_before && is_taken(write, before.space, name.key()).await? {
                return Ok(Updated::NameTaken);
            }
            name.as_str().clone_into(&mut after.name);
            row.name = Set(after.name.clone());
            row.name_key = Set(name.key().to_owned());
        }
        if let Some(topic) = &change.topic {
            topic.as_str().clone_into(&mut after.topic);
            row.topic = Set(after.topic.clone());
        }
        if after == before {
            return Ok(Updated::Unchanged(before));
        }

        row.update(write).await?;
        self.tell(write, at, &after, event::channel_updated);
        Ok(Updated::Done(after))
    }

    pub(super) async fn delete_in(
        &self,
        write: &Write,
        id: ChannelId,
        at: Time,
    ) -> Result<Deleted, StoreError> {
        let Some(row) = lock(write, id).await? else {
            return Ok(Deleted::Missing);
        };
        let was = Channel::try_from(row)?;
        match (was.deleted_at, was.kind) {
            (Some(_), _) => Ok(Deleted::Already),
            (None, ChannelKind::Direct) => Ok(Deleted::Direct),
            (None, ChannelKind::Text) => {
                self.end(write, &was, at).await?;
                Ok(Deleted::Done)
            }
        }
    }

    pub(super) async fn close_in(
        &self,
        write: &Write,
        space: SpaceId,
        at: Time,
    ) -> Result<Vec<ChannelId>, StoreError> {
        alone(write, space).await?;
        let closed = closed_space::ActiveModel {
            id: Set(space.uuid()),
            closed_at: Set(at.micros()),
        };
        let once = OnConflict::column(closed_space::Column::Id)
            .do_nothing()
            .to_owned();
        closed_space::Entity::insert(closed)
            .on_conflict(once)
            .exec_without_returning(write)
            .await?;

        let rows = living()
            .filter(channel::Column::SpaceId.eq(space.uuid()))
            .order_by_asc(channel::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(write)
            .await;
        let mut ended = Vec::new();
        for row in rows? {
            let was = Channel::try_from(row)?;
            self.end(write, &was, at).await?;
            ended.push(was.id);
        }
        Ok(ended)
    }

    async fn end(&self, write: &Write, was: &Channel, at: Time) -> Result<(), StoreError> {
        let row = channel::ActiveModel {
            id: Unchanged(was.id.uuid()),
            deleted_at: Set(Some(at.micros())),
            ..Default::default()
        };
        row.update(write).await?;
        self.tell(write, at, was, event::channel_deleted);
        Ok(())
    }

    /// Puts an event into the outbox, kept with its change or not at all.
    pub(super) fn tell(
        &self,
        write: &Write,
        at: Time,
        channel: &Channel,
        event: fn(EventId, Time, &Channel) -> Note,
    ) {
        let note = event(EventId::of(self.ids.uuid()), at, channel);
        outbox::append(write, journal::kept(note));
    }
}

/// Keeps out others who make channels in a space or close it.
async fn alone(write: &Write, space: SpaceId) -> Result<(), StoreError> {
    Ok(write.alone(&format!("space {space}")).await?)
}

/// A channel, which nobody else changes until the transaction ends.
async fn lock(write: &Write, id: ChannelId) -> Result<Option<channel::Model>, StoreError> {
    Ok(channel::Entity::find_by_id(id.uuid())
        .lock(LockType::NoKeyUpdate)
        .one(write)
        .await?)
}

async fn is_taken(write: &Write, space: SpaceId, key: &str) -> Result<bool, StoreError> {
    let found = living()
        .filter(channel::Column::SpaceId.eq(space.uuid()))
        .filter(channel::Column::NameKey.eq(key))
        .count(write)
        .await?;
    Ok(found > 0)
}
