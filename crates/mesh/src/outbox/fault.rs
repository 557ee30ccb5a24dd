//! A fault for proofs: what the bus forgot stays forgotten. A proof that stays green then proves nothing.
//!
//! Compiled with the cargo feature `sabotage` only. The product is never built with it.

/// Whether the process was told to leave out what makes a bus that forgot hear everything again.
pub(super) fn leaves_forgotten() -> bool {
    std::env::var("SABOTAGE").is_ok_and(|told| told == "never-again")
}
