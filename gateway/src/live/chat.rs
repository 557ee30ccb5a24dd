//! What is asked of chat, as the service "gateway".

use std::{sync::Arc, time::Duration};

use guildhall_kernel::{ChannelId, Ids, SpaceId, UserId};
use guildhall_mesh::{Call, Link, Reason, status};
use guildhall_proto::chat::v1::{self as chat, feed_service_client::FeedServiceClient};
use prost_types::Timestamp;
use tonic::{Code, Status};

use super::frame::Frame;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many spaces or channels are asked about at once.
const BATCH: usize = 200;
/// How many messages are read at once: at the largest size of a message they stay below the largest answer.
const PAGE: u32 = 50;
/// The largest answer taken, in bytes.
const LARGEST: usize = 16 << 20;

/// A channel as one reader finds it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opened {
    /// The channel.
    pub(crate) channel: ChannelId,
    /// Its space.
    pub(crate) space: SpaceId,
    /// How far it has come.
    pub(crate) head: chat::Head,
    /// How far the reader has read.
    pub(crate) read_seq: u32,
    /// When its newest message was posted.
    pub(crate) updated_at: Option<Timestamp>,
    /// Itself, for who does not know it yet.
    pub(crate) info: chat::Channel,
}

/// A part of a channel's log.
#[derive(Debug)]
pub(crate) enum Page {
    /// Changes as frames, complete up to a change.
    Changes {
        /// In order.
        frames: Vec<Arc<Frame>>,
        /// Up to which change nothing is missing.
        through: u32,
        /// How far the channel had come.
        head: chat::Head,
    },
    /// That far back nothing can be read.
    TooFar,
    /// There is no such channel any more.
    Missing,
}

/// The link to chat.
#[derive(Clone)]
pub(crate) struct Chat {
    link: Link,
    ids: Arc<dyn Ids>,
}

impl Chat {
    /// Over a link that this process holds to chat.
    pub(crate) fn new(link: Link, ids: Arc<dyn Ids>) -> Self {
        Self { link, ids }
    }

    /// The living channels among these and of these spaces, with the read marks of a user.
    pub(crate) async fn heads(
        &self,
        reader: Option<UserId>,
        spaces: &[SpaceId],
        channels: &[ChannelId],
    ) -> Result<Vec<Opened>, Status> {
        let mut opened = Vec::new();
        let user_id = reader.map(|user| user.to_string()).unwrap_or_default();
        let by_space = spaces.chunks(BATCH).map(|some| (some, &[][..]));
        let by_channel = channels.chunks(BATCH).map(|some| (&[][..], some));
        for (spaces, channels) in by_space.chain(by_channel) {
            let request = chat::ListHeadsRequest {
                user_id: user_id.clone(),
                space_ids: spaces.iter().map(ToString::to_string).collect(),
                channel_ids: channels.iter().map(ToString::to_string).collect(),
            };
            let answer = self.client().list_heads(request).await?.into_inner();
            opened.extend(answer.heads.into_iter().filter_map(read_head));
        }
        Ok(opened)
    }

    /// What changed in a channel after a change.
    pub(crate) async fn changes(
        &self,
        channel: ChannelId,
        after: u32,
        epoch: &str,
    ) -> Result<Page, Status> {
        let request = chat::ReadChangesRequest {
            channel_id: channel.to_string(),
            after_rev: after,
            epoch: epoch.to_owned(),
            limit: PAGE,
        };
        let answer = match self.client().read_changes(request).await {
            Ok(answer) => answer.into_inner(),
            Err(error) if status::reason(&error) == Reason::TooFarBack => return Ok(Page::TooFar),
            Err(error) if error.code() == Code::NotFound => return Ok(Page::Missing),
            Err(error) => return Err(error),
        };
        Ok(Page::Changes {
            frames: frames(channel, after, answer.messages, answer.through_rev),
            through: answer.through_rev,
            head: answer.head.unwrap_or_default(),
        })
    }

    fn client(&self) -> FeedServiceClient<Link> {
        let call = Call::own(&self.ids.uuid().to_string(), PATIENCE);
        FeedServiceClient::new(self.link.as_service(&call)).max_decoding_message_size(LARGEST)
    }
}

fn read_head(found: chat::ChannelHead) -> Option<Opened> {
    let info = found.channel?;
    Some(Opened {
        channel: ChannelId::parse(&info.id).ok()?,
        space: SpaceId::parse(&info.space_id).ok()?,
        head: found.head.unwrap_or_default(),
        read_seq: found.read_seq,
        updated_at: found.updated_at,
        info,
    })
}

/// Changes read from the log as frames, each of which follows the one before it. Together they move a reader from `after` to `through`.
fn frames(
    channel: ChannelId,
    after: u32,
    messages: Vec<chat::Message>,
    through: u32,
) -> Vec<Arc<Frame>> {
    let mut at = after;
    let mut frames = Vec::with_capacity(messages.len());
    for message in messages {
        // A message that changed while the list was read comes again behind `through`.
        if message.rev > at && message.rev <= through {
            let rev = message.rev;
            frames.push(Frame::message(channel, at, message));
            at = rev;
        }
    }
    if at < through {
        frames.push(Frame::passed(channel, through, at));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_become_a_chain_from_after_to_through() {
        let channel = ChannelId::from_bytes([1; 16]);
        let messages = |revs: &[u32]| {
            revs.iter()
                .map(|rev| chat::Message {
                    rev: *rev,
                    ..Default::default()
                })
                .collect()
        };
        for (after, revs, through, chain) in [
            (4, &[5, 6, 9][..], 9, &[(5, 4), (6, 5), (9, 6)][..]),
            (4, &[5], 8, &[(5, 4), (8, 5)]),
            (4, &[], 4, &[]),
            (4, &[], 6, &[(6, 4)]),
            (4, &[3, 4, 5], 5, &[(5, 4)]),
            (4, &[5, 12], 9, &[(5, 4), (9, 5)]),
        ] {
            let frames = frames(channel, after, messages(revs), through);

            let got: Vec<_> = frames
                .iter()
                .map(|frame| (frame.rev, frame.after_rev))
                .collect();
            assert_eq!(got, chain, "{after} {revs:?} {through}");
        }
    }
}
