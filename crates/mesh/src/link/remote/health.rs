//! Whether an endpoint is asked or left out for a while, by what became of the calls to it.

use std::time::Duration;

/// So many failures in a row, and it is left out.
const IN_A_ROW: u32 = 3;
/// How long it is left out the first time, and at most.
const OUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long one probe has the endpoint to itself.
const PROBE: Duration = Duration::from_secs(2);
/// After so long without trouble, trouble counts as the first again.
const FORGET: Duration = Duration::from_secs(30);

/// The record of one endpoint. Instants are uptimes.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed_in_a_row: u32,
    /// How often it was left out, not long ago.
    times_out: u32,
    out_until: Option<Duration>,
    is_probed: bool,
    back_since: Duration,
}

/// How an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    /// It is asked.
    Fit,
    /// One call may find out whether it is back.
    Due,
    /// It is left out.
    Out,
}

impl Health {
    pub(super) fn fitness(&self, now: Duration) -> Fitness {
        match self.out_until {
            None => Fitness::Fit,
            Some(until) if now >= until => Fitness::Due,
            Some(_) => Fitness::Out,
        }
    }

    /// Takes the place of the one call that finds out; false where it is not due, or another call has it.
    pub(super) fn claim(&mut self, now: Duration) -> bool {
        if self.fitness(now) != Fitness::Due {
            return false;
        }
        // A probe that is given up by its caller finds out nothing: then the next one may.
        self.out_until = Some(now + PROBE);
        self.is_probed = true;
        true
    }

    /// It answered. True where that brings it back.
    pub(super) fn answered(&mut self, now: Duration) -> bool {
        self.failed_in_a_row = 0;
        self.is_probed = false;
        if self.out_until.take().is_some() {
            self.back_since = now;
            return true;
        }
        if now.saturating_sub(self.back_since) >= FORGET {
            self.times_out = 0;
        }
        false
    }

    /// A call to it failed. `part`, from 0 to 1, spreads the returns. True where that throws it out.
    pub(super) fn failed(&mut self, now: Duration, part: f64) -> bool {
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        let is_enough = self.is_probed || self.failed_in_a_row >= IN_A_ROW;
        is_enough && self.gone(now, part)
    }

    /// It cannot be reached, or its connection broke. True where that throws it out.
    pub(super) fn gone(&mut self, now: Duration, part: f64) -> bool {
        let was_out = self.out_until.is_some();
        if was_out && !self.is_probed && self.fitness(now) == Fitness::Out {
            // One trouble, which each of its calls tells.
            return false;
        }
        let doubled = OUT.0.saturating_mul(2_u32.saturating_pow(self.times_out));
        let out = doubled.min(OUT.1).mul_f64(0.75 + part / 2.0);
        self.out_until = Some(now + out);
        self.times_out = self.times_out.saturating_add(1);
        self.failed_in_a_row = 0;
        self.is_probed = false;
        !was_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: f64 = 0.5;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn three_failures_in_a_row_throw_it_out_for_a_second() {
        let mut health = Health::default();

        assert!(!health.failed(at(0), MIDDLE) && !health.failed(at(0), MIDDLE));
        health.answered(at(0));
        assert!(!health.failed(at(0), MIDDLE) && !health.failed(at(0), MIDDLE));
        assert_eq!(health.fitness(at(0)), Fitness::Fit);

        assert!(health.failed(at(0), MIDDLE));
        assert_eq!(health.fitness(at(0)), Fitness::Out);
        assert_eq!(health.fitness(at(1)), Fitness::Due);
    }

    #[test]
    fn a_broken_connection_throws_it_out_at_once_and_only_once() {
        let mut health = Health::default();

        assert!(health.gone(at(0), MIDDLE));
        for _ in 0..100 {
            assert!(!health.gone(at(0), MIDDLE) && !health.failed(at(0), MIDDLE));
        }

        assert_eq!(health.fitness(at(1)), Fitness::Due);
    }

    #[test]
    fn one_call_finds_out_whether_it_is_back_and_each_failure_doubles_the_wait_up_to_half_a_minute()
    {
        let mut health = Health::default();
        health.gone(at(0), MIDDLE);
        let mut now = at(1);
        for wait in [2, 4, 8, 16, 30, 30] {
            assert!(health.claim(now));
            assert!(!health.claim(now), "one probe at a time");
            assert!(!health.failed(now, MIDDLE), "it was out already");

            now += Duration::from_secs(wait - 1);
            assert_eq!(health.fitness(now), Fitness::Out);
            now += Duration::from_secs(1);
            assert_eq!(health.fitness(now), Fitness::Due);
        }
        assert!(health.claim(now) && health.answered(now));
        assert_eq!(health.fitness(now), Fitness::Fit);
    }

    #[test]
    fn a_probe_that_finds_out_nothing_is_followed_by_another() {
        let mut health = Health::default();
        health.gone(at(0), MIDDLE);

        assert!(health.claim(at(1)));

        assert!(!health.claim(at(2)) && health.claim(at(3)));
    }

    #[test]
    fn old_troubles_are_forgotten_after_half_a_minute_of_good_answers() {
        let mut health = Health::default();
        health.gone(at(0), MIDDLE);
        health.answered(at(1));
        health.answered(at(31));

        health.gone(at(32), MIDDLE);

        assert_eq!(health.fitness(at(33)), Fitness::Due);
    }

    #[test]
    fn returns_are_spread() {
        let (mut soon, mut late) = (Health::default(), Health::default());
        soon.gone(at(0), 0.0);
        late.gone(at(0), 1.0);

        let between = at(0) + Duration::from_secs(1);

        assert_eq!(soon.fitness(between), Fitness::Due);
        assert_eq!(late.fitness(between), Fitness::Out);
    }
}
