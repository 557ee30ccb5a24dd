//! The words that all of Guildhall shares. No I/O, no async, no transport.
//!
//! In reading order: [`id`] names things, [`time`] and [`ids`] are where instants and new ids come from, [`error`] is the closed
//! list of ways to fail, [`role`] the ladder of rights, [`page`] how lists are cut, [`key`] how repeats are known, [`name`] when two
//! names are the same.

pub mod error;
pub mod id;
pub mod ids;
pub mod key;
pub mod name;
pub mod page;
pub mod role;
pub mod time;

pub use error::{Failure, FieldFault, Kind};
pub use id::{ChannelId, EventId, SessionId, SpaceId, UserId};
pub use ids::{Ids, SystemIds};
pub use key::Key;
pub use page::{Listed, Page};
pub use role::Role;
pub use time::{Clock, SystemClock, Time};
