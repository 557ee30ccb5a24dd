//! One seed for all that is random in a proof; `./dev prove SEED` runs it again.

use rand::{SeedableRng as _, rngs::StdRng};

/// How much longer than usual to go on: `--long` asks for ten times.
pub(crate) fn times() -> usize {
    if std::env::var_os("GUILDHALL_PROVE_LONG").is_some() {
        10
    } else {
        1
    }
}

/// Randomness of its own for each part of a proof.
pub(crate) fn random(part: u64) -> StdRng {
    let seed: u64 = std::env::var("GUILDHALL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(part))
}
