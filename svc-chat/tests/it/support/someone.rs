//! Somebody who calls chat.

use guildhall_kernel::{SpaceId, UserId};
use guildhall_mesh::Link;
use guildhall_proto::chat::v1::{
    self as pb, channel_service_client::ChannelServiceClient,
    message_service_client::MessageServiceClient,
};
use guildhall_testkit::Person;
use tonic::Status;

/// Somebody signed in.
pub(crate) struct Someone {
    pub(crate) person: Person,
    pub(super) link: Link,
}

impl Someone {
    pub(crate) fn user(&self) -> UserId {
        self.person.user
    }

    pub(crate) fn channels(&self) -> ChannelServiceClient<Link> {
        ChannelServiceClient::new(self.link.clone())
    }

    pub(crate) fn messages(&self) -> MessageServiceClient<Link> {
        MessageServiceClient::new(self.link.clone())
    }

    pub(crate) async fn open_direct(&self, others: &[&Someone]) -> Result<pb::Channel, Status> {
        let user_ids = others.iter().map(|one| one.user().to_string()).collect();
        let request = pb::OpenDirectRequest { user_ids };
        let answer = self.channels().open_direct(request).await?.into_inner();
        Ok(answer.channel.expect("a channel"))
    }

    pub(crate) async fn create(&self, space: SpaceId, name: &str) -> Result<pb::Channel, Status> {
        self.create_as(space, name, &format!("make {name} {space}"))
            .await
    }

    pub(crate) async fn create_as(
        &self,
        space: SpaceId,
        name: &str,
        key: &str,
    ) -> Result<pb::Channel, Status> {
        let request = pb::CreateChannelRequest {
            space_id: space.to_string(),
            name: name.into(),
            topic: String::new(),
            key: key.into(),
        };
        let answer = self.channels().create_channel(request).await?.into_inner();
        Ok(answer.channel.expect("a channel"))
    }

    pub(crate) async fn channel(&self, id: &str) -> Result<pb::Channel, Status> {
        let request = pb::GetChannelRequest {
            channel_id: id.into(),
        };
        let answer = self.channels().get_channel(request).await?.into_inner();
        Ok(answer.channel.expect("a channel"))
    }

    pub(crate) async fn delete_channel(&self, id: &str) -> Result<(), Status> {
        let request = pb::DeleteChannelRequest {
            channel_id: id.into(),
        };
        self.channels().delete_channel(request).await.map(drop)
    }

    pub(crate) async fn post(&self, channel: &str, text: &str) -> Result<pb::Message, Status> {
        self.post_as(channel, text, &format!("say {text}")).await
    }

    pub(crate) async fn post_as(
        &self,
        channel: &str,
        text: &str,
        key: &str,
    ) -> Result<pb::Message, Status> {
        let request = pb::PostMessageRequest {
            channel_id: channel.into(),
            text: text.into(),
            key: key.into(),
        };
        let answer = self.messages().post_message(request).await?.into_inner();
        Ok(answer.message.expect("a message"))
    }

    pub(crate) async fn edit(
        &self,
        message: &pb::Message,
        text: &str,
    ) -> Result<pb::Message, Status> {
        let request = pb::EditMessageRequest {
            channel_id: message.channel_id.clone(),
            message_id: message.id.clone(),
            text: Some(text.into()),
        };
        let answer = self.messages().edit_message(request).await?.into_inner();
        Ok(answer.message.expect("a message"))
    }

    pub(crate) async fn delete(&self, message: &pb::Message) -> Result<(), Status> {
        let request = pb::DeleteMessageRequest {
            channel_id: message.channel_id.clone(),
            message_id: message.id.clone(),
        };
        self.messages().delete_message(request).await.map(drop)
    }

    pub(crate) async fn message(&self, channel: &str, id: &str) -> Result<pb::Message, Status> {
        let request = pb::GetMessageRequest {
            channel_id: channel.into(),
            message_id: id.into(),
        };
        let answer = self.messages().get_message(request).await?.into_inner();
        Ok(answer.message.expect("a message"))
    }

    pub(crate) async fn history(
        &self,
        channel: &str,
        limit: u32,
        place: Option<pb::list_messages_request::Place>,
    ) -> Result<pb::ListMessagesResponse, Status> {
        let request = pb::ListMessagesRequest {
            channel_id: channel.into(),
            limit,
            place,
        };
        Ok(self.messages().list_messages(request).await?.into_inner())
    }

    pub(crate) async fn changes(
        &self,
        channel: &str,
        after_rev: u32,
        epoch: &str,
        limit: u32,
    ) -> Result<pb::ListChangesResponse, Status> {
        let request = pb::ListChangesRequest {
            channel_id: channel.into(),
            after_rev,
            epoch: epoch.into(),
            limit,
        };
        Ok(self.messages().list_changes(request).await?.into_inner())
    }

    pub(crate) async fn read(
        &self,
        channel: &str,
        message: &pb::Message,
    ) -> Result<pb::MarkReadResponse, Status> {
        let request = pb::MarkReadRequest {
            channel_id: channel.into(),
            message_id: message.id.clone(),
        };
        Ok(self.channels().mark_read(request).await?.into_inner())
    }

    pub(crate) async fn mine(
        &self,
        request: pb::ListChannelsRequest,
    ) -> Result<pb::ListChannelsResponse, Status> {
        Ok(self.channels().list_channels(request).await?.into_inner())
    }

    /// One of the caller's channels as the list shows it.
    pub(crate) async fn state(&self, channel: &str) -> pb::ChannelState {
        let listed = self
            .mine(pb::ListChannelsRequest::default())
            .await
            .expect("lists");
        let found = listed.channels.into_iter();
        let mut found =
            found.filter(|state| state.channel.as_ref().is_some_and(|one| one.id == channel));
        found.next().expect("the channel is listed")
    }
}
