//! A server on a folder of its own that can be killed and started again.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::doors::Doors;

/// How long a start may take before it counts as a failure; a hall is to be back within 3 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hall that dies with this value.
pub(crate) struct Server {
    program: PathBuf,
    fault: Option<&'static str>,
    folder: TempDir,
    child: Option<Child>,
    doors: Doors,
}

impl Server {
    /// The product on a new folder; not started yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::of(Path::new(env!("CARGO_BIN_EXE_guildhall")), None)
    }

    /// The same with one guard taken away. The program is built by `./dev prove` and tells where it is by GUILDHALL_SABOTAGED.
    pub(crate) fn without(fault: &'static str) -> anyhow::Result<Self> {
        let program =
            std::env::var_os("GUILDHALL_SABOTAGED").context("GUILDHALL_SABOTAGED is not set")?;
        Self::of(Path::new(&program), Some(fault))
    }

    fn of(program: &Path, fault: Option<&'static str>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            program: program.into(),
            fault,
            folder,
            child: None,
            doors: Doors::default(),
        })
    }

    /// The folder with its data.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Where it can be reached; stays true over restarts.
    pub(crate) fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/prove/hall.toml");
        let mut command = Command::new(&self.program);
        command
            .args([
                "--config",
                settings,
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(self.folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // What `./dev` tells this proof is no setting of a hall.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GUILDHALL_")) {
            command.env_remove(name);
        }
        command.env("GUILDHALL_TELEMETRY__LOG", "error");
        if let Some(fault) = self.fault {
            command.env("SABOTAGE", fault);
        }
        let mut child = command.spawn()?;
        let out = child.stdout.take().context("a pipe")?;
        let ready = tokio::time::timeout(PATIENCE, ready(out))
            .await
            .context("not ready in time")??;
        self.doors.set(vec![ready]);
        self.child = Some(child);
        Ok(())
    }

    /// Kills it with SIGKILL, wherever it is.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.start_kill()?;
            child.wait().await?;
        }
        Ok(())
    }

    /// Tells it to stop and waits until it has; fails where it does not exit with 0.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let pid = child
            .id()
            .and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?));
        rustix::process::kill_process(pid.context("it runs")?, rustix::process::Signal::TERM)?;
        let status = tokio::time::timeout(PATIENCE, child.wait())
            .await
            .context("not stopped in time")??;
        anyhow::ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

async fn ready(out: tokio::process::ChildStdout) -> anyhow::Result<String> {
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next_line().await? {
        let Some(words) = line.strip_prefix("guildhall ready ") else {
            continue;
        };
        let address = words.split(' ').find_map(|word| word.strip_prefix("http="));
        return Ok(address.context("the ready line names the port")?.to_owned());
    }
    bail!("it ended before it was ready")
}
