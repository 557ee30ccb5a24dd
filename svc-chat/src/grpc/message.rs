//! `MessageService`.

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_kernel::Page;
use guildhall_mesh::Caller;
use guildhall_proto::chat::v1::{self as pb, message_service_server::MessageService};
use tonic::{Request, Response};

use super::{Reply, convert, status};
use crate::messages::Messages;

/// The rpcs about messages.
pub(crate) struct MessageRpcs {
    pub(crate) messages: Arc<Messages>,
}

#[async_trait]
impl MessageService for MessageRpcs {
    async fn post_message(
        &self,
        request: Request<pb::PostMessageRequest>,
    ) -> Reply<pb::PostMessageResponse> {
        let caller = Caller::of(&request)?;
        let new = request.into_inner().try_into().map_err(status)?;

        let message = self.messages.post(&caller, new).await.map_err(status)?;

        Ok(Response::new(pb::PostMessageResponse {
            message: Some(message.into()),
        }))
    }

    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Reply<pb::ListMessagesResponse> {
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let place = convert::place(channel, &request).map_err(status)?;
        let limit = convert::limit(request.limit, Page::USUAL, Page::MOST);

        let history = self
            .messages
            .history(channel, place, limit)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::ListMessagesResponse {
            messages: history.messages.into_iter().map(Into::into).collect(),
            has_older: history.has_older,
            has_newer: history.has_newer,
            head: Some(convert::head(history.head, self.messages.epoch())),
        }))
    }

    async fn list_changes(
        &self,
        request: Request<pb::ListChangesRequest>,
    ) -> Reply<pb::ListChangesResponse> {
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let after = convert::position(request.after_rev, request.epoch);
        let limit = convert::limit(request.limit, Page::USUAL, Page::MOST);

        let since = self
            .messages
            .changes(channel, after, limit)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::ListChangesResponse {
            messages: since.messages.into_iter().map(Into::into).collect(),
            through_rev: since.through.0,
            head: Some(convert::head(since.head, self.messages.epoch())),
        }))
    }

    async fn get_message(
        &self,
        request: Request<pb::GetMessageRequest>,
    ) -> Reply<pb::GetMessageResponse> {
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let id = convert::message_id(&request.message_id).map_err(status)?;

        let message = self.messages.message(channel, id).await.map_err(status)?;

        Ok(Response::new(pb::GetMessageResponse {
            message: Some(message.into()),
        }))
    }

    async fn edit_message(
        &self,
        request: Request<pb::EditMessageRequest>,
    ) -> Reply<pb::EditMessageResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let id = convert::message_id(&request.message_id).map_err(status)?;
        let text = request.text.map(convert::text).transpose();
        let text = text.map_err(status)?;

        let message = self
            .messages
            .edit(&caller, channel, id, text)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::EditMessageResponse {
            message: Some(message.into()),
        }))
    }

    async fn delete_message(
        &self,
        request: Request<pb::DeleteMessageRequest>,
    ) -> Reply<pb::DeleteMessageResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let channel = convert::channel_id(&request.channel_id).map_err(status)?;
        let id = convert::message_id(&request.message_id).map_err(status)?;

        self.messages
            .delete(&caller, channel, id)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::DeleteMessageResponse {}))
    }
}
