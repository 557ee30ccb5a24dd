//! Behaviour of opened databases, on real files.

mod opening;
mod outbox;
mod support;
mod writing;
