//! What tests of the services stand on. For dev-dependencies only.
//!
//! In reading order: [`StoppedClock`] and [`CountedIds`] make a test exact; [`Rights`] stands in for `svc-auth`: people, their sessions
//! and roles in memory; [`Signer`] makes access tokens that verify; [`CaughtEvents`] collects what was told on a bus; [`World`] puts all
//! of it together, which is what the test of a service starts with. [`infra`] hands out real servers to the tests that are about them,
//! [`chaos`] breaks the network on the way to them.
//!
//! A whole hall is started by the tests of crate `guildhall`, not from here.

mod caught;
pub mod chaos;
mod clock;
mod ids;
pub mod infra;
mod rights;
mod signer;
mod world;

pub use caught::CaughtEvents;
pub use clock::StoppedClock;
pub use ids::CountedIds;
pub use rights::{Person, Rights};
pub use signer::Signer;
pub use tempfile::TempDir;
pub use world::World;
