//! Instants, and where they come from. Ambient time is a lint error elsewhere, so that tests can stop the clock.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An instant: microseconds since 1970 UTC, as the stores keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// From microseconds since 1970 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970 UTC.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970 UTC, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Nanoseconds into the second.
    pub const fn nanos(self) -> i32 {
        // Below 1e9 by construction.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a remainder below a million, times a thousand"
        )]
        {
            (self.0.rem_euclid(1_000_000) * 1_000) as i32
        }
    }

    /// From seconds and nanoseconds; `None` where microseconds cannot hold it.
    pub fn from_parts(seconds: i64, nanos: i32) -> Option<Self> {
        let micros = seconds
            .checked_mul(1_000_000)?
            .checked_add(i64::from(nanos) / 1_000)?;
        Some(Self(micros))
    }

    /// That much later; stops at the end of time instead of wrapping.
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// That much earlier.
    pub fn minus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` it is; zero where it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{} us", self.0),
        }
    }
}

/// Where instants come from.
pub trait Clock: Send + Sync + 'static {
    /// The present instant. May jump when the machine's clock is set: compare with what is stored, do not measure with it.
    fn now(&self) -> Time;
    /// Time since some fixed start, never backwards: for measuring.
    fn uptime(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// Starts counting uptime.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
    fn now(&self) -> Time {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
    fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_instant_before_1970_still_add_up() {
        let time = Time::from_micros(-1);

        assert_eq!((time.seconds(), time.nanos()), (-1, 999_999_000));
        assert_eq!(Time::from_parts(-1, 999_999_000), Some(time));
    }

    #[test]
    fn an_instant_prints_as_rfc_3339() {
        assert_eq!(
            Time::from_micros(1_500_000).to_string(),
            "1970-01-01T00:00:01.5Z"
        );
    }
}
