//! The transcoder through its front door: an HTTP request in, an HTTP answer out, and a backend of raw gRPC frames.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and the clock they read is the stopped one of their runtime"
)]

mod answers;
mod build;
mod openapi;
mod refusals;
mod requests;
mod round_trip;
mod rules;
mod streams;
mod support;
