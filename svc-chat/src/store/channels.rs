//! Channels in `chat.db` or a schema of PostgreSQL, with their events in the transaction of each change.

use std::{future::Future, sync::Arc};

use guildhall_kernel::{ChannelId, Ids, SpaceId, Time, UserId};
use guildhall_mesh::Tasks;
use guildhall_store::{Entities, Home, Write, outbox};
use quick_cache::sync::Cache;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::StoreError;
use crate::{
    event,
    migrations::Migrations,
    model::{Channel, ChannelChange, ChannelKind, NewChannel},
};

mod arrival;
mod memory;
mod row;
#[cfg(test)]
mod tests;
mod write;

pub use arrival::CameAt;
use memory::Memory;
use row::channel;

/// Of how many people the arrivals are remembered.
const PEOPLE: usize = 50_000;
/// How many spaces are named in one statement.
const TOGETHER: usize = 500;

/// The channels. Clones share them.
#[derive(Clone)]
pub struct ChannelStore {
    entities: Entities,
    ids: Arc<dyn Ids>,
    tasks: Tasks,
    /// Channels, deleted ones too.
    known: Arc<Memory<ChannelId, Arc<Channel>>>,
    /// The arrivals of people.
    arrived: Arc<Memory<UserId, Arc<CameAt>>>,
    /// Arrivals that were found written down. That stays true, whoever writes what in their place.
    settled: Arc<Cache<(UserId, SpaceId), Time>>,
    /// Whether other processes write the database, too.
    is_shared: bool,
}

/// What became of a channel to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    New(Channel),
    /// Its creator's key was there already in the space: the first channel, in its present state.
    Repeat(Channel),
    /// That first channel was deleted since.
    Deleted,
    /// Another channel of the space has the name.
    NameTaken,
    /// The space has ended.
    SpaceClosed,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// The channel after the change.
    Done(Channel),
    /// The channel was like that already.
    Unchanged(Channel),
    /// There is no such channel, or it was deleted.
    Missing,
    /// Direct channels do not change.
    Direct,
    /// Another channel of the space has the name.
    NameTaken,
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is deleted.
    Done,
    /// It was deleted before.
    Already,
    /// There was no such channel.
    Missing,
    /// Direct channels are not deleted.
    Direct,
}

impl ChannelStore {
    /// Opens the database. It remembers up to `remembered` channels, for a second only where other processes write it, too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(
        home: &Home,
        ids: Arc<dyn Ids>,
        tasks: Tasks,
        remembered: usize,
    ) -> Result<Self, guildhall_store::StoreError> {
        let entities = home.open::<Migrations>().await?;
        let is_shared = entities.is_shared();
        let (known, arrived) = (Memory::new(remembered), Memory::new(PEOPLE));
        if is_shared {
            known.clone().fade(&tasks);
            arrived.clone().fade(&tasks);
        }
        Ok(Self {
            entities,
            ids,
            tasks,
            known,
            arrived,
            settled: Arc::new(Cache::new(PEOPLE)),
            is_shared,
        })
    }

    /// The opened database, for its outbox.
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    /// A channel, also a deleted one.
    pub async fn channel(&self, id: ChannelId) -> Result<Option<Arc<Channel>>, StoreError> {
        if self.is_shared {
            return self.kept(id).await;
        }
        self.lately(id).await
    }

    /// The same as it was at most a second ago, for rules: they hold in every process a second after a change. The process that made
    /// the change knows it at once.
    pub async fn lately(&self, id: ChannelId) -> Result<Option<Arc<Channel>>, StoreError> {
        self.known.get(&id, self.kept(id)).await
    }

    async fn kept(&self, id: ChannelId) -> Result<Option<Arc<Channel>>, StoreError> {
        let row = by_id(self.entities.read(), id).await?;
        row.map(|row| Channel::try_from(row).map(Arc::new))
            .transpose()
    }

    /// To be called after every change of a channel, whatever came of it.
    fn forget(&self, id: &ChannelId) {
        self.known.forget(id);
    }

    /// Makes a team's channel and tells it. Of two with the same space, creator and key the first wins.
    pub async fn create(&self, new: NewChannel) -> Result<Created, StoreError> {
        let store = self.clone();
        self.whole(async move {
            store
                .entities
                .write(async |write: &Write| store.create_in(write, &new).await)
                .await
        })
        .await
    }

    /// Keeps a direct channel and tells it, unless it is there already.
    pub async fn ensure_direct(&self, wanted: Channel, by: UserId) -> Result<Channel, StoreError> {
        let store = self.clone();
        self.whole(async move {
            let ensured = async |write: &Write| {
                if let Some(row) = by_id(write, wanted.id).await? {
                    return Channel::try_from(row);
                }
                row::of(&wanted, "", by, None).insert(write).await?;
                store.tell(write, wanted.created_at, &wanted, event::channel_created);
                Ok(wanted.clone())
            };
            store.entities.write(ensured).await
        })
        .await
    }

    /// Changes a team's channel and tells it.
    pub async fn update(
        &self,
        id: ChannelId,
        change: ChannelChange,
        at: Time,
    ) -> Result<Updated, StoreError> {
        let store = self.clone();
        self.whole(async move {
            let updated = store
                .entities
                .write(async |write: &Write| store.update_in(write, id, &change, at).await)
                .await;
            store.forget(&id);
            updated
        })
        .await
    }

    /// Deletes a team's channel and tells it. Its row stays, its name is free.
    pub async fn delete(&self, id: ChannelId, at: Time) -> Result<Deleted, StoreError> {
        let store = self.clone();
        self.whole(async move {
            let deleted = store
                .entities
                .write(async |write: &Write| store.delete_in(write, id, at).await)
                .await;
            store.forget(&id);
            deleted
        })
        .await
    }

    /// Deletes all channels of a space, tells each, and lets none be made there again. Returns how many there were.
    pub async fn close_space(&self, space: SpaceId, at: Time) -> Result<usize, StoreError> {
        let store = self.clone();
        self.whole(async move {
            let closed = store
                .entities
                .write(async |write: &Write| store.close_in(write, space, at).await)
                .await?;
            for id in &closed {
                store.forget(id);
            }
            Ok(closed.len())
        })
        .await
    }

    /// Up to `limit` living channels of a space by name, after the name of one of its channels. `None`: that one is not of the space.
    pub async fn page_of_space(
        &self,
        space: SpaceId,
        after: Option<ChannelId>,
        limit: usize,
    ) -> Result<Option<Vec<Channel>>, StoreError> {
        let mut find = living().filter(channel::Column::SpaceId.eq(space.uuid()));
        if let Some(after) = after {
            match by_id(self.entities.read(), after).await? {
                Some(row) if row.space_id == space.uuid() => {
                    find = find.filter(channel::Column::NameKey.gt(row.name_key));
                }
                _ => return Ok(None),
            }
        }
        let rows = find
            .order_by_asc(channel::Column::NameKey)
            .limit(u64::try_from(limit).unwrap_or(u64::MAX))
            .all(self.entities.read())
            .await?;
        rows.into_iter()
            .map(Channel::try_from)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// All living channels of some spaces that are of these kinds, in no order.
    pub async fn of_spaces(
        &self,
        spaces: &[SpaceId],
        kinds: &[ChannelKind],
    ) -> Result<Vec<Channel>, StoreError> {
        let kinds: Vec<_> = kinds.iter().map(|kind| i16::from(kind.number())).collect();
        let mut channels = Vec::new();
        for spaces in spaces.chunks(TOGETHER) {
            let rows = living()
                .filter(channel::Column::SpaceId.is_in(spaces.iter().map(|space| space.uuid())))
                .filter(channel::Column::Kind.is_in(kinds.iter().copied()))
                .all(self.entities.read())
                .await?;
            for row in rows {
                channels.push(row.try_into()?);
            }
        }
        Ok(channels)
    }

    /// Forgets events that nobody will ask for again. Returns how many.
    pub async fn prune(&self, now: Time) -> Result<u64, StoreError> {
        Ok(outbox::prune(&self.entities, now).await?)
    }

    /// Closes the database after the write that is under way.
    pub async fn close(&self) {
        self.entities.close().await;
    }

    /// Runs a write to its end, also when its caller goes away in the middle: a commit whose channel stayed in `known` would be
    /// hidden by it for good.
    async fn whole<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.tasks.spawn("channel write", write).await {
            Ok(Some(done)) => done,
            Ok(None) => Err(StoreError::Closed),
            Err(panic) => Err(StoreError::Broken(panic.into())),
        }
    }
}

fn living() -> sea_orm::Select<channel::Entity> {
    channel::Entity::find().filter(channel::Column::DeletedAt.is_null())
}

async fn by_id(
    from: &impl sea_orm::ConnectionTrait,
    id: ChannelId,
) -> Result<Option<channel::Model>, StoreError> {
    Ok(channel::Entity::find_by_id(id.uuid()).one(from).await?)
}

impl std::fmt::Debug for ChannelStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelStore")
            .field("entities", &self.entities)
            .finish_non_exhaustive()
    }
}
