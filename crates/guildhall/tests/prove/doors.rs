//! Where clients find a hall: its gateways, as a load balancer before them would.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The addresses of all gateways, "127.0.0.1:8080"; they move when a hall is started elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors {
    addresses: Arc<RwLock<Vec<String>>>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Doors {
    /// The gateways of a hall that stays where it is.
    pub(crate) fn of(addresses: Vec<String>) -> Self {
        let doors = Self::default();
        doors.set(addresses);
        doors
    }

    /// The hall is there now.
    pub(crate) fn set(&self, addresses: Vec<String>) {
        *self.addresses.write().expect("no reader panics") = addresses;
    }

    /// How many gateways there are.
    pub(crate) fn count(&self) -> usize {
        self.addresses.read().expect("no writer panics").len()
    }

    /// The gateway of whoever is at this place; places go round.
    pub(crate) fn get(&self, place: usize) -> String {
        let addresses = self.addresses.read().expect("no writer panics");
        addresses[place % addresses.len()].clone()
    }

    /// Notes that a retry-safe call failed at every gateway, or was answered by an error of the server.
    pub(crate) fn failed(&self, what: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(what);
    }

    /// What was noted since it was asked for the last time.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *failures)
    }
}
