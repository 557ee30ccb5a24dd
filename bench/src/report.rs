//! Counting and printing.

use std::time::Duration;

use hdrhistogram::Histogram;

/// One round of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// How much was done in a second.
    pub(crate) per_second: f64,
    /// How long each took, in microseconds.
    pub(crate) took: Histogram<u64>,
}

/// Latencies from a microsecond to a minute, to three digits.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

/// Adds one latency.
pub(crate) fn record(took: &mut Histogram<u64>, one: Duration) {
    took.saturating_record(u64::try_from(one.as_micros()).unwrap_or(u64::MAX));
}

/// The median of the rounds' speeds, and how far the rounds lie apart in percent of it.
pub(crate) fn median(rounds: &[Round]) -> (f64, f64) {
    let mut speeds: Vec<f64> = rounds.iter().map(|round| round.per_second).collect();
    speeds.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (speeds.first(), speeds.last()) else {
        return (0.0, 0.0);
    };
    let middle = speeds[speeds.len() / 2];
    (middle, (most - least) / middle * 100.0)
}

/// Prints one contender's rounds.
pub(crate) fn line(name: &str, unit: &str, rounds: &[Round]) {
    let (speed, spread) = median(rounds);
    let mut all = latencies();
    for round in rounds {
        all.add(&round.took).expect("the same bounds");
    }
    let ms = |quantile| to_ms(all.value_at_quantile(quantile));
    println!(
        "  {name:<34} {speed:>10.0} {unit:<12} spread {spread:>3.0} %   p50 {:>8.2} ms  p99 {:>8.2} ms  max {:>8.2} ms",
        ms(0.5),
        ms(0.99),
        to_ms(all.max()),
    );
}

/// Prints how one contender compares with its limit.
pub(crate) fn ratio(name: &str, ours: &[Round], limit: &[Round]) {
    let (ours, limit) = (median(ours).0, median(limit).0);
    println!("  {name:<34} {:>10.2} of the limit", ours / limit);
}

/// Prints the machine that the numbers belong to.
pub(crate) fn machine() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!(
        "machine: {cores} cores, {}, Linux {}; the load generator runs on the same cores",
        model.map_or("unknown", |(_, name)| name.trim()),
        kernel.trim()
    );
}

/// Microseconds as milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a minute are exact in f64"
)]
pub(crate) fn to_ms(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}
