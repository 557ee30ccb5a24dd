//! Chance, cheap enough for every call.

use std::sync::atomic::{AtomicU64, Ordering};

use guildhall_kernel::Ids;

/// A generator (SplitMix64) with an unpredictable beginning. Good for spreading load, for no secrets.
pub(super) struct Dice {
    // Everybody who throws moves it on.
    state: AtomicU64,
}

impl Dice {
    pub(super) fn new(ids: &dyn Ids) -> Self {
        let mut seed = [0; 8];
        ids.random(&mut seed);
        Self {
            state: AtomicU64::new(u64::from_le_bytes(seed)),
        }
    }

    /// A number below `count`, which is not 0.
    pub(super) fn below(&self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.throw() % count).unwrap_or(0)
    }

    /// A part from 0 to 1.
    pub(super) fn part(&self) -> f64 {
        let top = u32::try_from(self.throw() >> 32).unwrap_or(0);
        f64::from(top) / f64::from(u32::MAX)
    }

    fn throw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.state.fetch_add(STEP, Ordering::Relaxed);
        let mut z = state.wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
