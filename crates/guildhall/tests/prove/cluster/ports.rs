//! Ports that stay a process's own while it is away.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::Context as _;

/// Below the ports that outgoing connections get, above those of other servers for tests.
const FIRST: u16 = 10_000;
const LAST: u16 = 19_999;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that is free and that nobody else is given by this process.
pub(crate) fn free() -> anyhow::Result<u16> {
    let span = LAST - FIRST;
    // Two proofs at once begin at different places.
    let place = u16::try_from(std::process::id() % u32::from(span))?;
    (0..span)
        .map(|_| FIRST + (place + NEXT.fetch_add(1, Ordering::Relaxed)) % span)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port")
}
