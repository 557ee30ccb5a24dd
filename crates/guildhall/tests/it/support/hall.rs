//! A running hall.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::soon;

/// A hall, however many processes it is made of.
pub trait Hall {
    /// Where browsers and apps go: REST, live, gRPC, grpc-web. Of several gateways the next one with every question.
    fn http(&self) -> SocketAddr;

    /// How soon a change of somebody's rights holds everywhere. In one process it does when the change is answered.
    fn rights_take(&self) -> Duration {
        Duration::ZERO
    }
}

/// `guildhall serve` with a data folder of its own, on free ports. Dropping it kills it.
pub struct OneProcess {
    child: Child,
    http: SocketAddr,
    admin: SocketAddr,
    // Kept by whoever wants to start on the same data again.
    data: PathBuf,
    // Removed with the hall, unless it was given its folder.
    dir: Option<TempDir>,
}

impl Hall for OneProcess {
    fn http(&self) -> SocketAddr {
        self.http
    }
}

impl OneProcess {
    /// A fresh hall.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut hall = Self::on(&dir.path().join("data")).await;
        hall.dir = Some(dir);
        hall
    }

    /// A hall on this data. Its log is beside it.
    pub async fn on(data: &Path) -> Self {
        Self::of(serve(data), data).await
    }

    /// The hall that a command serves from this data.
    pub async fn of(mut command: Command, data: &Path) -> Self {
        let log = data.with_extension("log");
        let lines = File::options().create(true).append(true).open(&log);
        command.stderr(lines.expect("a log file"));
        let mut child = command.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("piped");
        let mut line = String::new();
        let mut lines = BufReader::new(stdout);
        soon("the ready line", lines.read_line(&mut line))
            .await
            .expect("reads");
        let Some((http, admin)) = addresses(&line) else {
            let log = fs::read_to_string(&log).unwrap_or_default();
            panic!("not a ready line: {line:?}; its log: {log}");
        };
        Self {
            child,
            http,
            admin,
            data: data.to_owned(),
            dir: None,
        }
    }

    /// Where operators go.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Tells it to stop.
    pub fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(pid.expect("it runs"), signal).expect("it may be told");
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        soon("the end of the process", self.child.wait())
            .await
            .expect("it ends")
    }

    /// Kills it without a word and starts it again on the same data.
    pub async fn crash_and_restart(mut self) -> Self {
        self.signal(Signal::KILL);
        self.end().await;
        let dir = self.dir.take();
        let mut again = Self::on(&self.data).await;
        again.dir = dir;
        again
    }
}

/// The command that serves this data, on free ports. Nothing of the environment sets it.
pub fn serve(data: &Path) -> Command {
    let mut command = guildhall();
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data",
        ])
        .arg(data)
        .env(
            "GUILDHALL_CONFIG",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/hall.toml"),
        );
    command
}

/// The command alone.
pub fn guildhall() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guildhall"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GUILDHALL_")) {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What a command said and how it ended.
pub async fn outcome(mut command: Command) -> (ExitStatus, String, String) {
    let output = soon("the command", command.output())
        .await
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status, text(output.stdout), text(output.stderr))
}

fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let words = line.trim_end().strip_prefix("guildhall ready ")?;
    let (http, admin) = words.split_once(' ')?;
    let http = http.strip_prefix("http=")?.parse().ok()?;
    let admin = admin.strip_prefix("admin=")?.parse().ok()?;
    Some((http, admin))
}
