//! One process, its entities in PostgreSQL, its events over NATS, its messages in files.

use guildhall_testkit::chaos::Way;

use super::{is_long, servers, time};
use crate::{
    cluster::{campaign::Campaign, heard, nats, partition, postgres, process, shape::Shape},
    seed,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn one_process_on_postgresql_and_nats_keeps_what_it_acknowledged() {
    let Some(servers) = servers(&["postgres", "nats"], 1, &[]).await else {
        return;
    };
    let mut hall = Campaign::new("one process", Shape::one(), servers);

    hall.suffer("kill -9", async |ground| {
        process::killed(ground, 3 * seed::times()).await
    })
    .await;
    hall.suffer("PostgreSQL stopped", async |ground| {
        postgres::stopped(ground, time(3, 30)).await
    })
    .await;
    hall.suffer("COMMIT replies cut", async |ground| {
        postgres::cut_at_commit(ground, time(5, 60)).await
    })
    .await;
    hall.suffer("NATS wiped", async |ground| {
        heard::after_all(ground, "wiped").await
    })
    .await;
    if is_long() {
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
        hall.suffer("PostgreSQL silent", async |ground| {
            partition::silent(ground, "hall-1", "postgres", Way::Back, time(5, 30), true).await
        })
        .await;
    }
    hall.end().await;
}
