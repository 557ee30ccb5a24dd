//! All that is known of one open stream: what waits for it, where it stands, what is still to be done for it. No I/O.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use guildhall_kernel::{ChannelId, SpaceId, UserId};
use guildhall_proto::chat::v1::Head;

use super::{
    error::{Bye, LiveError},
    frame::Frame,
    position::{Caught, Offered, Position},
    queue::{Pushed, Queue, Room},
    tally::Tally,
    todo::Todo,
    trail::Trail,
    wish::Wish,
};

/// The state of one stream.
#[derive(Debug)]
pub(crate) struct Desk {
    room: Room,
    /// Names the stream in what goes wrong.
    correlation: Arc<str>,
    /// What happened, for this reader among others. Bounded by `room`.
    queue: Queue,
    /// Answers to this reader and pages read for it, sent first. Bounded by what one job adds: jobs begin when it is empty.
    own: VecDeque<Arc<Frame>>,
    end: End,
    wish: Arc<Wish>,
    channels: HashMap<ChannelId, Joined>,
    /// Spaces of which the reader hears.
    spaces: HashSet<SpaceId>,
    /// People whose presence the reader may see.
    shown: HashSet<UserId>,
    /// Counts the changes of the reader's rights. What was judged under another number is judged again.
    rights: u64,
    /// What its session has still to do.
    pub(crate) todo: Todo,
    // The other holder finds it when the reader comes back.
    trail: Option<Arc<Mutex<Trail>>>,
}

#[derive(Debug)]
struct Joined {
    space: SpaceId,
    position: Position,
}

#[derive(Debug)]
enum End {
    Open,
    Due(Bye),
    Over,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A frame, and the id of its event.
    Frame(Arc<Frame>, Option<String>),
    /// The last frame.
    Last(Bye),
    /// Nothing yet.
    Nothing,
    /// Nothing ever.
    Over,
}

/// Rights changed since they were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

impl Desk {
    /// A stream that reads nothing yet.
    pub(crate) fn new(room: Room, correlation: Arc<str>) -> Self {
        Self {
            room,
            correlation,
            queue: Queue::default(),
            own: VecDeque::new(),
            end: End::Open,
            wish: Arc::default(),
            channels: HashMap::new(),
            spaces: HashSet::new(),
            shown: HashSet::new(),
            rights: 0,
            todo: Todo::default(),
            trail: None,
        }
    }

    /// Takes what comes next.
    pub(crate) fn take(&mut self) -> Taken {
        match std::mem::replace(&mut self.end, End::Over) {
            End::Open => self.end = End::Open,
            End::Due(bye) => return Taken::Last(bye),
            End::Over => return Taken::Over,
        }
        let Some(frame) = self.own.pop_front().or_else(|| self.queue.pop()) else {
            self.own = VecDeque::new();
            return Taken::Nothing;
        };
        let event = self
            .trail
            .as_ref()
            .and_then(|trail| locked(trail).step(&frame));
        Taken::Frame(frame, event)
    }

    /// Ends the stream: what waits is dropped, the reader comes back for it.
    pub(crate) fn finish(&mut self, error: LiveError, wait: Option<Duration>) {
        if self.is_open() {
            self.end = End::Due(Bye::of(error, wait, &self.correlation));
            self.queue.clear();
            self.own = VecDeque::new();
            self.todo = Todo::default();
        }
    }

    /// Whether frames can still come.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.end, End::Open)
    }

    /// How many frames wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.own.len()
    }

    /// Sends an answer to this reader alone.
    pub(crate) fn answer(&mut self, frame: Arc<Frame>) {
        if self.is_open() {
            self.own.push_back(frame);
        }
    }

    /// Takes a change of a channel's log, where the reader reads it.
    pub(crate) fn offer_change(
        &mut self,
        channel: ChannelId,
        frame: &Arc<Frame>,
        tally: &mut Tally,
    ) {
        let Some(joined) = self.channels.get_mut(&channel) else {
            return;
        };
        match joined.position.offer(frame) {
            Offered::Queue => self.push(frame, tally),
            Offered::Nothing => {}
            Offered::Hole => {
                tally.holes += 1;
                self.todo.behind(channel);
            }
        }
    }

    /// Takes the state of a channel, where the reader reads it.
    pub(crate) fn offer_about(
        &mut self,
        channel: ChannelId,
        frame: &Arc<Frame>,
        tally: &mut Tally,
    ) {
        if self.channels.contains_key(&channel) {
            self.push(frame, tally);
        }
    }

    /// Takes typing, where the reader shows it.
    pub(crate) fn offer_typing(
        &mut self,
        channel: ChannelId,
        frame: &Arc<Frame>,
        tally: &mut Tally,
    ) {
        if self.wish.typing.binary_search(&channel).is_ok() {
            self.offer_about(channel, frame, tally);
        }
    }

    /// Takes somebody's presence, where the reader may see it.
    pub(crate) fn offer_presence(&mut self, user: UserId, frame: &Arc<Frame>, tally: &mut Tally) {
        if self.shown.contains(&user) {
            self.push(frame, tally);
        }
    }

    /// Takes any other frame.
    pub(crate) fn push(&mut self, frame: &Arc<Frame>, tally: &mut Tally) {
        if !self.is_open() {
            return;
        }
        match self.queue.push(frame, self.room) {
            Pushed::Queued { dropped } => {
                tally.queued += 1;
                tally.dropped += dropped as u64;
            }
            Pushed::Replaced | Pushed::Dropped => tally.dropped += 1,
            Pushed::Full => {
                tally.cut += 1;
                self.finish(LiveError::SlowReader, None);
            }
        }
    }

    /// The number of the rights as they are now.
    pub(crate) fn rights(&self) -> u64 {
        self.rights
    }

    /// The reader's rights changed.
    pub(crate) fn rights_changed(&mut self) {
        self.rights += 1;
    }

    /// The wish that stands.
    pub(crate) fn wish(&self) -> Arc<Wish> {
        self.wish.clone()
    }

    /// Puts a wish in force. Says what to read no more, and whose presence to look into.
    pub(crate) fn set_wish(&mut self, wish: Arc<Wish>) -> Vec<UserId> {
        self.wish = wish;
        let wanted = &self.wish.people;
        self.shown.retain(|user| wanted.binary_search(user).is_ok());
        let fresh = wanted.iter().filter(|user| !self.shown.contains(user));
        fresh.copied().collect()
    }

    /// The channels that are read.
    pub(crate) fn channels(&self) -> HashSet<ChannelId> {
        self.channels.keys().copied().collect()
    }

    /// Whether a channel is read.
    pub(crate) fn reads(&self, channel: ChannelId) -> bool {
        self.channels.contains_key(&channel)
    }

    /// The channels of a space that are read.
    pub(crate) fn channels_of(&self, space: SpaceId) -> Vec<ChannelId> {
        let of = self
            .channels
            .iter()
            .filter(|(_, joined)| joined.space == space);
        of.map(|(channel, _)| *channel).collect()
    }

    /// Reads a channel from `at` on, where live frames begin after `live`. Judged under the rights of number `rights`.
    pub(crate) fn join(
        &mut self,
        channel: ChannelId,
        space: SpaceId,
        at: u32,
        live: u32,
        rights: u64,
    ) -> Result<(), Stale> {
        if rights != self.rights {
            return Err(Stale);
        }
        if !self.is_open() {
            return Ok(());
        }
        let position = Position::new(at, live);
        if position.is_behind() {
            self.todo.behind(channel);
        }
        self.channels.insert(channel, Joined { space, position });
        if let Some(trail) = &self.trail {
            locked(trail).begin(channel, at);
        }
        Ok(())
    }

    /// Reads a channel no more, and drops what waits of it.
    pub(crate) fn leave(&mut self, channel: ChannelId) -> bool {
        if self.channels.remove(&channel).is_none() {
            return false;
        }
        self.queue.forget(channel);
        self.own
            .retain(|frame| frame.channel != Some(channel) || !frame.is_logged());
        self.todo.leave(channel);
        if let Some(trail) = &self.trail {
            locked(trail).leave(channel);
        }
        true
    }

    /// Where the reader stands in a channel that it must catch up in; `None` where it need not.
    pub(crate) fn behind(&self, channel: ChannelId) -> Option<u32> {
        let position = &self.channels.get(&channel)?.position;
        position.is_behind().then(|| position.at())
    }

    /// Takes changes read from chat, complete from `after` through `through`. Changes for another place are late and dropped.
    pub(crate) fn caught(
        &mut self,
        channel: ChannelId,
        after: u32,
        frames: Vec<Arc<Frame>>,
        through: u32,
    ) {
        if self.behind(channel) != Some(after) {
            return;
        }
        let Some(joined) = self.channels.get_mut(&channel) else {
            return;
        };
        self.own.extend(frames);
        let caught = joined.position.caught(through);
        self.go_on(channel, caught);
    }

    /// Tells the reader to load the newest page and goes on from its head.
    pub(crate) fn reset(&mut self, channel: ChannelId, head: Head) {
        let Some(joined) = self.channels.get_mut(&channel) else {
            return;
        };
        let caught = joined.position.restart(head.rev);
        if let Some(trail) = &self.trail {
            locked(trail).begin(channel, head.rev);
        }
        self.queue.forget(channel);
        self.own
            .retain(|frame| frame.channel != Some(channel) || !frame.is_logged());
        self.own.push_back(Frame::reset(channel, head));
        self.go_on(channel, caught);
    }

    fn go_on(&mut self, channel: ChannelId, caught: Caught) {
        match caught {
            Caught::Up(held) => self.own.extend(held),
            Caught::Behind => {}
        }
        if self.behind(channel).is_some() {
            self.todo.behind(channel);
        }
    }

    /// Notes that the reader hears of a space; `false` where it did already.
    pub(crate) fn hear_of(&mut self, space: SpaceId) -> bool {
        self.spaces.insert(space)
    }

    /// Notes that the reader hears of a space no more.
    pub(crate) fn hear_no_more(&mut self, space: SpaceId) -> bool {
        self.spaces.remove(&space)
    }

    /// The spaces that the reader hears of.
    pub(crate) fn spaces(&self) -> Vec<SpaceId> {
        self.spaces.iter().copied().collect()
    }

    /// Notes whether the reader may see somebody's presence.
    pub(crate) fn show(&mut self, user: UserId, shown: bool) {
        if shown && self.wish.people.binary_search(&user).is_ok() {
            self.shown.insert(user);
        } else {
            self.shown.remove(&user);
        }
    }

    /// Has it looked into whose presence the reader may see; nobody's is shown until then.
    pub(crate) fn look_at_all(&mut self) {
        self.shown.clear();
        for user in &self.wish.people {
            self.todo.look_at(*user);
        }
    }

    /// Has it looked into whether the reader may see this person.
    pub(crate) fn look_at(&mut self, user: UserId) {
        if self.wish.people.binary_search(&user).is_ok() {
            self.shown.remove(&user);
            self.todo.look_at(user);
        }
    }

    /// Keeps a trail from now on.
    pub(crate) fn leave_trail(&mut self, trail: Arc<Mutex<Trail>>) {
        self.trail = Some(trail);
    }

    /// The trail that is kept.
    pub(crate) fn trail(&self) -> Option<Arc<Mutex<Trail>>> {
        self.trail.clone()
    }
}

fn locked(trail: &Mutex<Trail>) -> MutexGuard<'_, Trail> {
    trail.lock().unwrap_or_else(PoisonError::into_inner)
}
