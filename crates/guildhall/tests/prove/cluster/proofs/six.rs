//! Two gateways, two auths, two chats, on PostgreSQL, NATS and Cassandra.

use guildhall_testkit::chaos::Way;

use super::{is_long, servers, time};
use crate::cluster::{
    campaign::Campaign,
    cassandra::{self, Away},
    clock, heard, nats, partition, postgres, process,
    shape::Shape,
};

/// Who goes where, on which way nothing passes, and whether the one who goes can work without.
const PARTITIONS: [(&str, &str, Way, bool); 9] = [
    ("gateway-1", "chat", Way::Both, true),
    ("chat-1", "nats", Way::Both, false),
    ("chat-1", "auth", Way::There, false),
    ("auth-1", "postgres", Way::Back, true),
    // From here on in `--long` only.
    ("gateway-1", "chat", Way::Back, true),
    ("gateway-1", "auth", Way::There, true),
    ("gateway-1", "nats", Way::Back, false),
    ("chat-1", "auth", Way::Both, false),
    ("auth-1", "postgres", Way::There, true),
];
const IN_SHORT: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_cluster_keeps_what_it_acknowledged_when_its_processes_go() {
    let Some(servers) = servers(&["postgres", "nats", "cassandra"], 1, &[]).await else {
        return;
    };
    let mut hall = Campaign::new("six processes", Shape::six(), servers);

    let kills = if is_long() { 66 } else { 12 };
    hall.suffer("kill -9", async |ground| {
        process::killed(ground, kills).await
    })
    .await;
    for role in ["gateway", "chat", "auth"] {
        hall.suffer(&format!("{role} frozen"), async |ground| {
            process::frozen(ground, &format!("{role}-1"), time(10, 60)).await
        })
        .await;
    }
    hall.suffer("rolling restart", async |ground| {
        process::rolled(ground).await
    })
    .await;
    match clock::library() {
        Some(library) => {
            let roles = if is_long() {
                &["chat", "auth", "gateway"][..]
            } else {
                &["chat"]
            };
            for role in roles {
                hall.suffer(&format!("the clock of a {role}"), async |ground| {
                    clock::off(ground, &format!("{role}-1"), &library, 3_600, time(5, 30)).await
                })
                .await;
            }
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
async fn a_cluster_keeps_what_it_acknowledged_when_its_servers_go() {
    let Some(servers) = servers(&["postgres", "nats", "cassandra"], 1, &[]).await else {
        return;
    };
    let mut hall = Campaign::new("six processes", Shape::six(), servers);

    // First: what has to be told again is all that was said before.
    hall.suffer("NATS wiped", async |ground| {
        heard::after_all(ground, "wiped").await
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
    hall.suffer("PostgreSQL stopped", async |ground| {
        postgres::stopped(ground, time(5, 30)).await
    })
    .await;
    hall.suffer("COMMIT replies cut", async |ground| {
        postgres::cut_at_commit(ground, time(5, 60)).await
    })
    .await;
    let partitions = if is_long() {
        &PARTITIONS[..]
    } else {
        &PARTITIONS[..IN_SHORT]
    };
    for (from, to, way, is_needed) in partitions.iter().copied() {
        hall.suffer(&format!("{from} and {to}, {way:?}"), async |ground| {
            partition::silent(ground, from, to, way, time(5, 30), is_needed).await
        })
        .await;
    }
    hall.suffer("Cassandra frozen", async |ground| {
        cassandra::away(ground, &["cassandra-1"], Away::Frozen, time(10, 60), false).await
    })
    .await;
    hall.suffer("Cassandra killed", async |ground| {
        cassandra::away(ground, &["cassandra-1"], Away::Killed, time(3, 30), false).await
    })
    .await;
    hall.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_cluster_on_three_nodes_of_cassandra_does_without_one() {
    if !is_long() {
        println!("SKIPPED Cassandra on three nodes: --long runs it");
        return;
    }
    let Some(servers) = servers(&["postgres", "nats", "cassandra"], 3, &[]).await else {
        return;
    };
    let mut hall = Campaign::new("three nodes", Shape::three(), servers);

    for how in [Away::Frozen, Away::Killed] {
        for (nodes, has_quorum) in [
            (&["cassandra-2"][..], true),
            (&["cassandra-2", "cassandra-3"], false),
        ] {
            hall.suffer(
                &format!("{} of Cassandra, {how:?}", nodes.len()),
                async |ground| cassandra::away(ground, nodes, how, time(10, 60), has_quorum).await,
            )
            .await;
        }
    }
    hall.end().await;
}
