//! `ChannelService`.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_kernel::UserId;
use guildhall_mesh::Caller;
use guildhall_proto::chat::v1::{self as pb, channel_service_server::ChannelService};
use tonic::{Request, Response};

use super::{Reply, convert, status};
use crate::{channels::Channels, feed::Feed, model::ChannelChange, reads::Reads};

/// The rpcs about channels.
pub(crate) struct ChannelRpcs {
    pub(crate) channels: Arc<Channels>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) reads: Arc<Reads>,
}

#[async_trait]
impl ChannelService for ChannelRpcs {
    async fn open_direct(
        &self,
        request: Request<pb::OpenDirectRequest>,
    ) -> Reply<pb::OpenDirectResponse> {
        let caller = Caller::of(&request)?;
        let others = convert::people("user_ids", &request.into_inner().user_ids, &caller);
        let others = others.map_err(status)?;

        let channel = self
            .channels
            .open_direct(&caller, &others)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::OpenDirectResponse {
            channel: Some(channel.into()),
        }))
    }

    async fn list_channels(
        &self,
        request: Request<pb::ListChannelsRequest>,
    ) -> Reply<pb::ListChannelsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let kinds = convert::kinds(&request.kinds).map_err(status)?;
        let page = convert::page(request.page_size, &request.page_token).map_err(status)?;

        let listed = self
            .feed
            .mine(&caller, &kinds, page)
            .await
            .map_err(status)?;

        let epoch = self.feed.epoch();
        let channels = listed
            .items
            .into_iter()
            .map(|state| convert::state(state, epoch));
        Ok(Response::new(pb::ListChannelsResponse {
            channels: channels.collect(),
            next_page_token: listed.next,
        }))
    }

    async fn list_space_channels(
        &self,
        request: Request<pb::ListSpaceChannelsRequest>,
    ) -> Reply<pb::ListSpaceChannelsResponse> {
        let request = request.into_inner();
        let space = convert::space_id(&request.space_id).map_err(status)?;
        let page = convert::page(request.page_size, &request.page_token).map_err(status)?;

        let listed = self.channels.of_space(space, page).await.map_err(status)?;

        Ok(Response::new(pb::ListSpaceChannelsResponse {
            channels: listed.items.into_iter().map(Into::into).collect(),
            next_page_token: listed.next,
        }))
    }

    async fn create_channel(
        &self,
        request: Request<pb::CreateChannelRequest>,
    ) -> Reply<pb::CreateChannelResponse> {
        let caller = Caller::of(&request)?;
        let wanted = request.into_inner().try_into().map_err(status)?;

        let channel = self
            .channels
            .create(&caller, wanted)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::CreateChannelResponse {
            channel: Some(channel.into()),
        }))
    }

    async fn get_channel(
        &self,
        request: Request<pb::GetChannelRequest>,
    ) -> Reply<pb::GetChannelResponse> {
        let id = convert::channel_id(&request.into_inner().channel_id).map_err(status)?;

        let channel = self.channels.channel(id).await.map_err(status)?;

        Ok(Response::new(pb::GetChannelResponse {
            channel: Some((*channel).clone().into()),
        }))
    }

    async fn update_channel(
        &self,
        request: Request<pb::UpdateChannelRequest>,
    ) -> Reply<pb::UpdateChannelResponse> {
        let request = request.into_inner();
        let id = convert::channel_id(&request.channel_id).map_err(status)?;
        let change = ChannelChange::try_from(&request).map_err(status)?;

        let channel = self.channels.update(id, change).await.map_err(status)?;

        Ok(Response::new(pb::UpdateChannelResponse {
            channel: Some(channel.into()),
        }))
    }

    async fn delete_channel(
        &self,
        request: Request<pb::DeleteChannelRequest>,
    ) -> Reply<pb::DeleteChannelResponse> {
        let id = convert::channel_id(&request.into_inner().channel_id).map_err(status)?;

        self.channels.delete(id).await.map_err(status)?;

        Ok(Response::new(pb::DeleteChannelResponse {}))
    }

    async fn mark_read(
        &self,
        request: Request<pb::MarkReadRequest>,
    ) -> Reply<pb::MarkReadResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let message = convert::message_id(&request.message_id).map_err(status)?;

        let moved = self
            .reads
            .mark(&caller, channel, message)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::MarkReadResponse {
            read_seq: moved.to.0,
            unread_count: moved.head.unread_above(moved.to),
        }))
    }

    async fn list_reads(
        &self,
        request: Request<pb::ListReadsRequest>,
    ) -> Reply<pb::ListReadsResponse> {
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let page = convert::page(request.page_size, &request.page_token).map_err(status)?;

        let listed = self.reads.list(channel, page).await.map_err(status)?;

        let read = |(user, seq): (UserId, crate::model::Seq)| pb::Read {
            user_id: user.to_string(),
            read_seq: seq.0,
        };
        Ok(Response::new(pb::ListReadsResponse {
            reads: listed.items.into_iter().map(read).collect(),
            next_page_token: listed.next,
        }))
    }
}
