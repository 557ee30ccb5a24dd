//! Who is there on other gateways, and what those are told of ours. No I/O: words come and go, time passes.
//!
//! A gateway says of its people, in passing, whenever one of them comes, goes or is away. What it says is numbered, so that who missed
//! something sees it by the next number, at the latest by that of the heartbeat, and asks for the whole. A gateway that was silent for
//! too long is gone, and its people with it. Its name is new with every start: what an earlier run said is never mixed up with it.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use guildhall_kernel::UserId;

mod ours;
mod said;

pub(crate) use ours::Ours;
pub(crate) use said::{Here, Said};

use said::Person;

/// After which silence a gateway is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// How long to wait for an answer before the same is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What other gateways have said.
#[derive(Debug, Default)]
pub(crate) struct Others {
    gateways: HashMap<Bytes, Gateway>,
    met: u64,
}

#[derive(Debug)]
struct Gateway {
    /// Stands for it among the streams of its people.
    stream: u64,
    /// Up to which number everything is known; `None` until the whole was heard.
    known: Option<u64>,
    people: HashMap<UserId, bool>,
    heard_at: Duration,
    asked_at: Option<Duration>,
    whole: Whole,
}

/// The whole of a gateway, page by page.
#[derive(Debug, Default)]
struct Whole {
    number: u64,
    pages: u32,
    people: HashMap<UserId, bool>,
}

/// Somebody is there in another way: on which gateway, and how.
pub(crate) type Change = (u64, UserId, Here);

/// Streams from here on stand for other gateways.
pub(crate) const ELSEWHERE: u64 = 1 << 63;

impl Others {
    /// Takes what another gateway says. Says what changed by it, and whether that gateway must be asked for the whole.
    pub(crate) fn hear(&mut self, said: &Said, now: Duration) -> (Vec<Change>, bool) {
        let met = &mut self.met;
        let gateway = self.gateways.entry(said.from.clone()).or_insert_with(|| {
            *met += 1;
            Gateway::new(ELSEWHERE + *met, now)
        });
        gateway.heard_at = now;
        let changes = if said.page == 0 {
            gateway.step(said)
        } else {
            gateway.turn(said)
        };
        match changes {
            Some(changes) => (changes, false),
            None => (Vec::new(), gateway.is_to_be_asked(now)),
        }
    }

    /// Lets those go that were silent for too long. Says what changed by it.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Change> {
        let silent = |gateway: &Gateway| now.saturating_sub(gateway.heard_at) >= SILENCE;
        let gone = self.gateways.extract_if(|_, gateway| silent(gateway));
        let gone = gone.flat_map(|(_, gateway)| {
            let stream = gateway.stream;
            gateway
                .people
                .into_keys()
                .map(move |user| (stream, user, None))
        });
        gone.collect()
    }
}

impl Gateway {
    fn new(stream: u64, now: Duration) -> Self {
        Self {
            stream,
            known: None,
            people: HashMap::new(),
            heard_at: now,
            asked_at: None,
            whole: Whole::default(),
        }
    }

    /// Takes a change or a heartbeat; `None` where something before it is missing.
    fn step(&mut self, said: &Said) -> Option<Vec<Change>> {
        let known = self.known?;
        if said.number <= known {
            return Some(Vec::new());
        }
        if said.number != known + 1 || said.people.is_empty() {
            return None;
        }
        self.known = Some(said.number);
        let changes = said.people.iter().filter_map(Person::read);
        let changes: Vec<_> = changes
            .map(|(user, here)| (self.stream, user, here))
            .collect();
        for (_, user, here) in &changes {
            match here {
                Some(away) => self.people.insert(*user, *away),
                None => self.people.remove(user),
            };
        }
        Some(changes)
    }

    /// Takes a page of the whole. Pages of one whole come one after the other, or it is heard again.
    fn turn(&mut self, said: &Said) -> Option<Vec<Change>> {
        if said.page == 1 {
            self.whole = Whole {
                number: said.number,
                ..Whole::default()
            };
        }
        if said.number != self.whole.number || said.page != self.whole.pages + 1 {
            return None;
        }
        self.whole.pages = said.page;
        let people = said.people.iter().filter_map(Person::read);
        self.whole
            .people
            .extend(people.filter_map(|(user, here)| Some((user, here?))));
        if said.page < said.pages {
            return Some(Vec::new());
        }
        let whole = std::mem::take(&mut self.whole);
        if self.known.is_some_and(|known| known > whole.number) {
            return Some(Vec::new());
        }
        self.known = Some(whole.number);
        let before = std::mem::replace(&mut self.people, whole.people);
        let gone = before.keys().filter(|user| !self.people.contains_key(user));
        let gone = gone.map(|user| (self.stream, *user, None));
        let here = self
            .people
            .iter()
            .filter(|(user, away)| before.get(user) != Some(away));
        let here = here.map(|(user, away)| (self.stream, *user, Some(*away)));
        Some(gone.chain(here).collect())
    }

    fn is_to_be_asked(&mut self, now: Duration) -> bool {
        let waits = self
            .asked_at
            .is_some_and(|at| now.saturating_sub(at) < ASK_AGAIN);
        if !waits {
            self.asked_at = Some(now);
        }
        !waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 16])
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A gateway, its people, and who hears of them.
    struct Pair {
        ours: Ours,
        people: HashMap<UserId, bool>,
        others: Others,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                ours: Ours::new([1; 16]),
                people: HashMap::new(),
                others: Others::default(),
            }
        }

        fn set(&mut self, n: u8, here: Here) -> Vec<Said> {
            match here {
                Some(away) => self.people.insert(user(n), away),
                None => self.people.remove(&user(n)),
            };
            self.ours.changed(user(n));
            self.ours.news(|user| self.people.get(&user).copied())
        }

        /// Hears all of it; says what changed, and whether the whole is asked for.
        fn hear(&mut self, said: &[Said], now: Duration) -> (Vec<(UserId, Here)>, bool) {
            let (mut changed, mut asks) = (Vec::new(), false);
            for said in said {
                let (changes, ask) = self.others.hear(said, now);
                changed.extend(changes.into_iter().map(|(_, user, here)| (user, here)));
                asks |= ask;
            }
            changed.sort_unstable();
            (changed, asks)
        }
    }

    #[test]
    fn who_comes_goes_away_and_leaves_is_heard_of_as_it_happens() {
        let mut pair = Pair::new();
        let whole = pair.ours.whole();
        assert_eq!(pair.hear(&whole, at(0)), (vec![], false));

        for here in [Some(false), Some(true), None] {
            let said = pair.set(1, here);
            assert_eq!(pair.hear(&said, at(1)), (vec![(user(1), here)], false));
        }
        assert_eq!(pair.set(1, None), []);
    }

    #[test]
    fn what_was_missed_is_seen_by_the_next_number_and_mended_by_the_whole() {
        let mut pair = Pair::new();
        let whole = pair.ours.whole();
        pair.hear(&whole, at(0));
        let first = pair.set(1, Some(false));
        pair.hear(&first, at(0));
        let _missed = (pair.set(2, Some(true)), pair.set(1, None));

        let third = pair.set(3, Some(false));
        assert_eq!(pair.hear(&third, at(1)), (vec![], true));
        let whole = pair.ours.whole();
        let mended = [
            (user(1), None),
            (user(2), Some(true)),
            (user(3), Some(false)),
        ];
        assert_eq!(pair.hear(&whole, at(1)), (mended.to_vec(), false));
        assert_eq!(pair.hear(&third, at(1)), (vec![], false));
    }

    #[test]
    fn a_heartbeat_shows_that_the_last_thing_said_was_missed() {
        let mut pair = Pair::new();
        let whole = pair.ours.whole();
        pair.hear(&whole, at(0));
        let _missed = pair.set(1, Some(false));

        let beat = pair.ours.beat(at(15)).expect("it is time");
        assert_eq!(
            pair.hear(std::slice::from_ref(&beat), at(15)),
            (vec![], true)
        );
        assert_eq!(pair.hear(&[beat], at(16)), (vec![], false));
        assert_eq!(pair.ours.beat(at(29)), None);
    }

    #[test]
    fn a_whole_of_many_pages_counts_when_all_came_and_not_before() {
        let mut pair = Pair::new();
        for n in 0..=u16::MAX >> 4 {
            let [high, low] = n.to_be_bytes();
            let user = UserId::from_bytes([high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            pair.people.insert(user, false);
            pair.ours.changed(user);
        }
        let people = pair.people.clone();
        let news = pair.ours.news(|user| people.get(&user).copied());
        assert_eq!(news.len(), 3);
        let whole = pair.ours.whole();
        assert_eq!(whole.len(), 3);

        let (changed, asks) = pair.hear(&[whole[0].clone(), whole[2].clone()], at(0));
        assert!(changed.is_empty() && asks);
        let (changed, _) = pair.hear(&whole, at(0));
        assert_eq!(changed.len(), 4_096);
    }

    #[test]
    fn a_silent_gateway_is_gone_with_its_people_and_a_farewell_is_quicker() {
        let mut pair = Pair::new();
        let whole = pair.ours.whole();
        pair.hear(&whole, at(0));
        let said = pair.set(1, Some(false));
        pair.hear(&said, at(0));

        assert_eq!(pair.others.tick(at(44)), []);
        let gone = pair.others.tick(at(45));
        assert_eq!(gone, [(ELSEWHERE + 1, user(1), None)]);
        assert_eq!(pair.others.tick(at(46)), []);

        let whole = pair.ours.whole();
        assert_eq!(
            pair.hear(&whole, at(50)),
            (vec![(user(1), Some(false))], false)
        );
        let farewell = pair.ours.farewell();
        assert_eq!(
            pair.hear(&[farewell], at(51)),
            (vec![(user(1), None)], false)
        );
    }
}
