//! Ids and random bytes that are the same in every run.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use guildhall_kernel::Ids;
use uuid::{Builder, Uuid};

/// Counts: its ids are well-formed UUIDv7 in rising order, its random bytes are a fixed sequence. Clones go on counting together.
#[derive(Debug, Clone, Default)]
pub struct CountedIds {
    count: Arc<AtomicU64>,
}

impl CountedIds {
    /// Starts at 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `n`th id that a fresh source gives.
    pub fn nth(n: u64) -> Uuid {
        // The count stands where the milliseconds would, so the order of ids is the order of counting.
        Builder::from_unix_timestamp_millis(n, &[0; 10]).into_uuid()
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Ids for CountedIds {
    fn uuid(&self) -> Uuid {
        Self::nth(self.next())
    }

    fn random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = spread(self.next()).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Spreads a count over 64 bits (the finish of SplitMix64), so that no two are alike in any part.
fn spread(count: u64) -> u64 {
    let mut word = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sources_count_alike_and_ids_rise() {
        let (one, two) = (CountedIds::new(), CountedIds::new());
        let (mut a, mut b) = ([0; 20], [0; 20]);

        one.random(&mut a);
        two.random(&mut b);

        assert_eq!(a, b);
        assert_eq!(one.uuid(), two.uuid());
        assert!(one.uuid() < one.uuid());
        assert_eq!(one.uuid().get_version_num(), 7);
    }
}
