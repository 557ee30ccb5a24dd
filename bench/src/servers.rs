//! Where the servers of a big installation are, for the measurements that need them.

use anyhow::Context as _;
use clap::Args;

/// Addresses as `./dev infra up` writes them.
#[derive(Debug, Clone, Args)]
pub(crate) struct Servers {
    /// ScyllaDB or Cassandra, "address:port", several by commas.
    #[arg(long, env = "CQL_NODES", value_delimiter = ',')]
    pub(crate) cql_nodes: Vec<String>,
    /// Their data centre.
    #[arg(long, env = "CQL_DATACENTER", default_value = "datacenter1")]
    pub(crate) cql_datacenter: String,
    /// NATS with JetStream, "nats://address:port".
    #[arg(long, env = "NATS_URL")]
    nats_url: Option<String>,
    /// PostgreSQL, "postgres://user@address:port/database".
    #[arg(long, env = "POSTGRES_URL")]
    postgres_url: Option<String>,
}

impl Servers {
    /// Whether there is a server for timelines.
    pub(crate) fn has_cql(&self) -> bool {
        !self.cql_nodes.is_empty()
    }

    /// Whether there is a server for events.
    pub(crate) fn has_nats(&self) -> bool {
        self.nats_url.is_some()
    }

    /// The first kind of server that a hall of many processes needs and that is not named, with the flag that names it.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        [
            ("PostgreSQL (--postgres-url)", self.postgres_url.is_some()),
            ("ScyllaDB or Cassandra (--cql-nodes)", self.has_cql()),
            ("NATS (--nats-url)", self.has_nats()),
        ]
        .into_iter()
        .find_map(|(server, is_there)| (!is_there).then_some(server))
    }

    /// The server for entities.
    pub(crate) fn postgres(&self) -> anyhow::Result<&str> {
        let url = self.postgres_url.as_deref();
        url.context("no server is named: --postgres-url, or POSTGRES_URL from target/infra/env")
    }

    /// The server for events.
    pub(crate) fn nats(&self) -> anyhow::Result<&str> {
        let url = self.nats_url.as_deref();
        url.context("no server is named: --nats-url, or NATS_URL from target/infra/env")
    }
}
