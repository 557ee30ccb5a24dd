//! Counters, gauges and histograms of the process, in the text form that Prometheus reads.

use std::{fmt, sync::OnceLock, time::Duration};

use guildhall_kernel::Clock;
use metrics::{describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::process;
use crate::tasks::Tasks;

/// Bounds of `*_seconds`: fine where a local answer lies, coarse up to the longest call.
const SECONDS: [f64; 17] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// Bounds of everything else that is spread: counts in a group, entries of a queue, bytes.
const COUNTS: [f64; 13] = [
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    32.0,
    64.0,
    128.0,
    256.0,
    1_024.0,
    4_096.0,
    65_536.0,
    1_048_576.0,
];
/// How often samples are put into their buckets when nobody scrapes; until then they take memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process. Clones are the same.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Begins to count, for this process; later calls get the same.
///
/// # Panics
/// When other code has installed a recorder before, which is a mistake in this process.
pub fn metrics() -> Metrics {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets(&COUNTS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            })
            .expect("the lists are not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("nobody else counts in this process");
        describe();
        handle
    });
    Metrics {
        handle: handle.clone(),
    }
}

impl Metrics {
    /// All of them as text, those of the process itself taken now.
    pub fn render(&self, clock: &dyn Clock) -> String {
        process::take(clock);
        self.handle.render()
    }

    /// Keeps the samples from piling up between scrapes, until the tasks stop.
    pub fn keep(&self, tasks: &Tasks) {
        let handle = self.handle.clone();
        let own = tasks.clone();
        tasks.spawn("metrics", async move {
            while !own.is_stopping() {
                handle.run_upkeep();
                tokio::select! {
                    () = own.stopping() => {}
                    () = tokio::time::sleep(UPKEEP) => {}
                }
            }
        });
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn describe() {
    describe_gauge!(
        "guildhall_build_info",
        "Always 1; its label says which version runs"
    );
    describe_histogram!(
        "guildhall_rpc_seconds",
        "How long calls took, by service, rpc and code"
    );
    process::describe();
    gauge!("guildhall_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::SystemClock;
    use metrics::histogram;

    use super::*;

    #[test]
    fn metrics_started_twice_are_the_same_and_have_buckets() {
        let (first, second) = (metrics(), metrics());
        histogram!("guildhall_test_seconds").record(0.003);

        let text = first.render(&SystemClock::new());

        assert!(
            text.contains("guildhall_test_seconds_bucket{le=\"0.005\"} 1"),
            "{text}"
        );
        assert!(
            second
                .render(&SystemClock::new())
                .contains("guildhall_test_seconds_count 1")
        );
    }

    #[test]
    fn the_process_tells_its_memory_its_files_and_its_age() {
        let text = metrics().render(&SystemClock::new());

        for name in [
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "process_cpu_seconds_total",
            "process_start_time_seconds",
            "process_uptime_seconds",
        ] {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            let value: f64 = line
                .and_then(|line| line.rsplit(' ').next()?.parse().ok())
                .unwrap_or(-1.0);
            let least = if name.contains("seconds") { 0.0 } else { 1.0 };
            assert!(value >= least, "{name}: {line:?}");
        }
    }
}
