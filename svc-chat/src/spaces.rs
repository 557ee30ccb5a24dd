//! What chat does when auth tells of a change in a space.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use guildhall_kernel::{SpaceId, Time};
use guildhall_mesh::{Note, outbox::Follower};
use tracing::{error, info};

use crate::{
    arrivals::Arrivals,
    error::ChatError,
    event::{News, news},
    store::ChannelStore,
};

/// The name under which chat keeps its place among auth's events.
pub const READER: &str = "chat";
/// The events that chat follows, where they come by a stream.
pub const HEARD: &str = "guildhall.auth.v1.*.*";

/// Keeps chat in step with the spaces. Every effect bears a repeat.
pub struct Spaces {
    /// The channels.
    pub store: Arc<ChannelStore>,
    /// Where newcomers begin.
    pub arrivals: Arc<Arrivals>,
}

impl Spaces {
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
            Ok(Some(News::Joined { space, user, at })) => {
                self.arrivals.place(space, user, at).await?;
            }
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
