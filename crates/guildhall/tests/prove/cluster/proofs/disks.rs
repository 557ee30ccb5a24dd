//! Stores whose disks run full.

use super::{servers, time};
use crate::cluster::{campaign::Campaign, disk, shape::Shape};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_full_disk_loses_nothing() {
    let disks = [("postgres", 256), ("nats", 64)];
    let Some(servers) = servers(&["postgres", "nats"], 1, &disks).await else {
        return;
    };
    let shape = Shape::one().on_disks(64);
    let mut hall = Campaign::new("full disk", shape, servers);

    hall.suffer("the hall's own", async |ground| {
        disk::full_own(ground, time(3, 30)).await
    })
    .await;
    for server in ["nats", "postgres"] {
        hall.suffer(server, async |ground| {
            disk::full(ground, server, time(3, 30)).await
        })
        .await;
    }
    hall.end().await;
}
