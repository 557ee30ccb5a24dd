//! Behaviour of svc-auth through gRPC over a local link, with the real stack of layers and a real database.

mod access;
mod accounts;
mod admin;
mod cookies;
#[path = "../../../crates/store/tests/both/engine.rs"]
mod engine;
mod members;
mod people;
mod races;
mod refreshing;
mod sessions;
mod spaces;
mod support;
mod tokens;

#[tokio::test]
async fn the_whole_suite_holds_on_postgresql() {
    engine::run_again("the_whole_suite_holds_on_postgresql", &[]).await;
}
