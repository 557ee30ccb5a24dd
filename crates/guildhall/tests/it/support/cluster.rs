//! A hall of several processes on the servers that they share.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use guildhall_store::postgres::{self, Server};
use guildhall_testkit::infra;
use rustix::process::{Pid, Signal, kill_process};
use svc_chat::{config::CqlSettings, store::cql};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::{
    Hall,
    hall::{guildhall, outcome},
    soon,
};

/// How soon a change of rights holds in every process while they hear of each other.
const RIGHTS_TAKE: Duration = Duration::from_secs(5);

/// What a hall is made of: the roles of each process, those first that others call.
pub type Shape = &'static [&'static str];

/// Servers, and what belongs to one test on them.
pub struct Shared {
    postgres: String,
    cql: CqlSettings,
    nats: String,
    name: String,
    dir: TempDir,
}

impl Shared {
    /// `None` where a server is missing: that was said then. Makes tables and certificates.
    pub async fn new() -> Option<Self> {
        let infra::Postgres { url: postgres } = infra::postgres().await?;
        let cassandra = infra::cassandra().await?;
        let infra::Nats { url: nats } = infra::nats().await?;
        let name = infra::fresh("hall");
        let cql = CqlSettings {
            nodes: cassandra.nodes,
            datacenter: cassandra.datacenter,
            keyspace: name.clone(),
            replication: 1,
            ..CqlSettings::default()
        };
        let shared = Self {
            postgres,
            cql,
            nats,
            name,
            dir: tempfile::tempdir().expect("a folder"),
        };
        let mut migrate = shared.command("all");
        migrate.arg("migrate");
        let (migrated, told, wrong) = outcome(migrate).await;
        assert!(migrated.success(), "{told} {wrong}");
        let mut certs = guildhall();
        certs.arg("certs").arg(shared.certificates());
        let (made, told, wrong) = outcome(certs).await;
        assert!(made.success(), "{told} {wrong}");
        Some(shared)
    }

    /// The folder of the certificates.
    pub fn certificates(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// The command for a process with these roles; its word is still to be said.
    pub fn command(&self, roles: &str) -> Command {
        let mut command = guildhall();
        let certificate = if roles.contains(',') { "all" } else { roles };
        let file = |name: &str| self.certificates().join(name);
        command
            .env("GUILDHALL_ROLES", roles)
            .env("GUILDHALL_DATA", self.dir.path().join("none"))
            .env("GUILDHALL_GATEWAY__LISTEN", "127.0.0.1:0")
            .env("GUILDHALL_ADMIN_LISTEN", "127.0.0.1:0")
            .env("GUILDHALL_POSTGRES__URL", &self.postgres)
            .env("GUILDHALL_POSTGRES__SCHEMA", &self.name)
            .env("GUILDHALL_POSTGRES__CONNECTIONS", "2")
            .env("GUILDHALL_CQL__NODES", list(&self.cql.nodes))
            .env("GUILDHALL_CQL__DATACENTER", &self.cql.datacenter)
            .env("GUILDHALL_CQL__KEYSPACE", &self.cql.keyspace)
            .env("GUILDHALL_CQL__REPLICATION", "1")
            .env(
                "GUILDHALL_NATS__SERVERS",
                list(std::slice::from_ref(&self.nats)),
            )
            .env("GUILDHALL_NATS__NAMESPACE", &self.name)
            .env("GUILDHALL_NATS__REPLICAS", "1")
            .env("GUILDHALL_LINKS__CA_FILE", file("ca.pem"))
            .env(
                "GUILDHALL_LINKS__CERTIFICATE_FILE",
                file(&format!("{certificate}.pem")),
            )
            .env(
                "GUILDHALL_LINKS__KEY_FILE",
                file(&format!("{certificate}-key.pem")),
            );
        command
    }

    /// Starts the processes of a shape, each after those that it calls.
    pub async fn hall(&self, shape: Shape) -> Cluster {
        let mut cluster = Cluster {
            members: Vec::new(),
            turn: AtomicUsize::new(0),
        };
        for roles in shape {
            let mut command = self.command(roles);
            for (service, key) in [
                ("auth", "GUILDHALL_LINKS__AUTH"),
                ("chat", "GUILDHALL_LINKS__CHAT"),
            ] {
                let there = cluster.links_of(service);
                if !there.is_empty() {
                    command.env(key, there.join(","));
                }
            }
            if *roles != "gateway" && *roles != "all" {
                command.env("GUILDHALL_LINKS__LISTEN", "127.0.0.1:0");
            }
            let log = format!("{}-{roles}.log", cluster.members.len());
            let log = self.dir.path().join(log);
            cluster
                .members
                .push(Member::start(command, roles, &log).await);
        }
        cluster.are_ready().await;
        cluster
    }

    /// Starts a gateway whose services are nowhere.
    pub async fn lone_gateway(&self) -> Member {
        let mut command = self.command("gateway");
        // The discard port: nobody answers there.
        command.env("GUILDHALL_LINKS__AUTH", "127.0.0.1:9");
        command.env("GUILDHALL_LINKS__CHAT", "127.0.0.1:9");
        Member::start(command, "gateway", &self.dir.path().join("lone.log")).await
    }

    /// Takes away what the test made.
    pub async fn remove(self) {
        let server = Server::parse(&self.postgres, None, 1).expect("a URL");
        for service in ["auth", "chat"] {
            let schema = server.schema(&format!("{}_{service}", self.name));
            postgres::remove(&schema.expect("a name"))
                .await
                .expect("removes");
        }
        cql::remove(&self.cql).await.expect("removes");
    }
}

fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("{item:?}")).collect();
    format!("[{}]", items.join(","))
}

/// The processes of a hall. Dropping it kills them.
pub struct Cluster {
    members: Vec<Member>,
    turn: AtomicUsize,
}

/// One process.
pub struct Member {
    /// Its roles, as they were given.
    pub roles: &'static str,
    /// Where people go, if it is a gateway.
    pub http: Option<SocketAddr>,
    /// Where other processes call it, if they do.
    pub links: Option<SocketAddr>,
    /// Where operators go.
    pub admin: SocketAddr,
    child: Child,
}

impl Hall for Cluster {
    fn http(&self) -> SocketAddr {
        let gateways: Vec<_> = self.members.iter().filter_map(|one| one.http).collect();
        gateways[self.turn.fetch_add(1, Ordering::Relaxed) % gateways.len()]
    }

    fn rights_take(&self) -> Duration {
        RIGHTS_TAKE
    }
}

impl Cluster {
    /// Tells every process to stop, those first that others do not call, and returns how each ended.
    pub async fn stop(mut self) -> Vec<ExitStatus> {
        let mut ends = Vec::new();
        for member in self.members.iter_mut().rev() {
            let pid = member.child.id().expect("it runs").try_into();
            let pid = Pid::from_raw(pid.expect("a small number"));
            kill_process(pid.expect("it runs"), Signal::TERM).expect("it may be told");
            ends.push(soon("its end", member.child.wait()).await.expect("it ends"));
        }
        ends
    }

    /// Where the processes of a service are called.
    pub fn links_of(&self, service: &str) -> Vec<String> {
        let those = self.members.iter().filter(|one| one.has(service));
        those
            .filter_map(|one| Some(one.links?.to_string()))
            .collect()
    }

    async fn are_ready(&self) {
        for member in &self.members {
            soon(member.roles, member.is_ready()).await;
        }
    }
}

impl Member {
    async fn start(mut command: Command, roles: &'static str, log: &Path) -> Self {
        let lines = File::create(log).expect("a log file");
        let mut child = command
            .arg("serve")
            .stderr(lines)
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        soon("the ready line", lines.read_line(&mut line))
            .await
            .expect("reads");
        let said = line.trim_end().strip_prefix("guildhall ready ");
        let said = said.unwrap_or_else(|| {
            let log = fs::read_to_string(log).unwrap_or_default();
            panic!("{roles}: not a ready line: {line:?}; its log: {log}")
        });
        let address = |name: &str| {
            let mut words = said.split(' ').filter_map(|word| word.split_once('='));
            let (_, address) = words.find(|(key, _)| *key == name)?;
            Some(address.parse().expect("an address"))
        };
        Self {
            roles,
            http: address("http"),
            links: address("links"),
            admin: address("admin").expect("a port for operators"),
            child,
        }
    }

    /// The status of what operators ask.
    pub async fn status(&self, path: &str) -> u16 {
        let url = format!("http://{}{path}", self.admin);
        let answer = super::http().get(url).send().await;
        answer.expect("it lives").status().as_u16()
    }

    fn has(&self, service: &str) -> bool {
        self.roles == "all" || self.roles.split(',').any(|role| role == service)
    }

    async fn is_ready(&self) {
        while self.status("/readyz").await != 200 {
            tokio::task::yield_now().await;
        }
    }
}
