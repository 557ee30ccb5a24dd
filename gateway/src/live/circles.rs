//! Which spaces people belong to, remembered until it changes: for what they may read, and for who may see whom.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use guildhall_kernel::{SpaceId, UserId};
use guildhall_mesh::access::{Access, Refused};
use quick_cache::sync::Cache;

/// The spaces of people.
pub(crate) struct Circles {
    access: Access,
    known: Cache<UserId, Arc<HashSet<SpaceId>>>,
    // An answer may be older than a change that is told while it is under way: a change counts first and then forgets, an answer is
    // kept first and then looks whether something was counted.
    changes: AtomicU64,
}

impl Circles {
    /// Remembers this many people.
    pub(crate) fn new(access: Access, people: usize) -> Self {
        Self {
            access,
            known: Cache::new(people),
            changes: AtomicU64::new(0),
        }
    }

    /// The spaces of somebody.
    pub(crate) async fn of(&self, user: UserId) -> Result<Arc<HashSet<SpaceId>>, Refused> {
        if self.access.is_fresh()
            && let Some(spaces) = self.known.get(&user)
        {
            return Ok(spaces);
        }
        let before = self.changes.load(Ordering::SeqCst);
        let seats = self.access.seats(user).await?;
        let spaces: Arc<HashSet<_>> = Arc::new(seats.keys().copied().collect());
        self.known.insert(user, spaces.clone());
        if self.changes.load(Ordering::SeqCst) != before {
            self.known.remove(&user);
        }
        Ok(spaces)
    }

    /// Whether two people belong to a space together.
    pub(crate) async fn share(&self, one: UserId, other: UserId) -> Result<bool, Refused> {
        if one == other {
            return Ok(true);
        }
        let ones = self.of(one).await?;
        if ones.is_empty() {
            return Ok(false);
        }
        Ok(!self.of(other).await?.is_disjoint(&ones))
    }

    /// Somebody came to a space or left one.
    pub(crate) fn changed(&self, user: UserId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.known.remove(&user);
    }

    /// A space is no more.
    pub(crate) fn gone(&self, space: SpaceId) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.known.retain(|_, spaces| !spaces.contains(&space));
    }

    /// Anything may have changed.
    pub(crate) fn clear(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.known.clear();
    }
}
