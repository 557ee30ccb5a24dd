//! The stack, the cache of rights and the outbox, each by what it promises.

mod access;
mod guard;
mod outbox;
mod support;
mod token;
