//! Which halls suffer what.

use std::{path::PathBuf, sync::Arc, time::Duration};

use guildhall_testkit::chaos::Way;

use super::{
    campaign::Campaign, clock, disk, heard, nats, partition, postgres, process, servers::Servers,
    shape::Shape,
};
use crate::seed;

/// How long something is away in seconds: `short`, or `long` where `--long` asks for it.
fn time(short: u64, long: u64) -> Duration {
    Duration::from_secs(if seed::times() > 1 { long } else { short })
}

/// Servers of a proof's own; `None` where they cannot be had, which is said then.
async fn servers(kinds: &[&str], disks: &[(&'static str, usize)]) -> Option<Arc<Servers>> {
    let started = Servers::start(&folder(), kinds, 1, disks).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn one_process_on_postgresql_and_nats_keeps_what_it_acknowledged() {
    let Some(servers) = servers(&["postgres", "nats"], &[]).await else {
        return;
    };
    let mut hall = Campaign::new("one process", Shape::one(), servers);

    hall.suffer("kill -9", async |ground| {
        process::killed(ground, 2 * seed::times()).await
    })
    .await;
    hall.suffer("frozen", async |ground| {
        process::frozen(ground, "hall-1", time(10, 60)).await
    })
    .await;
    hall.suffer("NATS killed", async |ground| {
        nats::killed(ground, time(3, 60)).await
    })
    .await;
    hall.suffer("NATS frozen", async |ground| {
        nats::frozen(ground, time(10, 60)).await
    })
    .await;
    hall.suffer("NATS wiped", async |ground| {
        heard::after_all(ground, "wiped").await
    })
    .await;
    hall.suffer("PostgreSQL stopped", async |ground| {
        postgres::stopped(ground, time(5, 30)).await
    })
    .await;
    hall.suffer("PostgreSQL silent", async |ground| {
        partition::silent(ground, "hall-1", "postgres", Way::Back, time(5, 30), true).await
    })
    .await;
    hall.suffer("COMMIT replies cut", async |ground| {
        postgres::cut_at_commit(ground, time(5, 60)).await
    })
    .await;
    match clock::library() {
        Some(library) => {
            hall.suffer("a clock an hour ahead", async |ground| {
                clock::off(ground, "hall-1", &library, 3_600, time(3, 30)).await
            })
            .await;
        }
        None => hall.skip(
            "a clock an hour off",
            "no libfaketime (Debian: apt-get install faketime)",
        ),
    }
    hall.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_full_disk_loses_nothing() {
    let disks = [("postgres", 256), ("nats", 64)];
    let Some(servers) = servers(&["postgres", "nats"], &disks).await else {
        return;
    };
    let mut hall = Campaign::new("full disks", Shape::one().on_disks(64), servers.clone());

    hall.suffer("its own", async |ground| {
        disk::full_own(ground, time(3, 30)).await
    })
    .await;
    for server in ["nats", "postgres"] {
        let disk = servers.disk(server).expect("it was mounted");
        hall.suffer(server, async |ground| {
            disk::full(ground, disk, time(3, 30)).await
        })
        .await;
    }
    hall.end().await;
}
