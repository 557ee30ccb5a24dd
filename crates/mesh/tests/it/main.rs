//! The stack, links between processes, the cache of rights, the buses, the outbox and feeds, each by what it promises.

mod access;
mod bus;
mod feed;
mod guard;
mod link;
mod outbox;
mod support;
mod token;
