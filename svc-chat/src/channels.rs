//! Channels: opening, making, changing, listing. Who may do it at all, the authorization layer has asked before.

use std::sync::Arc;

use guildhall_kernel::{
    ChannelId, Clock, FieldFault, Ids, Key, Listed, Page, SpaceId, UserId, page::BadToken,
};
use guildhall_mesh::{Caller, access::Access};
use tracing::warn;

use crate::{
    error::ChatError,
    model::{Channel, ChannelChange, ChannelKind, Name, NewChannel, People, Topic},
    peers::Auth,
    store::{ChannelStore, Created, Deleted, Updated},
};

/// The rules of channels.
pub struct Channels {
    /// What is kept.
    pub store: Arc<ChannelStore>,
    /// Who keeps the spaces.
    pub auth: Auth,
    /// Who is where, as far as this process knows.
    pub access: Access,
    /// For the times of changes.
    pub clock: Arc<dyn Clock>,
    /// For the ids of new channels.
    pub ids: Arc<dyn Ids>,
}

/// A team channel that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where.
    pub space: SpaceId,
    /// Its name.
    pub name: Name,
    /// What it is about.
    pub topic: Topic,
    /// What the client calls this call.
    pub key: Key,
}

impl Channels {
    /// Opens the conversation of the caller with others: always the same one for the same people, also when a crash came between
    /// its space and its channel.
    #[tracing::instrument(name = "chat.open_direct", skip_all)]
    pub async fn open_direct(
        &self,
        caller: &Caller,
        others: &[UserId],
    ) -> Result<Channel, ChatError> {
        let people =
            People::of(caller.user, others).map_err(|wrong| ChatError::field("user_ids", wrong))?;
        if let Some(open) = self.store.channel(people.channel()).await? {
            return Ok((*open).clone());
        }

        self.auth
            .ensure_direct_space(&caller.call, people.space(), people.all())
            .await
            .map_err(|error| as_named(error, people.all(), others))?;
        // So that the opener's list has it at once. Without it the list has it when the change is heard.
        if let Err(error) = self.access.catch_up().await {
            warn!(%error, "access changes cannot be asked for");
        }
        let channel = Channel {
            id: people.channel(),
            space: people.space(),
            kind: ChannelKind::Direct,
            name: String::new(),
            topic: String::new(),
            created_at: self.clock.now(),
            people: people.all().to_vec(),
            deleted_at: None,
        };
        Ok(self.store.ensure_direct(channel, caller.user).await?)
    }

    /// Makes a channel in a team. The same key again gets the same channel, as long as that is there.
    #[tracing::instrument(name = "chat.create_channel", skip_all, fields(space = %wanted.space))]
    pub async fn create(&self, caller: &Caller, wanted: Wanted) -> Result<Channel, ChatError> {
        if self
            .auth
            .is_direct(&caller.call, wanted.space, caller.user)
            .await?
        {
            return Err(ChatError::DirectIsFixed);
        }
        let new = NewChannel {
            id: ChannelId::of(self.ids.uuid()),
            space: wanted.space,
            name: wanted.name,
            topic: wanted.topic,
            by: caller.user,
            key: wanted.key,
            at: self.clock.now(),
        };
        match self.store.create(new).await? {
            Created::New(channel) | Created::Repeat(channel) => Ok(channel),
            Created::NameTaken => Err(ChatError::NameTaken),
            Created::Deleted => Err(ChatError::ChannelDeleted),
            Created::SpaceClosed => Err(ChatError::NoSuchSpace),
        }
    }

    /// The channel.
    pub async fn channel(&self, id: ChannelId) -> Result<Arc<Channel>, ChatError> {
        is_living(self.store.channel(id).await?)
    }

    /// The space that a channel belongs to, also a deleted one.
    pub async fn space_of(&self, id: ChannelId) -> Result<Option<SpaceId>, ChatError> {
        Ok(self.store.lately(id).await?.map(|channel| channel.space))
    }

    /// Changes name and topic of a team's channel.
    #[tracing::instrument(name = "chat.update_channel", skip_all, fields(channel = %id))]
    pub async fn update(&self, id: ChannelId, change: ChannelChange) -> Result<Channel, ChatError> {
        match self.store.update(id, change, self.clock.now()).await? {
            Updated::Done(channel) | Updated::Unchanged(channel) => Ok(channel),
            Updated::Missing => Err(ChatError::NoSuchChannel),
            Updated::Direct => Err(ChatError::DirectIsFixed),
            Updated::NameTaken => Err(ChatError::NameTaken),
        }
    }

    /// Deletes a team's channel. Repeating it is fine.
    #[tracing::instrument(name = "chat.delete_channel", skip_all, fields(channel = %id))]
    pub async fn delete(&self, id: ChannelId) -> Result<(), ChatError> {
        match self.store.delete(id, self.clock.now()).await? {
            Deleted::Done | Deleted::Already => Ok(()),
            Deleted::Missing => Err(ChatError::NoSuchChannel),
            Deleted::Direct => Err(ChatError::DirectIsFixed),
        }
    }

    /// The channels of a space by name.
    pub async fn of_space(&self, space: SpaceId, page: Page) -> Result<Listed<Channel>, ChatError> {
        let after = page
            .after_array()
            .map_err(|wrong| ChatError::field("page_token", wrong))?;
        let after = after.map(ChannelId::from_bytes);
        let found = self
            .store
            .page_of_space(space, after, page.size + 1)
            .await?;
        let found = found.ok_or_else(|| ChatError::field("page_token", BadToken))?;
        Ok(page.cut(found, |channel| channel.id.bytes().to_vec()))
    }
}

/// The channel, unless it was deleted. For rules.
pub(crate) async fn living(store: &ChannelStore, id: ChannelId) -> Result<Arc<Channel>, ChatError> {
    is_living(store.lately(id).await?)
}

/// A deleted channel is absent in the same words as one that never was.
fn is_living(found: Option<Arc<Channel>>) -> Result<Arc<Channel>, ChatError> {
    found
        .filter(|channel| channel.deleted_at.is_none())
        .ok_or(ChatError::NoSuchChannel)
}

/// Auth numbers the people as they were sent; the client knows them as it named them.
fn as_named(error: ChatError, sent: &[UserId], named: &[UserId]) -> ChatError {
    let ChatError::Fields(faults) = error else {
        return error;
    };
    let rename = |fault: FieldFault| {
        let place = number(&fault.field)
            .and_then(|n| sent.get(n))
            .and_then(|user| named.iter().position(|one| one == user));
        match place {
            Some(n) => FieldFault::new(format!("user_ids[{n}]"), fault.description),
            None => FieldFault::new("user_ids", fault.description),
        }
    };
    ChatError::Fields(faults.into_iter().map(rename).collect())
}

fn number(field: &str) -> Option<usize> {
    field
        .strip_prefix("user_ids[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_auth_names_the_person_as_the_client_did() {
        let (a, b, c) = (user(1), user(2), user(3));
        let fault = |field: &str| ChatError::field(field, "no such user");

        let renamed = |field| {
            let ChatError::Fields(faults) = as_named(fault(field), &[a, b, c], &[c, b, c]) else {
                panic!("fields are at fault");
            };
            faults[0].field.clone()
        };

        assert_eq!(renamed("user_ids[1]"), "user_ids[1]");
        assert_eq!(renamed("user_ids[2]"), "user_ids[0]");
        assert_eq!(renamed("user_ids[0]"), "user_ids");
        assert_eq!(renamed("user_ids[9]"), "user_ids");
        assert_eq!(renamed("space_id"), "user_ids");
    }

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 16])
    }
}
