//! The engine of a cluster: ScyllaDB, or Cassandra.
//!
//! In reading order: `schema` is what is in the tables; `row` what a row stands for; `plan` judges what people want of a channel,
//! `attempt` is a batch of it, and `commit` makes it; `end` finds the end of a log, opens its next bucket and finishes what is half done; `keys` and `desk` are what is
//! kept in memory, `flight` shares reads; `view` are the questions; `tell` tells what `teller` keeps, `sweep` finds what was not told, and `again` tells
//! once more what the bus forgot. `session`, `statements`, `database` and `marks`
//! are how the servers are asked, `migrate`, `inspect` and `measure` are for operators, `failure` is what can go wrong, and `fault` what a proof can make go wrong.
//!
//! A channel's log stands in buckets of 8,192 messages, a partition each. The newest one holds the head, which only a batch moves that
//! names the head it builds on; so whoever writes, numbers have no gaps and changes one order. Which process writes is a matter of
//! speed alone: what is kept in memory is proved by every batch that goes through.
//!
//! A change of a message in an earlier bucket cannot share a batch with the head. It is written beside the head first, and counts
//! (`applied_rev`) once the message carries it; whoever finds one in between completes it before doing anything else.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use guildhall_kernel::{ChannelId, Clock, Ids, Time, UserId};
use guildhall_mesh::{Bus, Tasks};
use quick_cache::sync::Cache;

use super::{
    StoreError,
    timeline::{Appended, Changed, Changes, History, Moved, Newest, Place, Timeline},
};
use crate::{
    config::CqlSettings,
    model::{Draft, Epoch, Mark, Message, MessageId, Rev, Seq, Text},
};

mod again;
mod attempt;
mod commit;
mod database;
mod desk;
mod end;
mod failure;
mod fault;
mod flight;
mod inspect;
mod keys;
mod marks;
mod measure;
mod migrate;
mod plan;
mod row;
mod schema;
mod session;
mod shard;
mod statements;
mod sweep;
mod tell;
mod teller;
#[cfg(test)]
mod tests;
mod view;

use database::{Asked, Database};
use desk::Desks;
pub use fault::Faults;
use flight::Flights;
pub use inspect::{Condition, inspect};
pub use migrate::{migrate, remove};
use plan::{Answer, Wish};
pub use schema::SchemaError;
pub use session::ConnectError;
use session::Profiles;
use sweep::Dirty;
use teller::Teller;

/// How many questions of one call are under way at once.
const AT_ONCE: usize = 32;
/// Of how many channels the newest bucket is remembered.
const BUCKETS_REMEMBERED: usize = 100_000;
/// How far our clock may be off that of the servers.
pub const CLOCKS_APART: Duration = Duration::from_secs(120);

/// How big the engine is.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many changes may wait. Further ones are refused at once with [`StoreError::Busy`].
    pub waiting: usize,
    /// Which guards are off, for proofs.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            waiting: 4_096,
            faults: Faults::default(),
        }
    }
}

/// What the engine is built from.
pub struct Parts {
    /// How big it is.
    pub options: Options,
    /// The present instant.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// Where its tasks are tracked. They are to be stopped before the process ends: changes are made in tasks.
    pub tasks: Tasks,
    /// Where changes are told. Without one they are left to another process.
    pub bus: Option<Arc<dyn Bus>>,
}

/// Timelines in ScyllaDB or Cassandra.
pub struct CqlTimeline {
    core: Arc<Core>,
    desks: Arc<Desks>,
}

/// What all parts of the engine use.
struct Core {
    database: Database,
    epoch: Epoch,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    tasks: Tasks,
    faults: Faults,
    teller: Option<Teller>,
    dirty: Dirty,
    /// The newest bucket of a channel, or an earlier one.
    buckets: Cache<ChannelId, u32>,
    /// Newest pages, by channel and length.
    newest: Flights<(ChannelId, usize), Asked<History>>,
}

impl CqlTimeline {
    /// Connects to a keyspace that [`migrate`] has prepared, and starts to look for what was not told.
    pub async fn open(settings: &CqlSettings, parts: Parts) -> Result<Self, ConnectError> {
        let Parts {
            options,
            clock,
            ids,
            tasks,
            bus,
        } = parts;
        let session = session::connect(settings).await?;
        let epoch = schema::epoch(&session, settings).await?;
        let statements = statements::prepare(&session, settings, options.faults).await?;
        let database = Database {
            session,
            statements,
            profiles: Profiles::of(settings),
        };
        let core = Arc::new(Core {
            database,
            epoch,
            clock,
            ids,
            tasks,
            faults: options.faults,
            teller: bus.map(Teller::new),
            dirty: Dirty::default(),
            buckets: Cache::new(BUCKETS_REMEMBERED),
            newest: Flights::default(),
        });
        core.tasks
            .spawn("chat cql metrics", measure::keep(core.clone()));
        if core.teller.is_some() && !options.faults.forgets_untold() {
            core.tasks.spawn("chat sweep", sweep::sweep(core.clone()));
            core.tasks.spawn("chat again", again::watch(core.clone()));
        }
        let desks = Arc::new(Desks::new(core.clone(), options.waiting));
        Ok(Self { core, desks })
    }

    /// Refuses changes from now on. Those under way end with the tasks.
    pub fn close(&self) {
        self.desks.close();
    }

    /// Says whether enough servers answer and their clock is near ours, or why not.
    ///
    /// # Errors
    /// A sentence for operators.
    pub async fn ready(&self) -> Result<(), String> {
        let nowhere = ChannelId::from_bytes([0; 16]);
        let database = &self.core.database;
        let asked = futures::try_join!(database.time(), database.head(nowhere, 0));
        let (theirs, _) = asked.map_err(|error| error.to_string())?;
        let ours = self.core.clock.now();
        let apart = ours.since(theirs).max(theirs.since(ours));
        if apart > CLOCKS_APART {
            return Err(format!(
                "the clock is {} s off that of the servers",
                apart.as_secs()
            ));
        }
        Ok(())
    }

    async fn change(&self, id: MessageId, wish: Wish) -> Result<Changed, StoreError> {
        match self.desks.ask(id.channel, wish).await? {
            Answer::Changed(changed) => Ok(changed),
            other @ (Answer::Appended(_) | Answer::Full) => Err(misled(&other)),
        }
    }
}

/// An answer to another question.
fn misled(answer: &Answer) -> StoreError {
    StoreError::Broken(format!("the answer is {answer:?}").into())
}

#[async_trait]
impl Timeline for CqlTimeline {
    fn epoch(&self) -> &Epoch {
        &self.core.epoch
    }

    async fn append(&self, channel: ChannelId, draft: Draft) -> Result<Appended, StoreError> {
        match self.desks.ask(channel, Wish::Append(draft)).await? {
            Answer::Appended(appended) => Ok(appended),
            other @ (Answer::Changed(_) | Answer::Full) => Err(misled(&other)),
        }
    }

    async fn edit(
        &self,
        id: MessageId,
        editor: UserId,
        text: Text,
        at: Time,
    ) -> Result<Changed, StoreError> {
        let seq = id.seq;
        self.change(
            id,
            Wish::Edit {
                seq,
                editor,
                text,
                at,
            },
        )
        .await
    }

    async fn delete(
        &self,
        id: MessageId,
        by: UserId,
        of_others: bool,
        at: Time,
    ) -> Result<Changed, StoreError> {
        let seq = id.seq;
        self.change(
            id,
            Wish::Delete {
                seq,
                by,
                of_others,
                at,
            },
        )
        .await
    }

    async fn message(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        Ok(self.core.message(id).await?)
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Newest>, StoreError> {
        let heads = stream::iter(channels.to_vec())
            .map(|channel| self.core.head_and_message(channel))
            .buffered(AT_ONCE);
        Ok(heads.try_collect().await?)
    }

    async fn history(
        &self,
        channel: ChannelId,
        place: Place,
        limit: usize,
    ) -> Result<History, StoreError> {
        Ok(self.core.history(channel, place, limit).await?)
    }

    async fn changes(
        &self,
        channel: ChannelId,
        after: Rev,
        limit: usize,
    ) -> Result<Changes, StoreError> {
        Ok(self.core.changes(channel, after, limit).await?)
    }

    async fn mark_read(
        &self,
        channel: ChannelId,
        user: UserId,
        to: Seq,
        at: Time,
    ) -> Result<Moved, StoreError> {
        Ok(self.core.mark_read(channel, user, to, at).await?)
    }

    async fn mark_read_until(
        &self,
        channel: ChannelId,
        user: UserId,
        at: Time,
    ) -> Result<Moved, StoreError> {
        Ok(self.core.mark_read_until(channel, user, at).await?)
    }

    async fn marks(
        &self,
        user: UserId,
        channels: &[(ChannelId, Option<Time>)],
    ) -> Result<Vec<Mark>, StoreError> {
        let marks = stream::iter(channels.to_vec())
            .map(|(channel, came)| self.core.mark_since(channel, user, came))
            .buffered(AT_ONCE);
        Ok(marks.try_collect().await?)
    }

    async fn readers(
        &self,
        channel: ChannelId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, Seq)>, StoreError> {
        Ok(self.core.database.readers(channel, after, limit).await?)
    }
}
