//! What chat does when auth tells of a change in a space.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use guildhall_kernel::{SpaceId, Time, UserId};
use guildhall_mesh::{Note, outbox::Follower};
use tracing::{error, info};

use crate::{
    error::ChatError,
    event::{News, news},
    model::ChannelKind,
    store::{ChannelStore, Timeline},
};

/// The name under which chat keeps its place in auth's outbox.
pub const READER: &str = "chat";

/// Keeps chat in step with the spaces. Every effect bears a repeat.
pub struct Spaces {
    /// The channels.
    pub store: Arc<ChannelStore>,
    /// Their logs.
    pub timeline: Arc<dyn Timeline>,
}

impl Spaces {
    /// Writes down where a newcomer begins: at the newest message there was when they came, in every channel of the space. Until then
    /// it follows from when they came ([`Timeline::marks`]). Marks only move up, so what a person has read since, or before they went
    /// away, stays read.
    async fn join(&self, space: SpaceId, user: UserId, at: Time) -> Result<(), ChatError> {
        for channel in self.store.of_spaces(&[space], &ChannelKind::ALL).await? {
            self.timeline.mark_read_until(channel.id, user, at).await?;
        }
        Ok(())
    }

    /// Deletes the channels of a space that ended.
    async fn close(&self, space: SpaceId, at: Time) -> Result<(), ChatError> {
        let closed = self.store.close_space(space, at).await?;
        info!(%space, closed, "closed the channels of a deleted space");
        Ok(())
    }
}

#[async_trait]
impl Follower for Spaces {
    async fn take(&self, note: Note) -> Result<(), Box<dyn Error + Send + Sync>> {
        match news(&note) {
            Ok(Some(News::Joined { space, user, at })) => self.join(space, user, at).await?,
            Ok(Some(News::SpaceDeleted { space, at })) => self.close(space, at).await?,
            Ok(None) => {}
            // Trying again would not mend it, and everything behind it would wait for ever.
            Err(wrong) => {
                error!(event = %note.id, error = &wrong as &dyn Error, "an event of auth was skipped");
            }
        }
        Ok(())
    }
}
