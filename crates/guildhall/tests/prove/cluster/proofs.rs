//! Which halls suffer what.

use std::{sync::Arc, time::Duration};

use super::{campaign::Campaign, nats, postgres, process, servers::Servers, shape::Shape};
use crate::seed;

/// How long something is away: `short`, or `long` in seconds where `--long` asks for it.
fn time(short: u64, long: u64) -> Duration {
    Duration::from_secs(if seed::times() > 1 { long } else { short })
}

/// Servers of a proof's own; `None` where they cannot be had, which is said then.
async fn servers(kinds: &[&str]) -> Option<Arc<Servers>> {
    let named = std::env::var_os("GUILDHALL_PROVE_SERVERS");
    let folder = named.map_or_else(
        || std::env::temp_dir().join(format!("guildhall-prove-{}", std::process::id())),
        Into::into,
    );
    match Servers::start(&folder, kinds, 1)
        .await
        .expect("dev.d/infra runs")
    {
        Ok(servers) => Some(Arc::new(servers)),
        Err(missing) => {
            let required = std::env::var("GUILDHALL_INFRA_REQUIRED").unwrap_or_default();
            assert!(required.is_empty(), "{}", missing.0);
            println!(
                "SKIPPED {}: {}",
                std::thread::current().name().unwrap_or("a proof"),
                missing.0
            );
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn one_process_on_postgresql_and_nats_keeps_what_it_acknowledged() {
    let Some(servers) = servers(&["postgres", "nats"]).await else {
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
    hall.suffer("NATS wiped", async |ground| nats::wiped(ground).await)
        .await;
    hall.suffer("PostgreSQL stopped", async |ground| {
        postgres::stopped(ground, time(5, 30)).await
    })
    .await;
    hall.suffer("COMMIT replies cut", async |ground| {
        postgres::cut_at_commit(ground, time(5, 60)).await
    })
    .await;
    hall.end().await;
}
