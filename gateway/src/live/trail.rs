//! From where a one-way reader goes on when it comes back. No I/O.
//!
//! The id of an event names a stream and how many changes it had sent. For each stream its positions are kept, and the last few
//! steps, so that the positions at an earlier event can be found: the frames after it may never have arrived.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{ChannelId, UserId};

use super::frame::Frame;

/// How many changes back a reader may have missed.
const STEPS: usize = 512;
/// How many random bytes name a stream: nobody guesses one.
pub(crate) const KEY: usize = 12;

/// What one stream has sent.
#[derive(Debug)]
pub(crate) struct Trail {
    user: UserId,
    stream: u64,
    key: String,
    /// How many changes were sent.
    sent: u64,
    positions: HashMap<ChannelId, u32>,
    /// The last changes sent: their numbers, their channels and the positions before them.
    steps: VecDeque<(u64, ChannelId, u32)>,
}

/// Where a reader goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The last change received, by channel.
    pub(crate) positions: HashMap<ChannelId, u32>,
    /// The stream that it comes from, which may not have noticed yet that it lost its reader.
    pub(crate) stream: u64,
}

impl Trail {
    /// The stream reads a channel from here.
    pub(crate) fn begin(&mut self, channel: ChannelId, at: u32) {
        self.positions.insert(channel, at);
    }

    /// The stream reads a channel no more.
    pub(crate) fn leave(&mut self, channel: ChannelId) {
        self.positions.remove(&channel);
    }

    /// A frame goes out. Says the id of its event, if it is worth one.
    pub(crate) fn step(&mut self, frame: &Frame) -> Option<String> {
        if let Some(channel) = frame.channel
            && frame.is_logged()
        {
            self.sent += 1;
            let before = self
                .positions
                .insert(channel, frame.rev)
                .unwrap_or(frame.after_rev);
            if self.steps.len() == STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back((self.sent, channel, before));
        }
        frame.is_mark.then(|| format!("{}.{}", self.key, self.sent))
    }

    fn positions_at(&self, sent: u64) -> Option<HashMap<ChannelId, u32>> {
        let missed = usize::try_from(self.sent.checked_sub(sent)?).ok()?;
        if missed > self.steps.len() {
            return None;
        }
        let mut positions = self.positions.clone();
        for (_, channel, before) in self.steps.iter().rev().take(missed) {
            // A channel that was left meanwhile stays left.
            if let Some(at) = positions.get_mut(channel) {
                *at = *before;
            }
        }
        Some(positions)
    }
}

/// The trails of open streams, and of those that ended lately.
#[derive(Debug)]
pub(crate) struct Trails {
    keep: Duration,
    most: usize,
    // The other holder is the reader, which steps on with each frame.
    by_key: HashMap<String, Arc<Mutex<Trail>>>,
    ended: VecDeque<(Duration, String)>,
}

impl Trails {
    /// None. What ended is kept for `keep`, at most `most` of it.
    pub(crate) fn new(keep: Duration, most: usize) -> Self {
        Self {
            keep,
            most,
            by_key: HashMap::new(),
            ended: VecDeque::new(),
        }
    }

    /// A stream begins, under a key of random bytes.
    pub(crate) fn open(
        &mut self,
        user: UserId,
        stream: u64,
        random: [u8; KEY],
    ) -> Arc<Mutex<Trail>> {
        let key = URL_SAFE_NO_PAD.encode(random);
        let trail = Arc::new(Mutex::new(Trail {
            user,
            stream,
            key: key.clone(),
            sent: 0,
            positions: HashMap::new(),
            steps: VecDeque::new(),
        }));
        self.by_key.insert(key, trail.clone());
        trail
    }

    /// A stream ended.
    pub(crate) fn close(&mut self, trail: &Mutex<Trail>, now: Duration) {
        let key = locked(trail).key.clone();
        self.ended.push_back((now + self.keep, key));
        while self.ended.len() > self.most {
            self.forget_oldest();
        }
    }

    /// Finds where a user goes on after an event. A trail is followed once.
    pub(crate) fn take(&mut self, event: &str, user: UserId) -> Option<Found> {
        let (key, sent) = event.split_once('.')?;
        let found = {
            let trail = locked(self.by_key.get(key)?);
            let positions = trail.positions_at(sent.parse().ok()?)?;
            (trail.user == user).then_some(Found {
                positions,
                stream: trail.stream,
            })?
        };
        self.by_key.remove(key);
        Some(found)
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: Duration) {
        while self.ended.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.ended.pop_front() {
            self.by_key.remove(&key);
        }
    }
}

fn locked(trail: &Mutex<Trail>) -> std::sync::MutexGuard<'_, Trail> {
    trail.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(120);

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 16])
    }

    fn channel(n: u8) -> ChannelId {
        ChannelId::from_bytes([n; 16])
    }

    fn change(n: u8, rev: u32) -> Arc<Frame> {
        Frame::passed(channel(n), rev, rev - 1)
    }

    /// Two channels, at 5 and 7; then 6, 8 and 7 are sent.
    fn trodden(trails: &mut Trails) -> (Arc<Mutex<Trail>>, Vec<String>) {
        let trail = trails.open(user(1), 3, [1; KEY]);
        let mut open = locked(&trail);
        open.begin(channel(1), 5);
        open.begin(channel(2), 7);
        let steps = [change(1, 6), change(2, 8), change(1, 7)];
        let events = steps.iter().filter_map(|frame| open.step(frame)).collect();
        drop(open);
        (trail, events)
    }

    #[test]
    fn a_reader_goes_on_after_the_event_it_names() {
        for (event, one, two) in [(0, 6, 7), (1, 6, 8), (2, 7, 8)] {
            let mut trails = Trails::new(KEEP, 10);
            let (_, events) = trodden(&mut trails);

            let found = trails.take(&events[event], user(1)).expect("is known");

            let positions = HashMap::from([(channel(1), one), (channel(2), two)]);
            assert_eq!(
                found,
                Found {
                    positions,
                    stream: 3
                },
                "{event}"
            );
        }
    }

    #[test]
    fn nobody_else_goes_on_from_there_and_nobody_twice() {
        let mut trails = Trails::new(KEEP, 10);
        let (_, events) = trodden(&mut trails);

        assert_eq!(trails.take(&events[0], user(2)), None);
        assert!(trails.take(&events[0], user(1)).is_some());
        assert_eq!(trails.take(&events[0], user(1)), None);
        for nonsense in ["", ".", "x.1", "x"] {
            assert_eq!(trails.take(nonsense, user(1)), None, "{nonsense}");
        }
    }

    #[test]
    fn what_ended_is_forgotten_after_a_while_or_when_it_is_too_much() {
        let mut trails = Trails::new(KEEP, 1);
        let (trail, events) = trodden(&mut trails);
        trails.tick(Duration::from_secs(1_000));
        trails.close(&trail, Duration::from_secs(1_000));
        trails.tick(Duration::from_secs(1_119));
        assert_eq!(trails.by_key.len(), 1);

        trails.tick(Duration::from_secs(1_120));

        assert_eq!(trails.take(&events[0], user(1)), None);
        for n in 2..5 {
            let trail = trails.open(user(1), 4, [n; KEY]);
            trails.close(&trail, Duration::ZERO);
        }
        assert_eq!(trails.by_key.len(), 1);
    }

    #[test]
    fn too_many_steps_back_are_not_known() {
        let mut trails = Trails::new(KEEP, 10);
        let trail = trails.open(user(1), 3, [1; KEY]);
        let first = locked(&trail).step(&change(1, 1)).expect("an id");
        for rev in 2..=u32::try_from(STEPS).expect("small") + 2 {
            locked(&trail).step(&change(1, rev));
        }

        assert_eq!(trails.take(&first, user(1)), None);
    }
}
