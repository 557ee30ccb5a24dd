//! How much may be sent twice. Without a bound, calls that fail under load are sent again and make the load that lets them fail.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What each call earns: one repeat for ten calls.
const PER_CALL: f64 = 0.1;
/// What time earns, a second: a quiet link may repeat too.
const PER_SECOND: f64 = 5.0;
/// How much can be saved up.
const MOST: f64 = 50.0;

/// A purse of repeats for one link.
pub(super) struct Budget {
    // Never held across an await.
    purse: Mutex<Purse>,
}

struct Purse {
    repeats: f64,
    at: Duration,
}

impl Budget {
    /// A full purse at this uptime.
    pub(super) fn new(now: Duration) -> Self {
        let purse = Purse {
            repeats: MOST,
            at: now,
        };
        Self {
            purse: Mutex::new(purse),
        }
    }

    /// A call begins.
    pub(super) fn earn(&self) {
        self.with(|purse| purse.repeats = (purse.repeats + PER_CALL).min(MOST));
    }

    /// Pays for one repeat; false where nothing is left.
    pub(super) fn pay(&self, now: Duration) -> bool {
        self.with(|purse| {
            let passed = now.saturating_sub(purse.at).as_secs_f64();
            purse.at = now;
            purse.repeats = (purse.repeats + passed * PER_SECOND).min(MOST);
            let enough = purse.repeats >= 1.0;
            if enough {
                purse.repeats -= 1.0;
            }
            enough
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Purse) -> T) -> T {
        act(&mut self.purse.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pays(budget: &Budget, now: Duration) -> usize {
        (0..1_000).take_while(|_| budget.pay(now)).count()
    }

    #[test]
    fn a_tenth_of_the_calls_may_be_repeated_and_a_few_a_second_besides() {
        let budget = Budget::new(Duration::ZERO);
        assert_eq!(pays(&budget, Duration::ZERO), 50);

        (0..205).for_each(|_| budget.earn());
        assert_eq!(pays(&budget, Duration::ZERO), 20);

        assert_eq!(pays(&budget, Duration::from_secs(2)), 10);
    }

    #[test]
    fn no_more_is_saved_than_the_purse_holds() {
        let budget = Budget::new(Duration::ZERO);

        (0..10_000).for_each(|_| budget.earn());

        assert_eq!(pays(&budget, Duration::from_secs(3_600)), 50);
    }
}
