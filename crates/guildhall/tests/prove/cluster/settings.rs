//! How the processes of a hall are told what it stands on.

use std::{fmt::Write as _, path::Path};

use anyhow::Context as _;

use super::{node::Node, servers::Servers};

/// The settings that all proofs run with.
const COMMON: &str = include_str!("../hall.toml");

/// What is the same for all processes of a hall.
pub(super) struct Hall<'h> {
    /// Begins the names of schemas, streams and keyspace.
    pub(super) name: &'h str,
    pub(super) servers: &'h Servers,
    /// The folder of their certificates.
    pub(super) certificates: &'h Path,
    /// The other processes.
    pub(super) calls: Vec<&'h Node>,
}

impl Hall<'_> {
    /// The settings of one process. `way` is how it reaches a server or another process.
    pub(super) fn settings(
        &self,
        node: &Node,
        way: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<String> {
        let (name, way_to) = (self.name, |to| {
            way(to).with_context(|| format!("a way to {to}"))
        });
        let postgres = self.servers.postgres()?;
        let postgres = postgres.replace(address_of(postgres)?, &way_to("postgres")?);
        let nats = way_to("nats")?;
        let roles = match node.roles.as_slice() {
            [] => String::new(),
            roles => format!("roles = \"{}\"\ndrain_seconds = 1", roles.join(",")),
        };
        let mut text = format!(
            r#"{roles}
{COMMON}
[live]
heartbeat_seconds = 2

[auth]
access_minutes = 30

[postgres]
url = "{postgres}"
schema = "{name}"
connections = 4

[nats]
servers = ["nats://{nats}"]
namespace = "{name}"
replicas = 1
"#
        );
        if let Some(nodes) = self.servers.cassandra() {
            let nodes: Vec<_> = nodes.split(',').map(|node| format!("{node:?}")).collect();
            let replicas = nodes.len();
            write!(
                text,
                "\n[cql]\nnodes = [{}]\nkeyspace = \"{name}\"\ndatacenter = \"datacenter1\"\nreplication = {replicas}\n",
                nodes.join(", ")
            )?;
        }
        if node.roles.is_empty() {
            return Ok(text);
        }
        let certificate = |end: &str| {
            let role = node.roles.first().copied().unwrap_or("all");
            self.certificates
                .join(format!("{role}{end}"))
                .display()
                .to_string()
        };
        let ca = self.certificates.join("ca.pem");
        writeln!(text, "\n[links]")?;
        if !node.is("gateway") {
            writeln!(text, "listen = {:?}", node.links)?;
        }
        for role in ["auth", "chat"] {
            let called = self
                .calls
                .iter()
                .filter(|other| other.is(role) && !node.is(role));
            let called: Vec<_> = called.filter_map(|other| way(&other.name)).collect();
            let may_call = node.is("gateway") || role == "auth";
            if may_call && !called.is_empty() {
                writeln!(text, "{role} = {:?}", called.join(","))?;
            }
        }
        writeln!(text, "ca_file = {:?}", ca.display().to_string())?;
        writeln!(text, "certificate_file = {:?}", certificate(".pem"))?;
        writeln!(text, "key_file = {:?}", certificate("-key.pem"))?;
        Ok(text)
    }
}

/// Makes a certificate authority, and a certificate for each role.
pub(super) async fn make_certificates(node: &Node, folder: &Path) -> anyhow::Result<()> {
    let mut certs = node.bare();
    let done = certs.arg("certs").arg(folder).output().await?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), "certs: {said}");
    Ok(())
}

/// `HOST:PORT` of a URL, without user and database.
pub(super) fn address_of(url: &str) -> anyhow::Result<&str> {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let authority = rest.and_then(|rest| rest.split('/').next());
    let address =
        authority.map(|authority| authority.rsplit_once('@').map_or(authority, |(_, at)| at));
    address.with_context(|| format!("{url} names no server"))
}
