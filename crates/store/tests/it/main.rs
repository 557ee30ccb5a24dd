//! Behaviour of opened databases, on real files and on a real server.

#[path = "../both/engine.rs"]
mod engine;
mod opening;
mod outbox;
mod postgres;
mod support;
mod writing;

#[tokio::test]
async fn the_whole_suite_holds_on_postgresql() {
    // What is about files, and what has a server of its own, is left out.
    let not = ["opening::", "postgres::"];
    engine::run_again("the_whole_suite_holds_on_postgresql", &not).await;
}
