//! Leads from a channel to its space, by asking chat once.

use async_trait::async_trait;
use guildhall_kernel::{ChannelId, SpaceId};
use guildhall_mesh::guard::Places;
use guildhall_proto::options::v1::Place;
use quick_cache::sync::Cache;
use tonic::Status;

use super::chat::Chat;

/// Where channels belong. A channel never changes its space, so what is known stays true; what is not there is asked again.
pub(crate) struct ChannelPlaces {
    chat: Chat,
    known: Cache<ChannelId, SpaceId>,
}

impl ChannelPlaces {
    /// Remembers this many channels.
    pub(crate) fn new(chat: Chat, channels: usize) -> Self {
        Self {
            chat,
            known: Cache::new(channels),
        }
    }
}

#[async_trait]
impl Places for ChannelPlaces {
    async fn space_of(&self, place: Place, id: &str) -> Result<Option<SpaceId>, Status> {
        match place {
            Place::Unspecified => Ok(None),
            Place::Space => Ok(SpaceId::parse(id).ok()),
            Place::Channel => {
                let Ok(channel) = ChannelId::parse(id) else {
                    return Ok(None);
                };
                if let Some(space) = self.known.get(&channel) {
                    return Ok(Some(space));
                }
                let found = self.chat.heads(None, &[], &[channel]).await?;
                let space = found.first().map(|opened| opened.space);
                if let Some(space) = space {
                    self.known.insert(channel, space);
                }
                Ok(space)
            }
        }
    }
}
