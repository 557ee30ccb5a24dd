//! Who is there. No I/O: streams come and go, time passes, and what is to be told comes out.
//!
//! Online while a stream is open, away while every open stream says so, offline a while after the last one ended. Of one person at
//! most one change a second is told: the first at once, what follows with the next second, and only if it still differs.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use guildhall_kernel::UserId;
use guildhall_proto::live::v1::PresenceState as State;

use super::others::{ELSEWHERE, Here};

/// The least time between two changes told of one person.
const APART: Duration = Duration::from_secs(1);

/// Everybody with a stream, and who had one just now.
#[derive(Debug)]
pub(crate) struct People {
    linger: Duration,
    here: HashMap<UserId, Person>,
    /// Of whom something is to be told later.
    waiting: HashSet<UserId>,
}

#[derive(Debug)]
struct Person {
    /// Open streams, and whether each says that its person is away.
    streams: Vec<(u64, bool)>,
    /// When the last stream ended.
    left_at: Duration,
    told: State,
    told_at: Option<Duration>,
}

impl People {
    /// Nobody. Who ends the last stream is shown for `linger`.
    pub(crate) fn new(linger: Duration) -> Self {
        Self {
            linger,
            here: HashMap::new(),
            waiting: HashSet::new(),
        }
    }

    /// How somebody is there.
    pub(crate) fn state(&self, user: UserId) -> State {
        self.here.get(&user).map_or(State::Offline, Person::state)
    }

    /// A stream was opened. Says what is to be told now.
    pub(crate) fn came(&mut self, user: UserId, stream: u64, now: Duration) -> Option<State> {
        self.join(user, stream, false, now)
    }

    fn join(&mut self, user: UserId, stream: u64, away: bool, now: Duration) -> Option<State> {
        let person = self.here.entry(user).or_insert_with(|| Person {
            streams: Vec::new(),
            left_at: now,
            told: State::Offline,
            told_at: None,
        });
        person.streams.push((stream, away));
        self.tell(user, now)
    }

    /// How somebody is there by the streams of this gateway.
    pub(crate) fn here(&self, user: UserId) -> Here {
        let streams = &self.here.get(&user)?.streams;
        let mut ours = streams.iter().filter(|(id, _)| *id < ELSEWHERE).peekable();
        ours.peek()?;
        Some(ours.all(|(_, away)| *away))
    }

    /// Somebody is there in this way on another gateway, for which `stream` stands.
    pub(crate) fn stands(
        &mut self,
        user: UserId,
        stream: u64,
        here: Here,
        now: Duration,
    ) -> Option<State> {
        let known = self.here.get(&user);
        let known = known.is_some_and(|person| person.streams.iter().any(|(id, _)| *id == stream));
        match (known, here) {
            (true, Some(away)) => self.says(user, stream, away, now),
            (true, None) => self.left(user, stream, now),
            (false, Some(away)) => self.join(user, stream, away, now),
            (false, None) => None,
        }
    }

    /// A stream says whether its person is away.
    pub(crate) fn says(
        &mut self,
        user: UserId,
        stream: u64,
        away: bool,
        now: Duration,
    ) -> Option<State> {
        let streams = &mut self.here.get_mut(&user)?.streams;
        let own = streams.iter_mut().find(|(id, _)| *id == stream)?;
        own.1 = away;
        self.tell(user, now)
    }

    /// A stream ended.
    pub(crate) fn left(&mut self, user: UserId, stream: u64, now: Duration) -> Option<State> {
        let person = self.here.get_mut(&user)?;
        person.streams.retain(|(id, _)| *id != stream);
        if person.streams.is_empty() {
            person.left_at = now;
            self.waiting.insert(user);
            return None;
        }
        self.tell(user, now)
    }

    /// Time passed. Says what is to be told, by user id.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<(UserId, State)> {
        let mut waiting: Vec<_> = self.waiting.drain().collect();
        waiting.sort_unstable();
        let mut told = Vec::new();
        for user in waiting {
            if self
                .here
                .get(&user)
                .is_some_and(|person| person.is_leaving(now, self.linger))
            {
                self.waiting.insert(user);
                continue;
            }
            told.extend(self.tell(user, now).map(|state| (user, state)));
            match self.here.get(&user) {
                Some(person) if !person.is_gone() => {}
                // Remembered for a moment longer, or coming back would be told too soon.
                Some(person) if person.told_lately(now) => {
                    self.waiting.insert(user);
                }
                _ => {
                    self.here.remove(&user);
                }
            }
        }
        told
    }

    /// Tells the present state, or remembers to.
    fn tell(&mut self, user: UserId, now: Duration) -> Option<State> {
        let person = self.here.get_mut(&user)?;
        let state = if person.streams.is_empty() {
            State::Offline
        } else {
            person.state()
        };
        if state == person.told {
            return None;
        }
        if person.told_lately(now) {
            self.waiting.insert(user);
            return None;
        }
        person.told = state;
        person.told_at = Some(now);
        Some(state)
    }
}

impl Person {
    /// Who left is shown as before for a while.
    fn state(&self) -> State {
        if self.streams.is_empty() {
            return self.told;
        }
        if self.streams.iter().all(|(_, away)| *away) {
            State::Away
        } else {
            State::Online
        }
    }

    fn is_leaving(&self, now: Duration, linger: Duration) -> bool {
        self.streams.is_empty()
            && self.told != State::Offline
            && now.saturating_sub(self.left_at) < linger
    }

    fn told_lately(&self, now: Duration) -> bool {
        self.told_at
            .is_some_and(|at| now.saturating_sub(at) < APART)
    }

    fn is_gone(&self) -> bool {
        self.streams.is_empty() && self.told == State::Offline
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINGER: Duration = Duration::from_secs(10);

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 16])
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn somebody_comes_goes_away_and_leaves() {
        let mut people = People::new(LINGER);

        assert_eq!(people.came(user(1), 1, at(0)), Some(State::Online));
        assert_eq!(people.came(user(1), 2, at(1)), None);
        assert_eq!(people.says(user(1), 1, true, at(2)), None);
        assert_eq!(people.says(user(1), 2, true, at(3)), Some(State::Away));
        assert_eq!(people.left(user(1), 2, at(4)), None);
        assert_eq!(people.says(user(1), 1, false, at(5)), Some(State::Online));
        assert_eq!(people.left(user(1), 1, at(6)), None);
        assert_eq!(people.tick(at(15)), []);
        assert_eq!(people.state(user(1)), State::Online);
        assert_eq!(people.tick(at(16)), [(user(1), State::Offline)]);
        assert_eq!(people.state(user(1)), State::Offline);
        assert_eq!(people.tick(at(17)), []);
        assert!(people.here.is_empty() && people.waiting.is_empty());
    }

    #[test]
    fn who_comes_back_in_time_was_never_gone() {
        let mut people = People::new(LINGER);
        people.came(user(1), 1, at(0));
        people.left(user(1), 1, at(5));

        assert_eq!(people.came(user(1), 2, at(9)), None);
        assert_eq!(people.tick(at(30)), []);
        assert_eq!(people.state(user(1)), State::Online);
    }

    #[test]
    fn somebody_on_two_gateways_is_there_as_on_the_livelier_one() {
        let mut people = People::new(LINGER);
        let (near, far) = (1, ELSEWHERE + 1);

        assert_eq!(
            people.stands(user(1), far, Some(true), at(0)),
            Some(State::Away)
        );
        assert_eq!(people.here(user(1)), None);
        assert_eq!(people.came(user(1), near, at(1)), Some(State::Online));
        assert_eq!(people.here(user(1)), Some(false));
        assert_eq!(people.says(user(1), near, true, at(2)), Some(State::Away));
        assert_eq!(
            people.stands(user(1), far, Some(false), at(3)),
            Some(State::Online)
        );
        assert_eq!(people.here(user(1)), Some(true));
        assert_eq!(people.left(user(1), near, at(4)), None);
        assert_eq!(people.stands(user(1), far, None, at(5)), None);
        assert_eq!(people.stands(user(1), far, None, at(6)), None);
        assert_eq!(people.tick(at(15)), [(user(1), State::Offline)]);
    }

    #[test]
    fn of_a_flicker_only_the_end_is_told() {
        let mut people = People::new(LINGER);
        people.came(user(1), 1, at(0));
        let soon = Duration::from_millis(300);
        assert_eq!(people.says(user(1), 1, true, soon), None);
        assert_eq!(people.says(user(1), 1, false, 2 * soon), None);
        assert_eq!(people.tick(at(1)), []);

        assert_eq!(people.says(user(1), 1, true, at(1)), Some(State::Away));
    }

    proptest! {
        #[test]
        fn at_most_one_change_a_second_is_told_and_the_last_one_is(
            steps in prop::collection::vec((0_u8..4, 0_u64..3, 0_u64..900), 0..100)
        ) {
            let mut people = People::new(LINGER);
            let mut now = Duration::ZERO;
            let mut open: Vec<u64> = Vec::new();
            let mut told: Vec<(Duration, State)> = Vec::new();
            for (step, stream, pause) in steps {
                now += Duration::from_millis(pause);
                let said = match step {
                    0 if !open.contains(&stream) => {
                        open.push(stream);
                        people.came(user(1), stream, now)
                    }
                    1 => {
                        open.retain(|id| *id != stream);
                        people.left(user(1), stream, now)
                    }
                    2 => people.says(user(1), stream, pause % 2 == 0, now),
                    _ => people.tick(now).pop().map(|(_, state)| state),
                };
                told.extend(said.map(|state| (now, state)));
            }
            for _ in 0..20 {
                now += Duration::from_secs(1);
                told.extend(people.tick(now).into_iter().map(|(_, state)| (now, state)));
            }
            for pair in told.windows(2) {
                prop_assert!(pair[1].0 >= pair[0].0 + APART);
                prop_assert_ne!(pair[1].1, pair[0].1);
            }
            let last = told.last().map_or(State::Offline, |(_, state)| *state);
            prop_assert_eq!(last, people.state(user(1)));
            prop_assert_eq!(open.is_empty(), last == State::Offline);
            prop_assert_eq!(people.here.is_empty(), open.is_empty());
        }
    }
}
