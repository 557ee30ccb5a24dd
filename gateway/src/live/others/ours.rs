//! What this gateway says of its people.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use guildhall_kernel::UserId;

use super::said::{Here, Person, Said};

/// How often a gateway says that it lives.
const BEAT: Duration = Duration::from_secs(15);
/// Of how many people is said at once.
const PAGE: usize = 2_000;

/// What this gateway has said.
#[derive(Debug)]
pub(crate) struct Ours {
    name: Bytes,
    number: u64,
    said: HashMap<UserId, bool>,
    /// Of whom something may be to be said, once each however often they come and go.
    changed: HashSet<UserId>,
    beat_at: Duration,
}

impl Ours {
    /// Nothing yet, under a name that no other gateway has.
    pub(crate) fn new(name: [u8; 16]) -> Self {
        Self {
            name: Bytes::copy_from_slice(&name),
            number: 0,
            said: HashMap::new(),
            changed: HashSet::new(),
            beat_at: BEAT,
        }
    }

    /// The name of this gateway.
    pub(crate) fn name(&self) -> &Bytes {
        &self.name
    }

    /// Notes that somebody may be there in another way now.
    pub(crate) fn changed(&mut self, user: UserId) {
        self.changed.insert(user);
    }

    /// What is to be said now, where `here` tells how somebody is there.
    pub(crate) fn news(&mut self, here: impl Fn(UserId) -> Here) -> Vec<Said> {
        let mut people: Vec<_> = self
            .changed
            .drain()
            .map(|user| (user, here(user)))
            .collect();
        people.retain(|(user, here)| self.said.get(user).copied() != *here);
        people.sort_unstable();
        let mut news = Vec::new();
        for some in people.chunks(PAGE) {
            for (user, here) in some {
                match here {
                    Some(away) => self.said.insert(*user, *away),
                    None => self.said.remove(user),
                };
            }
            self.number += 1;
            let people = some
                .iter()
                .map(|(user, here)| Person::of(*user, *here))
                .collect();
            news.push(self.say(people, 0, 0));
        }
        news
    }

    /// Everybody, for who asks.
    pub(crate) fn whole(&self) -> Vec<Said> {
        let people: Vec<_> = self
            .said
            .iter()
            .map(|(user, away)| Person::of(*user, Some(*away)))
            .collect();
        let pages = people.len().div_ceil(PAGE).max(1);
        let count = u32::try_from(pages).unwrap_or(u32::MAX);
        let page = |n: u32| {
            let from = PAGE * usize::try_from(n).unwrap_or(usize::MAX);
            let some = people.iter().skip(from).take(PAGE).cloned().collect();
            self.say(some, n + 1, count)
        };
        (0..count).map(page).collect()
    }

    /// A heartbeat, when it is time.
    pub(crate) fn beat(&mut self, now: Duration) -> Option<Said> {
        if now < self.beat_at {
            return None;
        }
        self.beat_at = now + BEAT;
        Some(self.say(Vec::new(), 0, 0))
    }

    /// That nobody is here any more.
    pub(crate) fn farewell(&mut self) -> Said {
        self.said.clear();
        self.number += 1;
        self.say(Vec::new(), 1, 1)
    }

    fn say(&self, people: Vec<Person>, page: u32, pages: u32) -> Said {
        Said {
            from: self.name.clone(),
            number: self.number,
            people,
            page,
            pages,
        }
    }
}
