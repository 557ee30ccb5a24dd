//! What the tests stand on: a hall ([`hall`]), somebody who uses it ([`person`]), and what they see live ([`live`]).

pub mod cluster;
pub mod grpc_web;
pub mod hall;
pub mod live;
pub mod person;
pub mod sse;

pub use hall::{Hall, OneProcess};
pub use live::Live;
pub use person::Person;

use std::time::Duration;

/// How long anything may take before its test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something at most [`PATIENCE`].
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let Ok(happened) = tokio::time::timeout(PATIENCE, happens).await else {
        panic!("{what}: not in {PATIENCE:?}");
    };
    happened
}

/// A client for REST.
pub fn http() -> reqwest::Client {
    // Said once a process; a second time is the same.
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}
