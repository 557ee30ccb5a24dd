//! How one of our processes talks and lives.
//!
//! In reading order: [`config`] is where settings come from; [`tasks`] is how everything ends; [`caller`] is who calls; [`token`]
//! reads access tokens, [`access`] is what this process knows of rights; [`rules`] are the options of the protos; [`guard`] is the one
//! stack of layers that every call passes, on every transport; [`link`] is how one service calls another; [`mod@status`] turns errors
//! into answers; [`bus`] carries events, [`outbox`] sees to it that none is forgotten, and by [`feed`] a service follows another's;
//! [`reload`] reads certificates again when they change; [`telemetry`] and [`admin`] are what an operator sees.
//!
//! It knows no service's rules and no database.

pub mod access;
pub mod admin;
pub mod bus;
pub mod caller;
pub mod config;
pub mod feed;
pub mod guard;
pub mod link;
pub mod outbox;
pub mod reload;
pub mod rules;
pub mod status;
pub mod tasks;
pub mod telemetry;
pub mod token;

pub use bus::{Bus, Heard, LocalBus, NatsBus, Note};
pub use caller::{Call, Caller, Peer, Standing};
pub use feed::Feed;
pub use guildhall_proto::error::v1::Reason;
pub use link::Link;
pub use status::{Reasoned, status};
pub use tasks::Tasks;
