//! Who is where, as what and since when.

use std::{collections::HashMap, sync::Arc};

use guildhall_kernel::{Role, SpaceId, Time, UserId};
use quick_cache::sync::Cache;

/// Somebody's place in a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// What they are there.
    pub role: Role,
    /// When they came; [`Seat::BEGINNING`] where nobody can say.
    pub since: Time,
}

/// The seats of one person.
pub type Seats = HashMap<SpaceId, Seat>;

impl Seat {
    /// Before everything.
    pub const BEGINNING: Time = Time::from_micros(i64::MIN);
}

/// What is remembered of seats. Absent: ask.
pub(super) struct Memory {
    /// Single ones. The absence of one is not kept.
    one: Cache<(UserId, SpaceId), Seat>,
    /// All of a person.
    all: Cache<UserId, Arc<Seats>>,
}

impl Memory {
    /// Remembers this many single seats, and the seats of this many people.
    pub(super) fn new(remembered: usize) -> Self {
        Self {
            one: Cache::new(remembered),
            all: Cache::new(remembered),
        }
    }

    /// A seat. A list without it says nothing: somebody who has just come is let in at once, not when the change is heard.
    pub(super) fn seat(&self, user: UserId, space: SpaceId) -> Option<Seat> {
        let listed = || self.all.get(&user)?.get(&space).copied();
        self.one.get(&(user, space)).or_else(listed)
    }

    pub(super) fn seats(&self, user: UserId) -> Option<Arc<Seats>> {
        self.all.get(&user)
    }

    pub(super) fn keep(&self, user: UserId, space: SpaceId, seat: Seat) {
        self.one.insert((user, space), seat);
        // A list that lacks it is older.
        self.all
            .remove_if(&user, |seats| !seats.contains_key(&space));
    }

    pub(super) fn keep_all(&self, user: UserId, seats: Arc<Seats>) {
        self.all.insert(user, seats);
    }

    /// Something about a seat changed.
    pub(super) fn forget(&self, user: UserId, space: SpaceId) {
        self.one.remove(&(user, space));
        self.all.remove(&user);
    }

    pub(super) fn forget_all(&self, user: UserId) {
        self.all.remove(&user);
    }

    /// A space is no more.
    pub(super) fn forget_space(&self, space: SpaceId) {
        self.one.retain(|(_, of), _| *of != space);
        self.all.retain(|_, seats| !seats.contains_key(&space));
    }

    pub(super) fn clear(&self) {
        self.one.clear();
        self.all.clear();
    }
}
