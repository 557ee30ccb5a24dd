//! Messages: posting, reading, editing, deleting. Who may do it at all, the authorization layer has asked before.

use std::sync::Arc;

use guildhall_kernel::{ChannelId, Clock, Role};
use guildhall_mesh::Caller;
use metrics::counter;

use crate::{
    answer,
    arrivals::Arrivals,
    channels::living,
    error::ChatError,
    model::{Draft, Epoch, Head, Message, MessageId, NewMessage, Rev, Text},
    store::{Appended, Changed, Changes, ChannelStore, Timeline},
};

pub use crate::store::{History, Place};

/// The rules of messages.
pub struct Messages {
    /// The channels they stand in.
    pub store: Arc<ChannelStore>,
    /// The logs.
    pub timeline: Arc<dyn Timeline>,
    /// Where newcomers begin.
    pub arrivals: Arc<Arrivals>,
    /// For the times of changes.
    pub clock: Arc<dyn Clock>,
}

/// How far a reader has come in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The last change known.
    pub rev: Rev,
    /// Whose number that is; `None`: the present store's.
    pub epoch: Option<Epoch>,
}

/// What changed after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The messages in the order of their last change.
    pub messages: Vec<Message>,
    /// Up to which change nothing is missing.
    pub through: Rev,
    /// How far the channel had come before.
    pub head: Head,
}

impl Messages {
    /// Names the numbers of all positions given out here.
    pub fn epoch(&self) -> &Epoch {
        self.timeline.epoch()
    }

    /// Adds a message to a channel and moves its author's read mark to it. Posting again with the same key returns the first message.
    #[tracing::instrument(name = "chat.post", skip_all, fields(channel = %new.channel))]
    pub async fn post(&self, caller: &Caller, new: NewMessage) -> Result<Message, ChatError> {
        let space = living(&self.store, new.channel).await?.space;
        self.arrivals.settle(caller.user, space).await?;
        let draft = Draft {
            author: caller.user,
            text: new.text,
            key: new.key,
            at: self.clock.now(),
        };
        match self.timeline.append(new.channel, draft).await? {
            Appended::Repeat(first) => {
                counter!("guildhall_chat_posts_total", "outcome" => "repeat").increment(1);
                Ok(first)
            }
            Appended::New(message) => {
                counter!("guildhall_chat_posts_total", "outcome" => "new").increment(1);
                Ok(message)
            }
        }
    }

    /// A page of a channel's messages.
    pub async fn history(
        &self,
        channel: ChannelId,
        place: Place,
        limit: usize,
    ) -> Result<History, ChatError> {
        living(&self.store, channel).await?;
        let mut history = self.timeline.history(channel, place, limit).await?;
        answer::fit(&mut history, place);
        Ok(history)
    }

    /// What changed in a channel after a position.
    pub async fn changes(
        &self,
        channel: ChannelId,
        after: Position,
        limit: usize,
    ) -> Result<Since, ChatError> {
        living(&self.store, channel).await?;
        if after.epoch.is_some_and(|epoch| epoch != *self.epoch()) {
            return Err(ChatError::TooFarBack);
        }
        match self.timeline.changes(channel, after.rev, limit).await? {
            Changes::Since {
                mut messages,
                mut through,
                head,
            } => {
                let fitting = answer::fitting(messages.iter().map(answer::weight));
                if fitting < messages.len() {
                    messages.truncate(fitting);
                    through = messages.last().map_or(after.rev, |last| last.rev);
                }
                Ok(Since {
                    messages,
                    through,
                    head,
                })
            }
            Changes::TooFar { .. } => Err(ChatError::TooFarBack),
        }
    }

    /// A message of a channel.
    pub async fn message(&self, channel: ChannelId, id: MessageId) -> Result<Message, ChatError> {
        self.in_channel(channel, id).await?;
        self.timeline
            .message(id)
            .await?
            .ok_or(ChatError::NoSuchMessage)
    }

    /// Changes the text of the caller's own message; without a text it only judges whether the caller could.
    #[tracing::instrument(name = "chat.edit", skip_all, fields(message = %id))]
    pub async fn edit(
        &self,
        caller: &Caller,
        channel: ChannelId,
        id: MessageId,
        text: Option<Text>,
    ) -> Result<Message, ChatError> {
        let Some(text) = text else {
            let present = self.message(channel, id).await?;
            return match present.deleted_at {
                _ if present.author != caller.user => Err(ChatError::NotAuthor),
                Some(_) => Err(ChatError::MessageDeleted),
                None => Ok(present),
            };
        };
        self.in_channel(channel, id).await?;
        outcome(
            self.timeline
                .edit(id, caller.user, text, self.clock.now())
                .await?,
        )
    }

    /// Deletes the caller's own message, or as a moderator anybody's. Repeating it is fine.
    #[tracing::instrument(name = "chat.delete", skip_all, fields(message = %id))]
    pub async fn delete(
        &self,
        caller: &Caller,
        channel: ChannelId,
        id: MessageId,
    ) -> Result<(), ChatError> {
        self.in_channel(channel, id).await?;
        let role = caller.standing.map(|standing| standing.role);
        let of_others = role >= Some(Role::Moderator);
        outcome(
            self.timeline
                .delete(id, caller.user, of_others, self.clock.now())
                .await?,
        )?;
        Ok(())
    }

    /// The right to a channel says nothing about messages of another one.
    async fn in_channel(&self, channel: ChannelId, id: MessageId) -> Result<(), ChatError> {
        living(&self.store, channel).await?;
        if id.channel == channel {
            Ok(())
        } else {
            Err(ChatError::NoSuchMessage)
        }
    }
}

fn outcome(changed: Changed) -> Result<Message, ChatError> {
    match changed {
        Changed::Done(message) | Changed::Unchanged(message) => Ok(message),
        Changed::Missing => Err(ChatError::NoSuchMessage),
        Changed::NotAuthor => Err(ChatError::NotAuthor),
        Changed::Deleted => Err(ChatError::MessageDeleted),
    }
}
