//! Everybody who reads, and what they read.
//!
//! Locks are taken in this order, each for a moment and never across an await: an index here, a topic, a desk.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use guildhall_kernel::{ChannelId, Clock, Ids, SpaceId, UserId};
use guildhall_mesh::{Bus, Tasks, access::Access};
use tonic::Status;

use super::{
    LiveSettings,
    chat::Chat,
    circles::Circles,
    desk::Desk,
    error::LiveError,
    gossip::Gossip,
    people::People,
    queue::Room,
    reader::{Pass, Reader},
    topic::Topic,
    trail::{KEY, Trails},
};

/// The state that all streams of this process share.
pub(crate) struct Hub {
    pub(crate) settings: LiveSettings,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) access: Access,
    pub(crate) chat: Chat,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) tasks: Tasks,
    pub(crate) circles: Circles,
    numbers: AtomicU64,
    // Cleared while rights cannot be relied on; topics and jobs look at it before they deliver.
    open: AtomicBool,
    streams: Mutex<Streams>,
    topics: Mutex<HashMap<ChannelId, Arc<Topic>>>,
    /// Who hears of a space.
    spaces: Mutex<HashMap<SpaceId, Vec<Arc<Reader>>>>,
    /// Who wants to see somebody's presence, allowed or not.
    watchers: Mutex<HashMap<UserId, Vec<Arc<Reader>>>>,
    pub(crate) people: Mutex<People>,
    pub(crate) gossip: Gossip,
    trails: Mutex<Trails>,
}

#[derive(Default)]
struct Streams {
    all: HashMap<u64, Arc<Reader>>,
    of: HashMap<UserId, Vec<Arc<Reader>>>,
}

/// What the hub is made of.
pub(crate) struct Parts {
    pub(crate) settings: LiveSettings,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) access: Access,
    pub(crate) chat: Chat,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) tasks: Tasks,
}

impl Hub {
    /// Nobody reads yet.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let seconds = Duration::from_secs;
        let people = People::new(seconds(parts.settings.offline_after_seconds));
        let gossip = Gossip::new(parts.ids.as_ref());
        let trails = Trails::new(
            seconds(parts.settings.resume_seconds),
            parts.settings.resumable_streams,
        );
        Arc::new(Self {
            circles: Circles::new(parts.access.clone(), parts.settings.remembered_people),
            settings: parts.settings,
            bus: parts.bus,
            access: parts.access,
            chat: parts.chat,
            clock: parts.clock,
            ids: parts.ids,
            tasks: parts.tasks,
            numbers: AtomicU64::new(0),
            open: AtomicBool::new(true),
            streams: Mutex::default(),
            topics: Mutex::default(),
            spaces: Mutex::default(),
            watchers: Mutex::default(),
            people: Mutex::new(people),
            gossip,
            trails: Mutex::new(trails),
        })
    }

    /// Whether frames are delivered: rights can be relied on.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Opens or closes delivery. Says whether that changed it.
    pub(crate) fn set_open(&self, open: bool) -> bool {
        self.open.swap(open, Ordering::SeqCst) != open
    }

    /// Takes a stream on.
    pub(crate) fn enter(
        &self,
        pass: Pass,
        correlation: Arc<str>,
    ) -> Result<Arc<Reader>, LiveError> {
        if self.tasks.is_stopping() {
            return Err(LiveError::Restarting);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let user = pass.verified.user;
        let every = self.settings.heartbeat_seconds.max(1);
        // The first beats are spread, or all who come back together would beat together for ever.
        let beat_at = self.clock.uptime() + Duration::from_secs(1 + number % every);
        let room = Room {
            frames: self.settings.queue_frames,
            bytes: self.settings.queue_bytes,
        };
        let reader = Reader::new(number, pass, correlation, room, beat_at);

        let mut streams = locked(&self.streams);
        if streams.all.len() >= self.settings.streams {
            return Err(LiveError::Busy);
        }
        let own = streams.of.entry(user).or_default();
        if own.len() >= self.settings.streams_per_user {
            return Err(LiveError::TooManyStreams);
        }
        own.push(reader.clone());
        streams.all.insert(number, reader.clone());
        drop(streams);

        let told = locked(&self.people).came(user, number, self.clock.uptime());
        self.gossip.about(user);
        self.tell_presence(user, told);
        Ok(reader)
    }

    /// Lets a stream go. A second time is none.
    pub(crate) fn leave(&self, reader: &Arc<Reader>) {
        let mut streams = locked(&self.streams);
        if streams.all.remove(&reader.number).is_none() {
            return;
        }
        if let Some(own) = streams.of.get_mut(&reader.user) {
            own.retain(|other| other.number != reader.number);
            if own.is_empty() {
                streams.of.remove(&reader.user);
            }
        }
        drop(streams);

        reader.end(LiveError::Replaced, None);
        let (channels, spaces) = reader.look(|desk| (desk.channels(), desk.spaces()));
        let wish = reader.look(Desk::wish);
        for channel in channels {
            self.leave_channel(reader, channel);
        }
        self.unhear(reader, &spaces);
        self.unwatch(reader, &wish.people);
        let now = self.clock.uptime();
        if let Some(trail) = reader.look(Desk::trail) {
            locked(&self.trails).close(&trail, now);
        }
        let told = locked(&self.people).left(reader.user, reader.number, now);
        self.gossip.about(reader.user);
        self.tell_presence(reader.user, told);
    }

    /// Every stream.
    pub(crate) fn everybody(&self) -> Vec<Arc<Reader>> {
        locked(&self.streams).all.values().cloned().collect()
    }

    /// The streams of somebody.
    pub(crate) fn streams_of(&self, user: UserId) -> Vec<Arc<Reader>> {
        locked(&self.streams)
            .of
            .get(&user)
            .cloned()
            .unwrap_or_default()
    }

    /// A stream by its number.
    pub(crate) fn stream(&self, number: u64) -> Option<Arc<Reader>> {
        locked(&self.streams).all.get(&number).cloned()
    }

    /// The topic of a channel, where there is one.
    pub(crate) fn topic(&self, channel: ChannelId) -> Option<Arc<Topic>> {
        locked(&self.topics).get(&channel).cloned()
    }

    /// The topic of a channel, listening.
    pub(crate) async fn listening(
        self: &Arc<Self>,
        channel: ChannelId,
    ) -> Result<Arc<Topic>, Status> {
        let topic = {
            let mut topics = locked(&self.topics);
            topics
                .entry(channel)
                .or_insert_with(|| Topic::new(channel))
                .clone()
        };
        topic.listen(self).await?;
        Ok(topic)
    }

    /// All topics, those closed by this look left out.
    pub(crate) fn open_topics(&self) -> Vec<(ChannelId, Arc<Topic>)> {
        let topics = locked(&self.topics);
        topics
            .iter()
            .map(|(channel, topic)| (*channel, topic.clone()))
            .collect()
    }

    /// Closes the topic of a channel where nobody reads it.
    pub(crate) fn sweep(&self, channel: ChannelId) {
        let mut topics = locked(&self.topics);
        if topics
            .get(&channel)
            .is_some_and(|topic| topic.close_if_idle())
        {
            topics.remove(&channel);
        }
    }

    /// A channel is no more.
    pub(crate) fn end_channel(&self, channel: ChannelId) {
        let ended = locked(&self.topics).remove(&channel);
        if let Some(topic) = ended {
            topic.end();
        }
    }

    /// Lets a reader go from a channel's topic.
    pub(crate) fn leave_channel(&self, reader: &Reader, channel: ChannelId) {
        if let Some(topic) = self.topic(channel) {
            topic.leave(reader);
        }
    }

    /// Has a reader hear of spaces, unless its rights changed since they were looked at.
    pub(crate) fn hear_of(&self, reader: &Arc<Reader>, spaces: &[SpaceId], rights: u64) -> bool {
        let mut index = locked(&self.spaces);
        for space in spaces {
            let added =
                reader.at_desk(|desk| (desk.rights() == rights).then(|| desk.hear_of(*space)));
            match added {
                None => return false,
                Some(false) => {}
                Some(true) => index.entry(*space).or_default().push(reader.clone()),
            }
        }
        true
    }

    /// Has a reader hear of spaces no more.
    pub(crate) fn unhear(&self, reader: &Reader, spaces: &[SpaceId]) {
        let mut index = locked(&self.spaces);
        for space in spaces {
            if reader.at_desk(|desk| desk.hear_no_more(*space)) {
                remove(&mut index, space, reader);
            }
        }
    }

    /// Who hears of a space.
    pub(crate) fn hearers(&self, space: SpaceId) -> Vec<Arc<Reader>> {
        locked(&self.spaces)
            .get(&space)
            .cloned()
            .unwrap_or_default()
    }

    /// Notes whose presence a reader wants to see.
    pub(crate) fn watch(&self, reader: &Arc<Reader>, people: &[UserId]) {
        let mut index = locked(&self.watchers);
        for user in people {
            let those = index.entry(*user).or_default();
            if !those.iter().any(|other| other.number == reader.number) {
                those.push(reader.clone());
            }
        }
    }

    /// Forgets it.
    pub(crate) fn unwatch(&self, reader: &Reader, people: &[UserId]) {
        let mut index = locked(&self.watchers);
        for user in people {
            remove(&mut index, user, reader);
        }
    }

    /// Who wants to see somebody's presence.
    pub(crate) fn watchers(&self, user: UserId) -> Vec<Arc<Reader>> {
        locked(&self.watchers)
            .get(&user)
            .cloned()
            .unwrap_or_default()
    }

    /// Begins a trail for a stream, which a later one may follow.
    pub(crate) fn leave_trail(&self, reader: &Reader) {
        let mut key = [0; KEY];
        self.ids.random(&mut key);
        let trail = locked(&self.trails).open(reader.user, reader.number, key);
        reader.at_desk(|desk| desk.leave_trail(trail));
    }

    /// The trails of streams.
    pub(crate) fn trails(&self) -> MutexGuard<'_, Trails> {
        locked(&self.trails)
    }

    /// Waits, unless the process stops.
    pub(crate) async fn rest(&self, time: Duration) {
        tokio::select! {
            () = self.tasks.stopping() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}

fn remove<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, Vec<Arc<Reader>>>,
    key: &K,
    reader: &Reader,
) {
    if let Some(those) = index.get_mut(key) {
        those.retain(|other| other.number != reader.number);
        if those.is_empty() {
            index.remove(key);
        }
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
