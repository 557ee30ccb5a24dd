//! Where channels belong, for the authorization layer.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_kernel::{ChannelId, SpaceId};
use guildhall_mesh::guard::Places;
use guildhall_proto::options::v1::Place;
use tonic::Status;

use crate::{channels::Channels, grpc::status};

/// Leads from a channel to its space. Deleted channels still belong to theirs.
pub(crate) struct ChannelPlaces(pub(crate) Arc<Channels>);

#[async_trait]
impl Places for ChannelPlaces {
    async fn space_of(&self, place: Place, id: &str) -> Result<Option<SpaceId>, Status> {
        match place {
            Place::Space => Ok(SpaceId::parse(id).ok()),
            Place::Channel => match ChannelId::parse(id) {
                Ok(id) => self.0.space_of(id).await.map_err(status),
                Err(_) => Ok(None),
            },
            Place::Unspecified => Ok(None),
        }
    }
}
