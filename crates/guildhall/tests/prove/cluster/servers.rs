//! Servers of the proofs' own, which they kill, freeze, fill and rob: never those that tests share.
//!
//! `dev.d/infra` starts them in a folder of its own, and writes down there which process is which.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;

use super::disk::Disk;

/// PostgreSQL, NATS and Cassandra of this proof; stopped and wiped when dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    folder: PathBuf,
    kinds: String,
    nodes: usize,
    addresses: BTreeMap<String, String>,
    disks: BTreeMap<&'static str, Disk>,
}

/// What was asked for and cannot be had.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl Servers {
    /// Starts servers in `folder`: of `kinds` "nats", "postgres" and "cassandra", the last on 1 or 3 nodes. Those of `disks` have a disk
    /// of their own, of so many MiB.
    pub(crate) async fn start(
        folder: &Path,
        kinds: &[&str],
        nodes: usize,
        disks: &[(&'static str, usize)],
    ) -> anyhow::Result<Result<Self, Missing>> {
        let mut servers = Self {
            folder: folder.to_owned(),
            kinds: kinds.join(","),
            nodes,
            addresses: BTreeMap::new(),
            disks: BTreeMap::new(),
        };
        // What a proof left behind that was killed.
        servers.infra(&["down", "--wipe"]).output().await?;
        for (server, mib) in disks {
            match Disk::mount(&servers.folder.join(server), *mib) {
                Ok(disk) => servers.disks.insert(server, disk),
                Err(why) => return Ok(Err(Missing(format!("no small disk: {why}")))),
            };
        }
        servers.up().await?;
        let env = std::fs::read_to_string(servers.folder.join("env"))?;
        let pairs = env.lines().filter_map(|line| line.split_once('='));
        servers.addresses = pairs
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        let missing = servers
            .addresses
            .iter()
            .find(|(key, _)| key.ends_with("_MISSING"));
        let missing = missing
            .map(|(key, why)| Missing(format!("no {}: {why}", key.trim_end_matches("_MISSING"))));
        Ok(missing.map_or(Ok(servers), Err))
    }

    /// Starts again what does not run, and waits until it answers.
    pub(crate) async fn up(&self) -> anyhow::Result<()> {
        let nodes = self.nodes.to_string();
        let mut up = self.infra(&["up", "--only", &self.kinds, "--nodes", &nodes]);
        let done = up.output().await.context("dev.d/infra needs python3")?;
        // 1: one of them is missing, which `env` tells.
        anyhow::ensure!(
            matches!(done.status.code(), Some(0 | 1)),
            "dev.d/infra: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Lets all go on, and starts what does not run: for the next fault, after one that ended half way.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        self.thaw();
        self.up().await
    }

    /// `postgres://…`
    pub(crate) fn postgres(&self) -> anyhow::Result<&str> {
        self.address("POSTGRES_URL")
    }

    /// "HOST:PORT"
    pub(crate) fn nats(&self) -> anyhow::Result<&str> {
        Ok(self.address("NATS_URL")?.trim_start_matches("nats://"))
    }

    /// "HOST:PORT" of each node, with commas; `None` where there is no Cassandra.
    pub(crate) fn cassandra(&self) -> Option<&str> {
        self.address("CQL_NODES").ok()
    }

    /// Sends a signal to "nats", "postgres" or "cassandra-1".
    pub(crate) fn signal(&self, server: &str, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.pid(server)?, signal).with_context(|| format!("{server}: {signal:?}"))
    }

    /// Ends one at once, and waits until it is gone.
    pub(crate) async fn kill(&self, server: &str, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid(server)?;
        kill_process(pid, signal)?;
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        for _ in 0..1_000 {
            // Dead and not buried is dead enough: it was started by a process that is gone.
            let is_dead = |stat: String| {
                stat.rsplit(')')
                    .next()
                    .is_some_and(|rest| rest.starts_with(" Z"))
            };
            if std::fs::read_to_string(&stat).map_or(true, is_dead) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        bail!("{server} does not end")
    }

    /// Takes the files of a killed nats-server away.
    pub(crate) fn wipe_nats(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.folder.join("nats/data")).context("the files of NATS")
    }

    /// The small disk of a server.
    pub(crate) fn disk(&self, server: &str) -> anyhow::Result<&Disk> {
        let disk = self.disks.get(server);
        disk.with_context(|| format!("{server} has no disk of its own"))
    }

    fn address(&self, key: &str) -> anyhow::Result<&str> {
        let address = self.addresses.get(key);
        address
            .map(String::as_str)
            .with_context(|| format!("{key} was not started"))
    }

    fn thaw(&self) {
        let nodes = ["cassandra-1", "cassandra-2", "cassandra-3"];
        for server in ["nats", "postgres"].into_iter().chain(nodes) {
            let _runs_not = self.signal(server, Signal::CONT);
        }
    }

    fn pid(&self, server: &str) -> anyhow::Result<Pid> {
        let record = self.folder.join(server).join("process.json");
        let record = std::fs::read(&record).with_context(|| record.display().to_string())?;
        let record: Value = serde_json::from_slice(&record)?;
        let pid = record["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).context("a process id")
    }

    fn infra(&self, words: &[&str]) -> Command {
        let mut command = Command::new("python3");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev.d/infra"))
            .args(words)
            .env("GUILDHALL_INFRA", &self.folder)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // What is frozen does not stop.
        self.thaw();
        // The next start in this folder does it, if this one cannot.
        let _down = self.infra(&["down"]).into_std().output();
        self.disks.clear();
        let _wiped = self.infra(&["down", "--wipe"]).into_std().output();
    }
}
