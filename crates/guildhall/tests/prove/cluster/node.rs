//! One process of a cluster: started, killed, frozen, told to stop; asked how it fares.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::ports;

/// How long a start may take before it counts as a failure.
const START: Duration = Duration::from_secs(60);
/// How long a process may take to end that was told to; it cuts off by itself what takes longer than 10 s.
const STOP: Duration = Duration::from_secs(30);

/// A process with some roles, at ports that stay the same over restarts. It dies with this value.
#[derive(Debug)]
pub(crate) struct Node {
    /// "chat-2"
    pub(crate) name: String,
    /// What it is: "gateway", "auth", "chat". None: all in one process.
    pub(crate) roles: Vec<&'static str>,
    /// Where clients go, where it has that role.
    pub(crate) http: String,
    /// Where other processes reach it.
    pub(crate) links: String,
    admin: String,
    program: PathBuf,
    folder: PathBuf,
    /// Variables that it runs with beside its settings.
    pub(crate) variables: Vec<(String, String)>,
    child: Option<Child>,
    wakes: Wakes,
}

/// Counts how often a process became able to answer, or unable: odd while it is ready or was, and neither frozen nor told to stop.
/// Written by its owner, read by who asks it.
#[derive(Debug, Clone, Default)]
struct Wakes(Arc<AtomicU64>);

impl Wakes {
    fn set(&self, awake: bool) {
        let flip = |wakes: u64| (wakes % 2 != u64::from(awake)).then_some(wakes + 1);
        // An error: it is so already.
        let _same = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, flip);
    }
}

/// What the admin port says.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Whether it answered with 200.
    pub(crate) good: bool,
    /// What it said.
    pub(crate) text: String,
}

impl Node {
    /// A process that is not started yet. `folder` is for its settings, its log and its data.
    pub(crate) fn new(
        name: &str,
        roles: &[&'static str],
        program: &Path,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let address = || ports::free().map(|port| format!("127.0.0.1:{port}"));
        Ok(Self {
            name: name.to_owned(),
            roles: roles.to_vec(),
            http: address()?,
            links: address()?,
            admin: address()?,
            program: program.to_owned(),
            folder: folder.to_owned(),
            variables: Vec::new(),
            child: None,
            wakes: Wakes::default(),
        })
    }

    /// Whether it has that role.
    pub(crate) fn is(&self, role: &str) -> bool {
        self.roles.is_empty() || self.roles.contains(&role)
    }

    /// Its settings.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.toml", self.name))
    }

    /// The folder for its files, if it keeps any.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// A word of the command with the settings of this process.
    pub(crate) fn word(&self, word: &str) -> Command {
        let mut command = self.bare();
        command.arg("--config").arg(self.file()).arg(word);
        command.arg("--data").arg(self.data());
        command.args(["--listen", &self.http, "--admin-listen", &self.admin]);
        command.env("GUILDHALL_TELEMETRY__LOG", "warn");
        command.envs(self.variables.iter().cloned());
        command
    }

    /// The command without a word and without settings.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(&self.program);
        // What `./dev` tells this proof is no setting of a hall.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GUILDHALL_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts it without waiting for it.
    pub(crate) fn launch(&mut self) -> anyhow::Result<()> {
        let log = self.folder.join(format!("{}.log", self.name));
        let log = File::options().append(true).create(true).open(log)?;
        let mut command = self.word("serve");
        command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Waits until it says that it is ready; returns how long that took.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        loop {
            let said = self.probe().readyz().await;
            if said.good {
                self.wakes.set(true);
                return Ok(began.elapsed());
            }
            if let Some(ended) = self.child.as_mut().and_then(|child| child.try_wait().ok()?) {
                bail!("{} ended at start with {ended}", self.name);
            }
            anyhow::ensure!(
                began.elapsed() < START,
                "{} is not ready in time: {}",
                self.name,
                super::watch::why(&said.text)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills it with SIGKILL, wherever it is.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.wakes.set(false);
        if let Some(mut child) = self.child.take() {
            child.start_kill()?;
            child.wait().await?;
        }
        Ok(())
    }

    /// Stops it where it is, connections and all.
    pub(crate) fn freeze(&self) -> anyhow::Result<()> {
        self.wakes.set(false);
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.wakes.set(true);
        Ok(())
    }

    /// Tells it to stop and waits until it has; fails where it does not exit with 0.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        if self.child.is_some() {
            self.signal(Signal::TERM)?;
        }
        self.wakes.set(false);
        let Some(mut child) = self.child.take() else {
            return Ok(Duration::ZERO);
        };
        let ended = tokio::time::timeout(STOP, child.wait()).await;
        let status = ended.with_context(|| format!("{} does not stop", self.name))??;
        anyhow::ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(began.elapsed())
    }

    /// Asks it, also while something else holds it.
    pub(crate) fn probe(&self) -> Probe {
        Probe {
            name: self.name.clone(),
            admin: self.admin.clone(),
            wakes: self.wakes.clone(),
        }
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        let pid = pid.with_context(|| format!("{} does not run", self.name))?;
        kill_process(pid, signal).with_context(|| format!("{}: {signal:?}", self.name))
    }
}

/// Asks a process how it fares.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    /// Whom.
    pub(crate) name: String,
    admin: String,
    wakes: Wakes,
}

impl Probe {
    /// Which time it is awake; `None` while it cannot answer.
    pub(crate) fn awake(&self) -> Option<u64> {
        let wakes = self.wakes.0.load(Ordering::SeqCst);
        (wakes % 2 == 1).then_some(wakes)
    }

    /// Whether to send it work.
    pub(crate) async fn readyz(&self) -> Said {
        self.ask("readyz").await
    }

    /// Whether it lives.
    pub(crate) async fn healthz(&self) -> Said {
        self.ask("healthz").await
    }

    async fn ask(&self, what: &str) -> Said {
        let url = format!("http://{}/{what}", self.admin);
        let answer = async {
            let response = crate::people::passing().get(url).send().await?;
            let good = response.status().is_success();
            anyhow::Ok(Said {
                good,
                text: response.text().await?,
            })
        };
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        let silence = |why: String| Said {
            good: false,
            text: why,
        };
        match answer {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => silence(format!("no answer: {error}")),
            Err(_) => silence("no answer in 5 s".to_owned()),
        }
    }
}
