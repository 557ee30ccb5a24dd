//! The same with a guard taken away: each has to go red.

use super::servers;
use crate::cluster::{campaign::Campaign, heard, process, shape::Shape};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_hall_that_leaves_forgotten_what_the_bus_forgot_is_found_out() {
    let Some(servers) = servers(&["postgres", "nats", "cassandra"], 1, &[]).await else {
        return;
    };
    let mut hall = Campaign::without("never-again", Shape::three(), servers);

    hall.suffer("NATS wiped", async |ground| {
        heard::after_all(ground, "wiped").await
    })
    .await;

    hall.found_out("lost: ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_hall_that_forgets_keys_is_found_out_on_servers_too() {
    let Some(servers) = servers(&["postgres", "nats"], 1, &[]).await else {
        return;
    };
    let mut hall = Campaign::without("forgets-keys", Shape::one(), servers);

    hall.suffer("kill -9", async |ground| process::killed(ground, 2).await)
        .await;

    hall.found_out("key ").await;
}
