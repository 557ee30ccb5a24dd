//! What is done for one stream, one job after the other: wishes (`wishes` has the how), channels that come and go, catching up.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use guildhall_kernel::{ChannelId, SpaceId, UserId};
use guildhall_mesh::access::Refused;
use guildhall_proto::live::v1::{self as pb, server_frame::Body};
use tonic::Status;
use tracing::debug;

use super::{
    chat::{Opened, Page},
    desk::Desk,
    error::LiveError,
    frame::Frame,
    hub::{Hub, locked},
    reader::Reader,
    todo::{Asked, Job},
    wish::{Start, Wanted},
    wishes::{Topics, join},
};

/// How long to wait before a job that failed is tried again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

impl Hub {
    /// Does a job. Only a new wish can fail, and its reader is told; everything else is tried until it is done.
    pub(crate) async fn work(self: Arc<Self>, reader: Arc<Reader>, job: Job) {
        if let Job::Subscribe(asked) = job {
            if let Err(error) = self.subscribe(&reader, &asked).await {
                refuse(&reader, &asked, error);
            }
            return;
        }
        let mut pause = PAUSE.0;
        while let Err(error) = self.attempt(&reader, &job).await {
            debug!(?error, ?job, "to be tried again");
            self.rest(pause).await;
            pause = (2 * pause).min(PAUSE.1);
        }
    }

    async fn attempt(self: &Arc<Self>, reader: &Arc<Reader>, job: &Job) -> Result<(), LiveError> {
        match job {
            Job::Subscribe(asked) => self.subscribe(reader, asked).await,
            Job::Renew => self.renew(reader).await,
            Job::Space(space) => self.look_into(reader, *space).await,
            Job::Channel(channel) => self.open_new(reader, *channel).await,
            Job::People(people) => self.look_at(reader, people).await,
            Job::CatchUp(channel) => self.catch_up(reader, *channel).await,
        }
    }

    async fn subscribe(
        self: &Arc<Self>,
        reader: &Arc<Reader>,
        asked: &Asked,
    ) -> Result<(), LiveError> {
        self.put(reader, &asked.wanted, false).await?;
        if asked.frame != 0 {
            reader.at_desk(|desk| desk.answer(Frame::done(asked.frame, None)));
        }
        Ok(())
    }

    async fn renew(self: &Arc<Self>, reader: &Arc<Reader>) -> Result<(), LiveError> {
        match self.access.session_lives(reader.pass().verified).await {
            Ok(()) => {}
            Err(Refused::SessionEnded) => {
                reader.end(LiveError::SessionEnded, None);
                return Ok(());
            }
            Err(refused) => return Err(refused.into()),
        }
        let wish = reader.look(Desk::wish);
        if wish.is_nothing() {
            return Ok(());
        }
        self.put(reader, &Wanted::again(wish), true).await
    }

    /// Sees what the reader may read in a space: reads the channels of a space that it came to, leaves those of one that it lost.
    async fn look_into(
        self: &Arc<Self>,
        reader: &Arc<Reader>,
        space: SpaceId,
    ) -> Result<(), LiveError> {
        loop {
            let rights = reader.look(Desk::rights);
            if !self.circles.of(reader.user).await?.contains(&space) {
                self.lose(reader, space);
                return Ok(());
            }
            let wish = reader.look(Desk::wish);
            if !wish.covers(space) {
                if !wish.channels.is_empty() {
                    reader.at_desk(|desk| desk.todo.renew());
                }
                return Ok(());
            }
            if !self.hear_of(reader, &[space], rights) {
                continue;
            }
            let mut opened = self.chat.heads(Some(reader.user), &[space], &[]).await?;
            opened.retain(|one| !reader.look(|desk| desk.reads(one.channel)));
            let topics = self.topics(opened.iter()).await?;
            if introduce(reader, &opened, &topics, rights) {
                return Ok(());
            }
        }
    }

    /// Reads a channel that was just made, from its beginning.
    async fn open_new(
        self: &Arc<Self>,
        reader: &Arc<Reader>,
        channel: ChannelId,
    ) -> Result<(), LiveError> {
        let wanted = Wanted {
            wish: reader.look(Desk::wish),
            seen: HashMap::from([(channel, 0)]),
            epoch: String::new(),
        };
        loop {
            let rights = reader.look(Desk::rights);
            if reader.look(|desk| desk.reads(channel)) {
                return Ok(());
            }
            let mine = self.circles.of(reader.user).await?;
            let opened = self.chat.heads(Some(reader.user), &[], &[channel]).await?;
            let plan = wanted.plan(&mine, opened, &HashSet::new());
            let topics = self
                .topics(plan.join.iter().map(|(opened, _)| opened))
                .await?;
            let joined = plan.join.iter().all(|(opened, start)| {
                let (Some(topic), Some(start)) = (topics.get(&channel), *start) else {
                    return true;
                };
                join(topic, reader, opened, start, rights)
            });
            if joined {
                return Ok(());
            }
        }
    }

    /// Sees whether the reader may see these people, and tells how they are there.
    async fn look_at(&self, reader: &Arc<Reader>, people: &[UserId]) -> Result<(), LiveError> {
        for user in people {
            let shared = self.circles.share(reader.user, *user).await?;
            let state = self.state_of(*user, shared);
            reader.at_desk(|desk| {
                if desk.wish().people.binary_search(user).is_ok() {
                    desk.show(*user, shared);
                    desk.answer(Frame::presence(*user, state));
                }
            });
        }
        Ok(())
    }

    /// How somebody is there, for who may see it.
    pub(crate) fn state_of(&self, user: UserId, shared: bool) -> pb::PresenceState {
        if shared {
            locked(&self.people).state(user)
        } else {
            pb::PresenceState::Offline
        }
    }

    /// Reads one page of what the reader lacks in a channel. The rest is another job, after the page has gone out.
    async fn catch_up(
        self: &Arc<Self>,
        reader: &Arc<Reader>,
        channel: ChannelId,
    ) -> Result<(), LiveError> {
        if !self.is_open() {
            return Err(Status::unavailable("rights cannot be relied on just now").into());
        }
        let Some(after) = reader.look(|desk| desk.behind(channel)) else {
            return Ok(());
        };
        match self.chat.changes(channel, after, "").await? {
            Page::Changes {
                frames, through, ..
            } if through > after => {
                reader.at_desk(|desk| desk.caught(channel, after, frames, through));
            }
            Page::Changes { .. } => {
                return Err(Status::unavailable("chat knows less than the bus told").into());
            }
            Page::TooFar => match self.chat.heads(None, &[], &[channel]).await?.pop() {
                Some(opened) => reader.at_desk(|desk| desk.reset(channel, opened.head)),
                None => self.lose_channel(reader, channel),
            },
            Page::Missing => self.lose_channel(reader, channel),
        }
        Ok(())
    }

    /// The reader may read a space no more.
    pub(crate) fn lose(&self, reader: &Arc<Reader>, space: SpaceId) {
        self.unhear(reader, &[space]);
        let lost = reader.at_desk(|desk| {
            desk.rights_changed();
            let lost = desk.channels_of(space);
            for channel in &lost {
                desk.leave(*channel);
                desk.answer(Frame::gone(*channel));
            }
            lost
        });
        for channel in lost {
            self.leave_channel(reader, channel);
        }
    }

    fn lose_channel(&self, reader: &Reader, channel: ChannelId) {
        reader.at_desk(|desk| {
            if desk.leave(channel) {
                desk.answer(Frame::gone(channel));
            }
        });
        self.leave_channel(reader, channel);
    }
}

/// Shows channels that the reader does not know yet, and reads them from their heads on.
fn introduce(reader: &Arc<Reader>, opened: &[Opened], topics: &Topics, rights: u64) -> bool {
    for one in opened {
        let Some(topic) = topics.get(&one.channel) else {
            continue;
        };
        let info = Body::Channel(one.info.clone());
        reader.at_desk(|desk| desk.answer(Frame::about(one.channel, info)));
        let start = if one.head.rev == 0 {
            Start::After(0)
        } else {
            Start::Reset
        };
        if !join(topic, reader, one, start, rights) {
            return false;
        }
    }
    true
}

/// Tells a reader that its wish cannot be fulfilled now; the one before stands.
fn refuse(reader: &Reader, asked: &Asked, error: LiveError) {
    if asked.or_end {
        reader.end(error, None);
        return;
    }
    let problem = error.into_problem(&reader.correlation);
    reader.at_desk(|desk| desk.answer(Frame::done(asked.frame, Some(problem))));
}
