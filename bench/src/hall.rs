//! A server of its own for each measurement.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// A running hall; it ends with this value.
pub(crate) struct Hall {
    child: Child,
    /// Where the public port is: "127.0.0.1:8080".
    pub(crate) http: String,
    /// From spawning the process to its ready line.
    pub(crate) ready_after: Duration,
}

impl Hall {
    /// Starts the server on a folder, with the settings of `bench/hall.toml`: the same as the defaults but for limits that a load
    /// from one address would run into.
    pub(crate) fn start(server: &Path, data: &Path) -> anyhow::Result<Self> {
        let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/hall.toml");
        let began = Instant::now();
        let mut child = Command::new(server)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .args(["--config", settings])
            .arg("--data")
            .arg(data)
            .env_remove("GUILDHALL_BIN")
            .env("GUILDHALL_TELEMETRY__LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "{} does not start; build it with `cargo build --release`",
                    server.display()
                )
            })?;
        let out = child.stdout.take().context("a pipe")?;
        for line in BufReader::new(out).lines() {
            let line = line?;
            let Some(words) = line.strip_prefix("guildhall ready ") else {
                continue;
            };
            let http = words.split(' ').find_map(|word| word.strip_prefix("http="));
            let http = http.context("the ready line names the port")?.to_owned();
            return Ok(Self {
                child,
                http,
                ready_after: began.elapsed(),
            });
        }
        bail!("the server ended before it was ready")
    }

    /// Memory in use by the server, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        // It is ours alone and its folder is thrown away, so it need not drain.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Thousands of sockets need thousands of file descriptors, here and in the server, which inherits the limit.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(Resource::Nofile).maximum;
    // Where it stays low, connecting fails with a clear error of its own.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: hard,
            maximum: hard,
        },
    );
}
