//! Which halls suffer what. Each kind of fault once; `--long` for every process, and for longer.

mod disks;
mod one;
mod red;
mod six;

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::servers::Servers;
use crate::seed;

/// How long something is away in seconds: `short`, or `long` where `--long` asks for it.
fn time(short: u64, long: u64) -> Duration {
    Duration::from_secs(if is_long() { long } else { short })
}

fn is_long() -> bool {
    seed::times() > 1
}

/// Servers of a proof's own, Cassandra on so many nodes; `None` where they cannot be had, which is said then.
async fn servers(
    kinds: &[&str],
    nodes: usize,
    disks: &[(&'static str, usize)],
) -> Option<Arc<Servers>> {
    let started = Servers::start(&folder(), kinds, nodes, disks).await;
    match started.expect("dev.d/infra runs") {
        Ok(servers) => Some(Arc::new(servers)),
        Err(missing) => {
            let required = std::env::var("GUILDHALL_INFRA_REQUIRED").unwrap_or_default();
            assert!(required.is_empty(), "{}", missing.0);
            let thread = std::thread::current();
            println!(
                "SKIPPED {}: {}",
                thread.name().unwrap_or("a proof"),
                missing.0
            );
            None
        }
    }
}

fn folder() -> PathBuf {
    let named = std::env::var_os("GUILDHALL_PROVE_SERVERS").map(PathBuf::from);
    let own = format!("guildhall-prove-{}", std::process::id());
    named.unwrap_or_else(|| std::env::temp_dir().join(own))
}
