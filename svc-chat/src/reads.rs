//! How far people have read.

use std::{error::Error, sync::Arc};

use guildhall_kernel::{ChannelId, Clock, EventId, Ids, Listed, Page, UserId};
use guildhall_mesh::{Bus, Caller};
use tracing::warn;

use crate::{
    arrivals::Arrivals,
    channels::living,
    error::ChatError,
    event,
    model::{MessageId, Seq},
    store::{ChannelStore, Moved, Timeline},
};

/// The rules of read marks.
pub struct Reads {
    /// The channels.
    pub store: Arc<ChannelStore>,
    /// Where the marks are.
    pub timeline: Arc<dyn Timeline>,
    /// Where newcomers begin.
    pub arrivals: Arc<Arrivals>,
    /// Where it is told that somebody read on.
    pub bus: Arc<dyn Bus>,
    /// For the times of events.
    pub clock: Arc<dyn Clock>,
    /// For the ids of events.
    pub ids: Arc<dyn Ids>,
}

impl Reads {
    /// Moves the caller's mark up to a message of the channel. It never moves down.
    #[tracing::instrument(name = "chat.mark_read", skip_all, fields(message = %id))]
    pub async fn mark(
        &self,
        caller: &Caller,
        channel: ChannelId,
        id: MessageId,
    ) -> Result<Moved, ChatError> {
        let space = living(&self.store, channel).await?.space;
        if id.channel != channel || self.timeline.message(id).await?.is_none() {
            return Err(ChatError::NoSuchMessage);
        }
        self.arrivals.settle(caller.user, space).await?;
        let moved = self
            .timeline
            .mark_read(channel, caller.user, id.seq, self.clock.now())
            .await?;
        self.tell(channel, caller.user, moved).await;
        Ok(moved)
    }

    /// The marks in a channel, by user id.
    pub async fn list(
        &self,
        channel: ChannelId,
        page: Page,
    ) -> Result<Listed<(UserId, Seq)>, ChatError> {
        living(&self.store, channel).await?;
        let after = page
            .after_array()
            .map_err(|wrong| ChatError::field("page_token", wrong))?;
        let after = after.map(UserId::from_bytes);
        let found = self.timeline.readers(channel, after, page.size + 1).await?;
        Ok(page.cut(found, |(user, _)| user.bytes().to_vec()))
    }

    /// Tells that a mark moved. Best effort: the mark is the record, and whoever comes to the channel reads it.
    async fn tell(&self, channel: ChannelId, user: UserId, moved: Moved) {
        if moved.from == moved.to {
            return;
        }
        let id = EventId::of(self.ids.uuid());
        let note = event::read_moved(id, self.clock.now(), channel, user, (moved.from, moved.to));
        if let Err(error) = self.bus.send(note).await {
            warn!(%channel, error = &error as &dyn Error, "a read mark moved untold");
        }
    }
}
