//! What a service is built from, for its tests.

use std::sync::Arc;

use guildhall_kernel::{Clock, Ids};
use guildhall_mesh::{
    LocalBus, Tasks,
    access::Access,
    guard::{Guard, Places},
    rules::Rules,
};
use tempfile::TempDir;

use crate::{CaughtEvents, CountedIds, Person, Rights, StoppedClock};

/// Everything around one service: stopped, counted and in memory, with a folder of its own that goes away with it.
#[derive(Debug)]
pub struct World {
    /// The clock that the service was given.
    pub clock: StoppedClock,
    /// The ids that it was given.
    pub ids: CountedIds,
    /// Who may what.
    pub rights: Rights,
    /// The service's cache of that.
    pub access: Access,
    /// The bus that it tells on.
    pub bus: LocalBus,
    /// Its tasks.
    pub tasks: Tasks,
    /// Where its files go.
    pub dir: TempDir,
}

impl World {
    /// A fresh one.
    pub fn new() -> Self {
        let (clock, ids) = (StoppedClock::new(), CountedIds::new());
        let rights = Rights::new(clock.clone(), ids.clone());
        Self {
            access: rights.access(),
            rights,
            clock,
            ids,
            bus: LocalBus::new(),
            tasks: Tasks::new(),
            dir: tempfile::tempdir().expect("a folder for the test"),
        }
    }

    /// The clock, as services take it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// The ids, as services take them.
    pub fn ids(&self) -> Arc<dyn Ids> {
        Arc::new(self.ids.clone())
    }

    /// The stack of layers that a real process puts before a service.
    pub fn guard(&self, places: Arc<dyn Places>) -> Guard {
        let rules = Rules::of(guildhall_proto::pool()).expect("every rpc has its option");
        Guard {
            rules: Arc::new(rules),
            access: self.access.clone(),
            places,
            clock: self.clock(),
            ids: self.ids(),
        }
    }

    /// A new person with a session.
    pub fn person(&self) -> Person {
        self.rights.person()
    }

    /// Catches what is told from now on under `pattern` (`*` for one part).
    pub async fn catch(&self, pattern: &str) -> CaughtEvents {
        CaughtEvents::of(&self.bus, pattern).await
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
