//! Questions about the machine.

use std::{
    io::ErrorKind,
    net::TcpListener,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use guildhall_kernel::{Clock, Time};
use rustix::process::{Resource, getrlimit};

use super::Finding;

/// With fewer open files a hall of a hundred people runs out.
const FEW_FILES: u64 = 4_096;
/// No hall was started before: 2026-01-01.
const EARLIEST: Time = Time::from_micros(1_767_225_600_000_000);
/// How far a file may lie in the future before the clock is doubted.
const AHEAD: Duration = Duration::from_mins(1);

/// How many connections fit.
pub fn limits() -> Vec<Finding> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let finding = match hard {
        Some(most) if most < FEW_FILES => Finding::beware(
            format!("at most {most} files and connections may be open"),
            "raise the limit: LimitNOFILE=65536 in a systemd unit, --ulimit nofile=65536 for docker, `ulimit -Hn` in a shell",
        ),
        Some(most) => Finding::good(format!("{most} files and connections may be open")),
        None => Finding::good("any number of files and connections may be open"),
    };
    vec![finding]
}

/// Whether the clock can be right.
pub fn clock(clock: &dyn Clock, data: &Path) -> Vec<Finding> {
    let now = clock.now();
    let what_to_do =
        "set it, and let systemd-timesyncd or chrony keep it: tokens and times hang on it";
    if now < EARLIEST {
        return vec![Finding::wrong(format!("the clock says {now}"), what_to_do)];
    }
    match newest(data) {
        Some(written) if written > now.plus(AHEAD) => vec![Finding::wrong(
            format!("the clock says {now}, and the data was written at {written}"),
            what_to_do,
        )],
        _ => vec![Finding::good(format!("the clock says {now}"))],
    }
}

/// When the newest file of the data was written.
fn newest(data: &Path) -> Option<Time> {
    let files = std::fs::read_dir(data).ok()?;
    let written = files.filter_map(|file| {
        let at = file.ok()?.metadata().ok()?.modified().ok()?;
        let since = at.duration_since(UNIX_EPOCH).ok()?;
        Some(Time::from_micros(i64::try_from(since.as_micros()).ok()?))
    });
    written.max()
}

/// Whether a port can be had.
pub fn port(setting: &str, address: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(format!("{setting} {address} is free")),
        Err(error) => Finding::wrong(
            format!("{setting} {address}: {error}"),
            remedy(setting, error.kind()),
        ),
    }
}

/// What to do when a port cannot be had.
pub fn remedy(setting: &str, error: ErrorKind) -> String {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else the system says, the remedy is the same"
    )]
    match error {
        ErrorKind::AddrInUse => format!(
            "another program has it (`ss -ltnp` says which): stop that one, or set {setting} to another port"
        ),
        ErrorKind::PermissionDenied => format!(
            "ports below 1024 need a right (CAP_NET_BIND_SERVICE): set {setting} to a higher one, or give the right"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine has no such address: set {setting} to one of its own, or to 0.0.0.0 for all of them"
        ),
        _ => format!("set {setting} to an address like 127.0.0.1:8080"),
    }
}

#[cfg(test)]
mod tests {
    use guildhall_testkit::StoppedClock;

    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_clock_that_stands_before_the_first_hall_or_before_its_data_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("auth.db"), "").expect("writes");
        let stopped = StoppedClock::new();
        let nothing = tempfile::tempdir().expect("a folder");

        let behind = clock(&stopped, folder.path());
        let fine = clock(&stopped, nothing.path());
        stopped.set(Time::from_micros(0));
        let lost = clock(&stopped, nothing.path());

        assert!(matches!(behind[0].verdict, Verdict::Wrong(_)), "{behind:?}");
        assert_eq!(fine[0].verdict, Verdict::Good);
        assert!(matches!(lost[0].verdict, Verdict::Wrong(_)), "{lost:?}");
    }

    #[test]
    fn a_port_that_is_taken_is_wrong_and_names_its_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound");

        let finding = port("gateway.listen", &address.to_string());

        let Verdict::Wrong(what_to_do) = finding.verdict else {
            panic!("found free")
        };
        assert!(
            what_to_do.contains("set gateway.listen to another port"),
            "{what_to_do}"
        );
    }
}
