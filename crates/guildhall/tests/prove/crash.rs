//! Nothing acknowledged is ever lost: callers post, edit and delete while the server is killed.

use std::time::Duration;

use rand::Rng as _;

use crate::{
    judge,
    load::{Crowd, Unanswered, Verdict},
    seed,
    server::Server,
};

const CALLERS: usize = 16;
const READERS: usize = 4;
const KILLS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() -> anyhow::Result<()> {
    let verdict = run(Server::new()?, KILLS * seed::times()).await?;

    println!(
        "{} acknowledged over {} kills",
        verdict.acknowledged,
        KILLS * seed::times()
    );
    assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    assert!(
        verdict.acknowledged > 100,
        "only {} calls went through",
        verdict.acknowledged
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_server_that_answers_before_the_commit_is_found_out() -> anyhow::Result<()> {
    found_out("answers-early").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn a_server_that_forgets_keys_is_found_out() -> anyhow::Result<()> {
    found_out("forgets-keys").await
}

/// Runs the proof on a server without one of its guards, until it goes red.
async fn found_out(fault: &'static str) -> anyhow::Result<()> {
    for _ in 0..5 {
        let verdict = run(Server::without(fault)?, KILLS).await?;
        if let Some(wrong) = verdict.wrong.first() {
            println!(
                "{fault}: {} things wrong, the first: {wrong}",
                verdict.wrong.len()
            );
            return Ok(());
        }
    }
    panic!("{fault} was not found out over {} kills", 5 * KILLS);
}

/// Kills a server `kills` times under load and judges what it kept.
pub(crate) async fn run(mut server: Server, kills: usize) -> anyhow::Result<Verdict> {
    server.start().await?;
    let crowd = Crowd::register(&server.doors(), CALLERS, READERS).await?;
    let load = crowd
        .load("proof", Unanswered::Decided, Duration::ZERO, 0)
        .await?;

    let mut random = seed::random(1_000);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..500))).await;
        server.kill().await?;
        server.start().await?;
    }
    let mut verdict = load.end().await?;
    server.stop().await?;
    verdict
        .wrong
        .extend(judge::files(server.data(), verdict.rev)?);
    Ok(verdict)
}
