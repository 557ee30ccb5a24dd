//! `FeedService`, for the gateway.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_kernel::{ChannelId, SpaceId};
use guildhall_proto::chat::v1::{self as pb, feed_service_server::FeedService};
use tonic::{Request, Response};

use super::{Reply, convert, status};
use crate::{feed::Feed, messages::Messages};

/// How many changes the gateway gets where it does not say.
const USUAL: usize = 200;
/// The most that it gets at once.
const MOST: usize = 1_000;

/// The rpcs of the live feed.
pub(crate) struct FeedRpcs {
    pub(crate) feed: Arc<Feed>,
    pub(crate) messages: Arc<Messages>,
}

#[async_trait]
impl FeedService for FeedRpcs {
    async fn list_heads(
        &self,
        request: Request<pb::ListHeadsRequest>,
    ) -> Reply<pb::ListHeadsResponse> {
        let request = request.into_inner();
        let reader = convert::reader(&request.user_id).map_err(status)?;
        let spaces = convert::each("space_ids", &request.space_ids, SpaceId::parse);
        let spaces = spaces.map_err(status)?;
        let channels = convert::each("channel_ids", &request.channel_ids, ChannelId::parse);
        let channels = channels.map_err(status)?;

        let heads = self
            .feed
            .heads(reader, &spaces, &channels)
            .await
            .map_err(status)?;

        let epoch = self.feed.epoch();
        let heads = heads
            .into_iter()
            .map(|one| convert::channel_head(one, epoch));
        Ok(Response::new(pb::ListHeadsResponse {
            heads: heads.collect(),
        }))
    }

    async fn read_changes(
        &self,
        request: Request<pb::ReadChangesRequest>,
    ) -> Reply<pb::ReadChangesResponse> {
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let after = convert::position(request.after_rev, request.epoch);
        let limit = convert::limit(request.limit, USUAL, MOST);

        let since = self
            .messages
            .changes(channel, after, limit)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::ReadChangesResponse {
            messages: since.messages.into_iter().map(Into::into).collect(),
            through_rev: since.through.0,
            head: Some(convert::head(since.head, self.messages.epoch())),
        }))
    }
}
