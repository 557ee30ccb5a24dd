//! `guildhall serve`: a process of a hall, from its first line to its last.

use std::{path::Path, process, sync::Arc, time::Duration};

use anyhow::Context as _;
use guildhall_kernel::{SystemClock, SystemIds};
use guildhall_mesh::telemetry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::{
    hall::Hall,
    screen,
    settings::{self, Flags, Settings},
};

/// What the process ends with when it was told twice to stop.
const TOLD_TWICE: i32 = 130;

/// Runs the services that the settings name until it is told to stop.
pub fn run(file: Option<&Path>, flags: &Flags) -> anyhow::Result<()> {
    let (settings, _) = settings::read(file, flags)?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("guildhall")
        .build()
        .context("the machine gives no threads")?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    let telemetry = telemetry::start(&settings.telemetry, "guildhall", clock.clone())?;
    let mut told = Signals::new()?;

    let hall = tokio::select! {
        hall = Hall::open(&settings, clock, Arc::new(SystemIds)) => hall?,
        () = told.next() => return Ok(()),
    };
    let listens = addresses(&hall);
    screen::say(format_args!("guildhall ready {listens}"));
    info!(roles = settings.roles, %listens, "ready");

    told.next().await;
    let (drain, grace) = (
        Duration::from_secs(settings.drain_seconds),
        Duration::from_secs(settings.stop_grace_seconds),
    );
    info!(
        ?drain,
        ?grace,
        "told to stop; a second time ends it at once"
    );
    hall.drain();
    let end = async {
        tokio::time::sleep(drain).await;
        hall.stop(grace).await
    };
    tokio::select! {
        cut = end => info!(cut, "stopped"),
        () = told.next() => {
            warn!("told twice to stop: ended at once");
            process::exit(TOLD_TWICE);
        }
    }
    telemetry.stop().await;
    Ok(())
}

/// Where the process listens, as its ready line says it.
fn addresses(hall: &Hall) -> String {
    let ports = [
        ("http", hall.http),
        ("links", hall.links),
        ("admin", Some(hall.admin)),
    ];
    let told = ports
        .into_iter()
        .filter_map(|(name, address)| Some(format!("{name}={}", address?)));
    told.collect::<Vec<_>>().join(" ")
}

/// SIGTERM and SIGINT, from when it was made.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("the machine gives no signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Every connection is an open file, and the soft limit is often 1,024: takes what the hard one allows.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // The soft limit stands then; `guildhall doctor` says when it is low.
    let _ = setrlimit(Resource::Nofile, raised);
}
