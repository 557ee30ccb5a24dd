//! Putting wishes in force.
//!
//! Joining a channel is listening on the bus, then reading the head from chat, then taking the reader on, then reading from chat what
//! the reader lacks. What was judged under rights that changed meanwhile is judged again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use guildhall_kernel::{ChannelId, SpaceId};
use guildhall_proto::live::v1::{self as pb, server_frame::Body};

use super::{
    chat::Opened,
    desk::Desk,
    error::LiveError,
    frame::Frame,
    hub::Hub,
    reader::Reader,
    topic::{NotJoined, Topic},
    wish::{Plan, Start, Wanted},
};

/// The topics of channels that are there.
pub(crate) type Topics = HashMap<ChannelId, Arc<Topic>>;

impl Hub {
    /// Puts a wish in force. `again`: it stood already, and what is missing now is gone.
    pub(crate) async fn put(
        self: &Arc<Self>,
        reader: &Arc<Reader>,
        wanted: &Wanted,
        again: bool,
    ) -> Result<(), LiveError> {
        loop {
            let rights = reader.look(Desk::rights);
            let mine = self.circles.of(reader.user).await?;
            // Heard of first and read then: a channel that is made meanwhile is found by one of the two.
            let spaces = wanted.wish.spaces(&mine);
            if !self.hear_of(reader, &spaces, rights) {
                continue;
            }
            let named = &wanted.wish.channels;
            let opened = self.chat.heads(Some(reader.user), &spaces, named).await?;
            let plan = wanted.plan(&mine, opened, &reader.look(Desk::channels));
            if plan.join.len() > self.settings.channels_per_stream {
                return Err(LiveError::TooManyChannels(
                    self.settings.channels_per_stream,
                ));
            }
            let topics = self
                .topics(plan.join.iter().map(|(opened, _)| opened))
                .await?;
            if self.begin(reader, wanted, &plan, &topics, rights, again) {
                return Ok(());
            }
        }
    }

    /// Begins what was planned; `false` where the reader's rights changed meanwhile.
    fn begin(
        self: &Arc<Self>,
        reader: &Arc<Reader>,
        wanted: &Wanted,
        plan: &Plan,
        topics: &Topics,
        rights: u64,
        again: bool,
    ) -> bool {
        let stay: HashSet<_> = plan.join.iter().map(|(opened, _)| opened.channel).collect();
        let before = reader.look(Desk::wish);
        let left = reader.at_desk(|desk| {
            if desk.rights() != rights {
                return None;
            }
            let mut left = Vec::new();
            for channel in desk
                .channels()
                .into_iter()
                .filter(|channel| !stay.contains(channel))
            {
                desk.leave(channel);
                left.push(channel);
            }
            for (opened, start) in &plan.join {
                if start.is_some() {
                    desk.leave(opened.channel);
                }
            }
            for user in desk.set_wish(wanted.wish.clone()) {
                desk.todo.look_at(user);
            }
            desk.answer(self.ready(plan));
            let gone = plan.gone.iter().chain(left.iter().filter(|_| again));
            for channel in gone {
                desk.answer(Frame::gone(*channel));
            }
            Some(left)
        });
        let Some(left) = left else { return false };
        for channel in left {
            self.leave_channel(reader, channel);
        }
        self.unwatch(reader, &before.people);
        self.watch(reader, &wanted.wish.people);
        if !self.hear_only(reader, wanted, plan, rights) {
            return false;
        }
        let starts = plan
            .join
            .iter()
            .filter_map(|(opened, start)| Some((opened, (*start)?)));
        for (opened, start) in starts {
            let Some(topic) = topics.get(&opened.channel) else {
                continue;
            };
            if !join(topic, reader, opened, start, rights) {
                return false;
            }
        }
        true
    }

    /// Has the reader hear of the spaces of the plan and of no others.
    fn hear_only(&self, reader: &Arc<Reader>, wanted: &Wanted, plan: &Plan, rights: u64) -> bool {
        let of_channels: Vec<SpaceId> = plan.join.iter().map(|(opened, _)| opened.space).collect();
        let mut others = reader.look(Desk::spaces);
        others.retain(|space| !wanted.wish.covers(*space) && !of_channels.contains(space));
        self.unhear(reader, &others);
        self.hear_of(reader, &of_channels, rights)
    }

    fn ready(&self, plan: &Plan) -> Arc<Frame> {
        let epoch = plan
            .join
            .first()
            .map(|(opened, _)| opened.head.epoch.clone());
        let heads = plan.join.iter().map(|(opened, _)| pb::Head {
            channel_id: opened.channel.to_string(),
            seq: opened.head.seq,
            rev: opened.head.rev,
            read_seq: opened.read_seq,
            updated_at: opened.updated_at,
            epoch: opened.head.epoch.clone(),
        });
        let beat = self.settings.heartbeat_seconds.saturating_mul(1_000);
        Frame::general(Body::Ready(pb::Ready {
            heads: heads.collect(),
            epoch: epoch.unwrap_or_default(),
            heartbeat_ms: u32::try_from(beat).unwrap_or(u32::MAX),
        }))
    }

    /// Topics that listen and know their heads; channels that were deleted meanwhile have none.
    pub(crate) async fn topics(
        self: &Arc<Self>,
        opened: impl Iterator<Item = &Opened>,
    ) -> Result<Topics, LiveError> {
        let mut topics = Topics::new();
        for one in opened {
            topics.insert(one.channel, self.listening(one.channel).await?);
        }
        let fresh = topics.iter().filter(|(_, topic)| !topic.has_begun());
        let fresh: Vec<_> = fresh.map(|(channel, _)| *channel).collect();
        if fresh.is_empty() {
            return Ok(topics);
        }
        for head in self.chat.heads(None, &[], &fresh).await? {
            if let Some(topic) = topics.get(&head.channel) {
                topic.begin(&head.head);
            }
        }
        topics.retain(|_, topic| topic.has_begun());
        Ok(topics)
    }
}

/// Reads a channel from a start on; `false` where the reader's rights or the topic changed meanwhile.
pub(crate) fn join(
    topic: &Topic,
    reader: &Arc<Reader>,
    opened: &Opened,
    start: Start,
    rights: u64,
) -> bool {
    let at = match start {
        Start::After(rev) => rev,
        Start::Reset => {
            let head = opened.head.clone();
            reader.at_desk(|desk| desk.answer(Frame::reset(opened.channel, head)));
            opened.head.rev
        }
    };
    match topic.join(reader, opened.space, at, rights) {
        Ok(()) => true,
        Err(NotJoined::Closed | NotJoined::Stale) => false,
    }
}
