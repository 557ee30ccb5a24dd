//! A hall of many processes, on servers that stand already.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use guildhall_kernel::{Ids as _, SystemIds};
use guildhall_store::postgres::{self, Server};
use svc_chat::{config::CqlSettings, store::cql};
use tempfile::TempDir;

use crate::{
    hall::{Process, SETTINGS},
    servers::Servers,
};

/// Which processes there are, those first that others call, and how many of each.
const SHAPE: [(&str, usize); 3] = [("auth", 2), ("chat", 2), ("gateway", 2)];
/// How many connections to PostgreSQL a service of a process has that write, and as many that read.
const CONNECTIONS: u32 = 4;
/// How soon everybody must be ready after the last one was started.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Tables, streams and certificates of one measurement.
pub(crate) struct Ground {
    server: PathBuf,
    postgres: String,
    cql: CqlSettings,
    nats: String,
    name: String,
    folder: TempDir,
    papers: Papers,
}

impl Ground {
    /// Makes tables and certificates, under a name that nobody has.
    pub(crate) fn prepare(server: &Path, servers: &Servers) -> anyhow::Result<Self> {
        let random = SystemIds.uuid().simple().to_string();
        let name = format!("bench{}", &random[20..]);
        let folder = tempfile::tempdir()?;
        let ground = Self {
            server: server.to_owned(),
            postgres: servers.postgres()?.to_owned(),
            cql: CqlSettings {
                nodes: servers.cql_nodes.clone(),
                datacenter: servers.cql_datacenter.clone(),
                keyspace: name.clone(),
                replication: 1,
                ..CqlSettings::default()
            },
            nats: servers.nats()?.to_owned(),
            papers: Papers::make(server, &folder.path().join("certs"))?,
            name,
            folder,
        };
        run(ground.command("all").arg("migrate"))?;
        Ok(ground)
    }

    /// Starts all processes and waits until they are ready.
    pub(crate) async fn start(&self) -> anyhow::Result<Cluster> {
        let mut processes: Vec<(&str, Process)> = Vec::new();
        for role in SHAPE.into_iter().flat_map(|(role, n)| vec![role; n]) {
            let mut command = self.command(role);
            for (service, key) in [
                ("auth", "GUILDHALL_LINKS__AUTH"),
                ("chat", "GUILDHALL_LINKS__CHAT"),
            ] {
                let those = processes.iter().filter(|(role, _)| *role == service);
                let there: anyhow::Result<Vec<_>> =
                    those.map(|(_, process)| process.address("links")).collect();
                let there = there?.join(",");
                if role != service && !there.is_empty() {
                    command.env(key, there);
                }
            }
            if role != "gateway" {
                command.env("GUILDHALL_LINKS__LISTEN", "127.0.0.1:0");
            }
            command.arg("serve");
            processes.push((role, Process::start(command)?));
        }
        let http = reqwest::Client::new();
        let began = Instant::now();
        for (role, process) in &processes {
            let url = format!("http://{}/readyz", process.address("admin")?);
            while !http.get(&url).send().await?.status().is_success() {
                ensure!(began.elapsed() < READY_WITHIN, "{role} does not get ready");
                tokio::time::sleep(LOOK).await;
            }
        }
        let gateways = processes.iter().filter(|(role, _)| *role == "gateway");
        let gateways = gateways.map(|(_, process)| process.address("http"));
        Ok(Cluster {
            gateways: gateways.collect::<Result<_, _>>()?,
            // Callers end first: nobody misses anybody.
            _processes: processes
                .into_iter()
                .rev()
                .map(|(_, process)| process)
                .collect(),
        })
    }

    /// Takes away what the measurement made on the servers, all that can be; returns the first thing that could not.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        let entities = self.remove_entities().await;
        let timelines = cql::remove(&self.cql).await.context("the keyspace");
        let events = self.remove_events().await;
        entities.and(timelines).and(events)
    }

    async fn remove_entities(&self) -> anyhow::Result<()> {
        let server = Server::parse(&self.postgres, None, 1)?;
        for service in [svc_auth::NAME, svc_chat::NAME] {
            postgres::remove(&server.schema(&format!("{}_{service}", self.name))?).await?;
        }
        Ok(())
    }

    async fn remove_events(&self) -> anyhow::Result<()> {
        let jetstream = jetstream::new(async_nats::connect(&self.nats).await?);
        for stream in ["GH_CHAT", "GH_ENTITY"] {
            let name = format!("{}_{stream}", self.name);
            jetstream.delete_stream(name).await?;
        }
        Ok(())
    }

    /// A process with these roles; its word is still to be said.
    fn command(&self, roles: &str) -> Command {
        let [ca, certificate, key] = self.papers.of(roles);
        let mut command = Command::new(&self.server);
        command
            .args(["--config", SETTINGS])
            .env("GUILDHALL_ROLES", roles)
            .env("GUILDHALL_DATA", self.folder.path().join("none"))
            .env("GUILDHALL_POSTGRES__URL", &self.postgres)
            .env("GUILDHALL_POSTGRES__SCHEMA", &self.name)
            .env("GUILDHALL_POSTGRES__CONNECTIONS", CONNECTIONS.to_string())
            .env("GUILDHALL_CQL__NODES", format!("{:?}", self.cql.nodes))
            .env("GUILDHALL_CQL__DATACENTER", &self.cql.datacenter)
            .env("GUILDHALL_CQL__KEYSPACE", &self.cql.keyspace)
            .env("GUILDHALL_CQL__REPLICATION", "1")
            .env("GUILDHALL_NATS__SERVERS", format!("{:?}", [&self.nats]))
            .env("GUILDHALL_NATS__NAMESPACE", &self.name)
            .env("GUILDHALL_NATS__REPLICAS", "1")
            .env("GUILDHALL_LINKS__CA_FILE", ca)
            .env("GUILDHALL_LINKS__CERTIFICATE_FILE", certificate)
            .env("GUILDHALL_LINKS__KEY_FILE", key);
        command
    }
}

/// The processes of a hall; they end with this value.
pub(crate) struct Cluster {
    /// Where people go: the public ports of its gateways.
    pub(crate) gateways: Vec<String>,
    _processes: Vec<Process>,
}

/// Certificates for links, in a folder.
pub(crate) struct Papers {
    folder: PathBuf,
}

impl Papers {
    /// Has the server make them.
    pub(crate) fn make(server: &Path, folder: &Path) -> anyhow::Result<Self> {
        run(Command::new(server).arg("certs").arg(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The files of a role, or of "all": authority, certificate, key.
    pub(crate) fn of(&self, role: &str) -> [String; 3] {
        ["ca.pem", &format!("{role}.pem"), &format!("{role}-key.pem")]
            .map(|file| self.folder.join(file).display().to_string())
    }
}

/// Runs a command to its end; what it said is shown where it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let done = command
        .env_remove("GUILDHALL_BIN")
        .output()
        .with_context(|| format!("{} does not start", command.get_program().display()))?;
    ensure!(
        done.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
