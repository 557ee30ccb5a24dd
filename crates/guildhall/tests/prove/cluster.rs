//! Halls on servers of their own, in one process or in several, while everything under them breaks.
//!
//! In reading order: `shape` is which processes there are; `ports`, `node` one process, `servers` what they stand on, `settings` how
//! they are told of each other; this file puts them together. `watch` asks them all the time whether they live and whether they are
//! ready, `steady` when a hall has recovered. `campaign` breaks one thing after the other under load and judges each; the files after it
//! are what is broken: `process`, `nats`, `postgres`, …

mod campaign;
mod cassandra;
mod clock;
mod disk;
mod heard;
mod nats;
mod node;
mod packets;
mod partition;
mod ports;
mod postgres;
mod process;
mod servers;
mod settings;
mod shape;
mod steady;
mod watch;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use guildhall_testkit::{chaos::Proxy, infra};
use tempfile::TempDir;

use crate::doors::Doors;
use disk::Disk;
use node::Node;
use servers::Servers;
use shape::Shape;
use watch::Watch;

/// A hall that is up.
pub(crate) struct Cluster {
    /// Its processes, in the order of the shape.
    pub(crate) nodes: Vec<Node>,
    /// What they stand on.
    pub(crate) servers: Arc<Servers>,
    /// Its gateways.
    pub(crate) doors: Doors,
    /// What they said of themselves.
    pub(crate) watch: Watch,
    // Before their folder.
    disks: Vec<Disk>,
    /// The network: who goes where -> the proxy on that way.
    ways: BTreeMap<(String, String), Proxy>,
    folder: Option<TempDir>,
}

impl Cluster {
    /// Starts a hall of this shape, with schemas and streams that no other has; without one of its guards where `fault` names it, see
    /// [`crate::server::Server::without`].
    pub(crate) async fn start(
        fault: Option<&'static str>,
        shape: &Shape,
        servers: &Arc<Servers>,
    ) -> anyhow::Result<Self> {
        let program = match fault {
            None => PathBuf::from(env!("CARGO_BIN_EXE_guildhall")),
            Some(_) => PathBuf::from(
                std::env::var_os("GUILDHALL_SABOTAGED")
                    .context("GUILDHALL_SABOTAGED is not set")?,
            ),
        };
        let folder = tempfile::tempdir()?;
        let mut nodes = shape.nodes(&program, folder.path())?;
        for node in &mut nodes {
            node.variables
                .extend(fault.map(|fault| ("SABOTAGE".to_owned(), fault.to_owned())));
        }
        let mut cluster = Self {
            doors: Doors::of(http(&nodes)),
            watch: Watch::over(&nodes),
            nodes,
            servers: servers.clone(),
            disks: Vec::new(),
            ways: BTreeMap::new(),
            folder: Some(folder),
        };
        if let Some(mib) = shape.disk() {
            let mounted = cluster
                .nodes
                .iter()
                .map(|node| Disk::mount(&node.data(), mib));
            cluster.disks = mounted.collect::<anyhow::Result<_>>()?;
        }
        cluster.lay_ways().await?;
        cluster.write_settings()?;
        cluster.migrate().await?;
        for node in &mut cluster.nodes {
            node.launch()?;
        }
        for node in &mut cluster.nodes {
            node.ready().await.with_context(|| logs(&cluster.folder))?;
        }
        Ok(cluster)
    }

    /// The process of that name.
    pub(crate) fn node(&mut self, name: &str) -> anyhow::Result<&mut Node> {
        let node = self.nodes.iter_mut().find(|node| node.name == name);
        node.with_context(|| format!("no process is called {name}"))
    }

    /// The names of the processes with that role.
    pub(crate) fn with_role(&self, role: &str) -> Vec<String> {
        let nodes = self.nodes.iter().filter(|node| node.is(role));
        nodes.map(|node| node.name.clone()).collect()
    }

    /// The proxies on the ways that a process goes, to "postgres", "nats", or another process.
    pub(crate) fn ways(&self, from: &str, to: &str) -> Vec<&Proxy> {
        let is_meant = |(a, b): &(String, String)| a == from && b == to;
        self.ways
            .iter()
            .filter(|(way, _)| is_meant(way))
            .map(|(_, proxy)| proxy)
            .collect()
    }

    /// The small disk of the first process.
    pub(crate) fn disk(&self) -> anyhow::Result<&Disk> {
        self.disks.first().context("it has no disk of its own")
    }

    /// Keeps the logs, and says where they are.
    pub(crate) fn keep_logs(&mut self) -> String {
        let kept = self.folder.take().map(TempDir::keep);
        kept.map_or_else(String::new, |folder| format!("logs: {}", folder.display()))
    }

    /// Tells every process to stop; fails where one does not end as it should.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.watch.end();
        for node in &mut self.nodes {
            node.stop().await.with_context(|| logs(&self.folder))?;
        }
        Ok(())
    }

    /// Puts a proxy before each server and each process that others call, one for every caller.
    async fn lay_ways(&mut self) -> anyhow::Result<()> {
        let (postgres, nats) = (self.servers.postgres()?, self.servers.nats()?);
        let postgres = settings::address_of(postgres)?;
        let called: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (&node.name, &node.links))
            .collect();
        for node in &self.nodes {
            let mut to = vec![("postgres", postgres), ("nats", nats)];
            if !node.roles.is_empty() {
                let others = called.iter().filter(|(name, _)| **name != node.name);
                to.extend(others.map(|(name, links)| (name.as_str(), links.as_str())));
            }
            for (name, address) in to {
                let proxy = Proxy::before(address).await?;
                self.ways
                    .insert((node.name.clone(), name.to_owned()), proxy);
            }
        }
        Ok(())
    }

    fn write_settings(&self) -> anyhow::Result<()> {
        let name = infra::fresh("prove");
        let certificates = self.folder()?.join("certificates");
        for node in &self.nodes {
            let links = self.nodes.iter().filter(|other| other.name != node.name);
            let hall = settings::Hall {
                name: &name,
                servers: &self.servers,
                certificates: &certificates,
                calls: links.collect(),
            };
            let way = |to: &str| {
                let proxy = self.ways.get(&(node.name.clone(), to.to_owned()));
                proxy.map(Proxy::address)
            };
            std::fs::write(node.file(), hall.settings(node, &way)?)?;
        }
        Ok(())
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        let first = self.nodes.first().context("a process")?;
        if !first.roles.is_empty() {
            settings::make_certificates(first, &self.folder()?.join("certificates")).await?;
        }
        let done = first.word("migrate").output().await?;
        let said = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success(), "migrate: {said}");
        Ok(())
    }

    fn folder(&self) -> anyhow::Result<&Path> {
        self.folder
            .as_ref()
            .map(TempDir::path)
            .context("its folder was kept")
    }
}

fn http(nodes: &[Node]) -> Vec<String> {
    let gateways = nodes.iter().filter(|node| node.is("gateway"));
    gateways.map(|node| node.http.clone()).collect()
}

/// The end of what every process said, for whoever reads why a proof failed.
fn logs(folder: &Option<TempDir>) -> String {
    let Some(folder) = folder else {
        return String::new();
    };
    let files = std::fs::read_dir(folder.path())
        .into_iter()
        .flatten()
        .flatten();
    let logs = files.map(|file| file.path());
    let logs = logs.filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.map(|path| last_lines(&path)).collect()
}

fn last_lines(path: &PathBuf) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    last.iter()
        .map(|line| format!("\n{name}: {line}"))
        .collect()
}

#[cfg(test)]
mod proofs;
