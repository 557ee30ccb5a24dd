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

    /// The server for events.
    pub(crate) fn nats(&self) -> anyhow::Result<&str> {
        let url = self.nats_url.as_deref();
        url.context("no server is named: --nats-url, or NATS_URL from target/infra/env")
    }
}
