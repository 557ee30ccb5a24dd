//! What is known of one endpoint while it is used: calls at work, health. Shared with its connection, which outlives no call.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use guildhall_kernel::Clock;
use metrics::gauge;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    dice::Dice,
    endpoint::Way,
    health::{Fitness, Health},
    now,
};

/// How many calls may wait for one endpoint; the next ones ask another.
const MOST_AT_WORK: usize = 1_024;

pub(super) struct Vitals {
    from: &'static str,
    to: &'static str,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
    dice: Arc<Dice>,
    // Looked at by every choice; never held across an await.
    health: Mutex<Health>,
    at_work: AtomicUsize,
}

impl Vitals {
    pub(super) fn new(way: &Way, address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            from: way.from,
            to: way.to,
            address,
            clock: way.clock.clone(),
            dice: way.dice.clone(),
            health: Mutex::default(),
            at_work: AtomicUsize::new(0),
        })
    }

    pub(super) fn fitness(&self) -> Fitness {
        let now = self.clock.uptime();
        self.with(|health| health.fitness(now))
    }

    /// Whether this call may find out if the endpoint is back.
    pub(super) fn claim(&self) -> bool {
        let now = self.clock.uptime();
        self.with(|health| health.claim(now))
    }

    pub(super) fn at_work(&self) -> usize {
        self.at_work.load(Ordering::Acquire)
    }

    /// A place among the calls at work; `None` where they are too many.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let place = Place(self.clone());
        let before = self.at_work.fetch_add(1, Ordering::AcqRel);
        (before < MOST_AT_WORK).then_some(place)
    }

    /// It answered something else than that it cannot.
    fn answered(&self) {
        let now = self.clock.uptime();
        if self.with(|health| health.answered(now)) {
            self.count_ejected(-1.0);
            info!(to = self.to, address = %self.address, "is back");
        }
    }

    fn failed(&self, why: &str) {
        let (now, part) = (self.clock.uptime(), self.dice.part());
        let is_out = self.with(|health| health.failed(now, part));
        self.tell(is_out, why);
    }

    /// It cannot be reached, or its connection broke.
    pub(super) fn gone(&self, why: &str) {
        let (now, part) = (self.clock.uptime(), self.dice.part());
        let is_out = self.with(|health| health.gone(now, part));
        self.tell(is_out, why);
    }

    fn tell(&self, is_out: bool, why: &str) {
        if is_out {
            self.count_ejected(1.0);
            warn!(to = self.to, address = %self.address, why, "is left out for a while");
        }
    }

    fn count_ejected(&self, change: f64) {
        gauge!("guildhall_link_ejected", "from" => self.from, "to" => self.to).increment(change);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Health) -> T) -> T {
        act(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Vitals {
    fn drop(&mut self) {
        if self.fitness() != Fitness::Fit {
            self.count_ejected(-1.0);
        }
    }
}

/// A call at work.
pub(super) struct Place(Arc<Vitals>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One call to an endpoint, as far as its health goes. Dropped without a word after `until`, it counts as a failure; before, somebody
/// lost interest.
pub(super) struct Trial {
    vitals: Option<Arc<Vitals>>,
    until: Instant,
}

impl Trial {
    pub(super) fn new(vitals: Arc<Vitals>, until: Instant) -> Self {
        Self {
            vitals: Some(vitals),
            until,
        }
    }

    pub(super) fn answered(mut self) {
        if let Some(vitals) = self.vitals.take() {
            vitals.answered();
        }
    }

    pub(super) fn failed(mut self, why: &str) {
        if let Some(vitals) = self.vitals.take() {
            vitals.failed(why);
        }
    }

    pub(super) fn gone(mut self, why: &str) {
        if let Some(vitals) = self.vitals.take() {
            vitals.gone(why);
        }
    }

    /// Nothing was learned.
    pub(super) fn void(mut self) {
        self.vitals = None;
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(vitals) = self.vitals.take()
            && now() >= self.until
        {
            vitals.failed("it does not answer in time");
        }
    }
}
