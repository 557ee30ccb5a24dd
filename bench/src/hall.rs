//! A server of its own for each measurement.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// The settings of everything that is measured: the defaults but for limits that a load from one address would run into.
pub(crate) const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hall.toml");

/// A running hall; it ends with this value.
pub(crate) struct Hall {
    process: Process,
    /// Where the public port is: "127.0.0.1:8080".
    pub(crate) http: String,
    /// From spawning the process to its ready line.
    pub(crate) ready_after: Duration,
}

impl Hall {
    /// Starts the server on a folder, with [`SETTINGS`].
    pub(crate) fn start(server: &Path, data: &Path) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut command = Command::new(server);
        command
            .args(["serve", "--config", SETTINGS, "--data"])
            .arg(data);
        let process = Process::start(command)?;
        Ok(Self {
            http: process.address("http")?,
            process,
            ready_after: began.elapsed(),
        })
    }

    /// Memory in use by the server, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

/// A process that listens on free ports; it ends with this value.
pub(crate) struct Process {
    child: Child,
    said: String,
}

impl Process {
    /// Starts it and waits for its ready line.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        command
            .env("GUILDHALL_GATEWAY__LISTEN", "127.0.0.1:0")
            .env("GUILDHALL_ADMIN_LISTEN", "127.0.0.1:0")
            .env("GUILDHALL_TELEMETRY__LOG", "warn")
            .env_remove("GUILDHALL_BIN")
            .stdout(Stdio::piped());
        let child = command.spawn().with_context(|| {
            let server = command.get_program().display();
            format!("{server} does not start; build it with `cargo build --release`")
        })?;
        // From here on it is killed when something goes wrong.
        let mut process = Self {
            child,
            said: String::new(),
        };
        let out = process.child.stdout.take().context("a pipe")?;
        for line in BufReader::new(out).lines() {
            if let Some(said) = line?.strip_prefix("guildhall ready ") {
                said.clone_into(&mut process.said);
                return Ok(process);
            }
        }
        bail!("the server ended before it was ready")
    }

    /// An address of its ready line: "http", "links", "admin".
    pub(crate) fn address(&self, name: &str) -> anyhow::Result<String> {
        let words = self.said.split(' ').filter_map(|word| word.split_once('='));
        let mut named = words.filter(|(key, _)| *key == name);
        let (_, address) = named
            .next()
            .with_context(|| format!("the ready line names no {name}: {}", self.said))?;
        Ok(address.to_owned())
    }
}

impl Drop for Process {
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
