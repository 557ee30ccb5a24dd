//! Chat as its callers see it: through gRPC over a local link, with the real layers before it and real files below.

mod catch_up;
mod channels;
mod direct;
#[path = "../../../crates/store/tests/both/engine.rs"]
mod engine;
mod feed;
mod listing;
mod messages;
mod races;
mod reads;
mod refusals;
mod spaces;
mod support;

#[tokio::test]
async fn the_whole_suite_holds_on_postgresql() {
    engine::run_again("the_whole_suite_holds_on_postgresql", &[]).await;
}
