//! Time that passes when a test says so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use guildhall_kernel::{Clock, Time};

/// A clock that stands still at 2026-01-01T00:00:00Z until it is moved. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct StoppedClock {
    // Read by the code under test, moved by the test.
    inner: Arc<Hands>,
}

#[derive(Debug)]
struct Hands {
    now: AtomicI64,
    uptime: AtomicU64,
}

impl StoppedClock {
    /// The instant at which every stopped clock starts.
    pub const START: Time = Time::from_micros(1_767_225_600_000_000);

    /// A clock at [`StoppedClock::START`] with an uptime of one hour, so that nothing is young by accident.
    pub fn new() -> Self {
        let hands = Hands {
            now: AtomicI64::new(Self::START.micros()),
            uptime: AtomicU64::new(3_600_000_000),
        };
        Self {
            inner: Arc::new(hands),
        }
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).expect("a time that a test can wait");
        self.inner
            .now
            .fetch_add(i64::try_from(micros).expect("the same"), Ordering::SeqCst);
        self.inner.uptime.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the instant alone, as an operator sets the machine's clock: uptime goes on from where it was.
    pub fn set(&self, now: Time) {
        self.inner.now.store(now.micros(), Ordering::SeqCst);
    }
}

impl Default for StoppedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Time {
        Time::from_micros(self.inner.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_micros(self.inner.uptime.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_when_told_and_uptime_never_goes_back() {
        let clock = StoppedClock::new();

        clock.pass(Duration::from_secs(2));
        let uptime = clock.uptime();
        clock.set(Time::from_micros(0));

        assert_eq!(clock.now(), Time::from_micros(0));
        assert_eq!(clock.uptime(), uptime);
        assert_eq!(StoppedClock::START.to_string(), "2026-01-01T00:00:00Z");
    }
}
