//! Each guard of the engine taken away once: the test that stands on it must fail then, or it proves nothing.
//!
//! Only with the cargo feature `sabotage`: `cargo test -p svc-chat --features sabotage --lib guards`.

use std::{env, process::Command};

use guildhall_testkit::infra;

/// A fault, and a test that must see it.
const GUARDS: [(&str, &str); 6] = [
    (
        "ignores-closed",
        "several::nothing_goes_through_in_a_bucket_that_was_closed",
    ),
    (
        "shows-pending",
        "doubt::a_change_that_its_message_lacks_counts_for_nobody_until_somebody_completes_it",
    ),
    (
        "shows-pending",
        "buckets::an_older_message_is_changed_from_the_next_bucket",
    ),
    (
        "forgets-untold",
        "several::what_a_dead_process_did_not_tell_is_told_without_a_further_change",
    ),
    (
        "forgets-untold",
        "what_was_not_told_before_a_cut_is_told_after_it",
    ),
    (
        "keys-before-head",
        "several::a_key_that_two_processes_try_leaves_one_message",
    ),
];

#[tokio::test]
async fn without_its_guard_each_of_these_tests_fails_and_with_it_none() {
    if infra::cassandra().await.is_none() {
        return;
    }
    for (fault, test) in GUARDS {
        assert!(passes(test, None), "{test} fails with all guards in place");
        assert!(!passes(test, Some(fault)), "{test} does not see {fault}");
        println!("{test} sees {fault}");
    }
}

/// Runs one test of this program, with a guard taken away where one is named.
fn passes(test: &str, fault: Option<&str>) -> bool {
    let mut program = Command::new(env::current_exe().expect("this program"));
    let name = format!("store::cql::tests::{test}");
    program.args(["--exact", &name]);
    program.env_remove("GUILDHALL_TEST_FAULT");
    if let Some(fault) = fault {
        program.env("GUILDHALL_TEST_FAULT", fault);
    }
    let ran = program.output().expect("runs");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(told.contains("running 1 test"), "there is no {test}");
    ran.status.success()
}
