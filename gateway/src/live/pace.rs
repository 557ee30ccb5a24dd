//! How fast one stream may speak.

use std::time::Duration;

/// A bucket that fills steadily and is emptied by what a client says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long one frame takes to be allowed again.
    each: Duration,
    /// How much may be saved up.
    burst: Duration,
    /// When the bucket is full again, as uptime.
    full_at: Duration,
}

impl Pace {
    /// So many frames a second, and as many as `seconds` of it at once.
    pub(crate) fn new(per_second: u32, seconds: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self {
            each,
            burst: Duration::from_secs(seconds.max(1).into()),
            full_at: Duration::ZERO,
        }
    }

    /// Counts a frame; `false` where it is one too many.
    pub(crate) fn allows(&mut self, now: Duration) -> bool {
        let full_at = self.full_at.max(now) + self.each;
        let allowed = full_at.saturating_sub(now) <= self.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_steady_pace() {
        let mut pace = Pace::new(10, 2);

        let burst = (0..30)
            .filter(|_| pace.allows(Duration::from_secs(1)))
            .count();
        let second = (0..30)
            .filter(|_| pace.allows(Duration::from_secs(2)))
            .count();

        assert_eq!((burst, second), (20, 10));
    }
}
