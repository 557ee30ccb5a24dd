//! What the operating system says of this process, under the names that dashboards know. Read from `/proc`; where there is none,
//! only age and start are told.

use std::fs;

use guildhall_kernel::Clock;
use metrics::{describe_gauge, gauge};

/// In how many ticks `/proc` counts a second of CPU time: part of Linux's interface, the same on every machine.
const TICKS: f64 = 100.0;

/// Takes the values of this moment.
pub(super) fn take(clock: &dyn Clock) {
    let uptime = clock.uptime().as_secs_f64();
    gauge!("process_uptime_seconds").set(uptime);
    let age = clock.now().minus(clock.uptime());
    gauge!("process_start_time_seconds").set(number(age.micros()) / 1e6);

    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kilobytes) = value(&status, "VmRSS:") {
        gauge!("process_resident_memory_bytes").set(kilobytes * 1024.0);
    }
    if let Some(kilobytes) = value(&status, "VmSize:") {
        gauge!("process_virtual_memory_bytes").set(kilobytes * 1024.0);
    }
    if let Some(threads) = value(&status, "Threads:") {
        gauge!("process_threads").set(threads);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = value(&limits, "Max open files") {
        gauge!("process_max_fds").set(most);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(number(i64::try_from(open.count()).unwrap_or(i64::MAX)));
    }
    if let Some(seconds) = cpu_seconds() {
        gauge!("process_cpu_seconds_total").set(seconds);
    }
}

/// Says what each of them is.
pub(super) fn describe() {
    describe_gauge!("process_resident_memory_bytes", "Memory held in RAM");
    describe_gauge!("process_virtual_memory_bytes", "Address space");
    describe_gauge!("process_threads", "Threads");
    describe_gauge!("process_open_fds", "Open files and sockets");
    describe_gauge!("process_max_fds", "How many files and sockets may be open");
    describe_gauge!("process_cpu_seconds_total", "CPU time used");
    describe_gauge!("process_start_time_seconds", "Start, since 1970 UTC");
    describe_gauge!("process_uptime_seconds", "Time since the start");
}

/// The first number behind a label.
fn value(text: &str, label: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; behind it the fields are plain, the third of all first.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; microseconds since 1970 and file counts stay exact below 2^53"
)]
fn number(count: i64) -> f64 {
    count as f64
}
