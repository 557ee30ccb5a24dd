//! What the driver counts, for operators.

use std::{sync::Arc, time::Duration};

use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::{
    Core,
    row::{BUCKET, Tip},
};

/// How often what the driver counts is handed on.
const EVERY: Duration = Duration::from_secs(5);
/// So many changes make a bucket crowded: it holds 8,192 messages, so each was changed a dozen times.
const CROWDED: u32 = 100_000;

/// Hands on what the driver counts until the tasks stop.
pub(super) async fn keep(core: Arc<Core>) {
    describe();
    while !core.tasks.is_stopping() {
        let driver = core.database.session.get_metrics();
        counter!("guildhall_cql_requests_total").absolute(
            driver.get_requests_unpaged_num() + driver.get_requests_automatically_paged_num(),
        );
        counter!("guildhall_cql_failures_total").absolute(
            driver.get_errors_unpaged_num() + driver.get_errors_automatically_paged_num(),
        );
        counter!("guildhall_cql_retries_total").absolute(driver.get_retries_num());
        counter!("guildhall_cql_late_total").absolute(driver.get_request_timeouts());
        counter!("guildhall_cql_late_connections_total").absolute(driver.get_connection_timeouts());
        gauge!("guildhall_cql_connections").set(number(driver.get_total_connections()));
        for (quantile, percent) in [("0.5", 50.0), ("0.99", 99.0)] {
            if let Ok(millis) = driver.get_latency_percentile_ms(percent) {
                gauge!("guildhall_cql_latency_seconds", "quantile" => quantile)
                    .set(number(millis) / 1_000.0);
            }
        }
        tokio::select! {
            () = core.tasks.stopping() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn describe() {
    describe_counter!(
        "guildhall_cql_requests_total",
        "Statements and batches sent"
    );
    describe_counter!("guildhall_cql_failures_total", "Those that failed");
    describe_counter!(
        "guildhall_cql_retries_total",
        "Those that the driver tried again"
    );
    describe_counter!(
        "guildhall_cql_late_total",
        "Those without an answer in time"
    );
    describe_counter!(
        "guildhall_cql_late_connections_total",
        "Connections not made in time"
    );
    describe_gauge!("guildhall_cql_connections", "Open connections to servers");
    describe_gauge!(
        "guildhall_cql_latency_seconds",
        "Time to an answer, since the start"
    );
}

/// Raises the alarm when a batch makes its bucket crowded: pages and changes of the channel become slow, and somebody changes
/// messages far more often than people do.
pub(super) fn watch_crowd(channel: guildhall_kernel::ChannelId, from: &Tip, to: &Tip) {
    if becomes_crowded(from, to) {
        counter!("guildhall_chat_crowded_buckets_total").increment(1);
        tracing::error!(
            %channel,
            changes = changes(to),
            messages = BUCKET,
            "the newest messages of a channel were changed more often than people do"
        );
    }
}

fn becomes_crowded(from: &Tip, to: &Tip) -> bool {
    changes(from) < CROWDED && changes(to) >= CROWDED
}

/// How many changes stand in the newest bucket.
const fn changes(tip: &Tip) -> u32 {
    tip.head.rev.0.saturating_sub(tip.first.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; counts stay exact below 2^53"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Head, Rev, Seq};

    #[test]
    fn the_alarm_is_raised_by_the_batch_that_makes_a_bucket_crowded_and_by_no_other() {
        let tip = |rev: u32| Tip {
            head: Head {
                seq: Seq(1),
                rev: Rev(5_000 + rev),
            },
            first: Rev(5_000),
            ..Tip::EMPTY
        };

        let raised: Vec<_> = [
            (0, 32),
            (99_990, 99_999),
            (99_999, 100_003),
            (100_003, 100_009),
        ]
        .map(|(from, to)| becomes_crowded(&tip(from), &tip(to)))
        .into();

        assert_eq!(raised, [false, false, true, false]);
    }
}
