//! What the servers are like, for `guildhall doctor`. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use guildhall_kernel::Time;
use scylla::{client::session::Session, value::CqlTimestamp};

use super::{
    schema,
    session::{self, ConnectError},
};
use crate::config::CqlSettings;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// "Cassandra 5.0.8" or "ScyllaDB 2025.4.1".
    pub version: String,
    /// Whether it is ScyllaDB.
    pub is_scylla: bool,
    /// How many servers of `cql.datacenter` answer us.
    pub servers: usize,
    /// How the log of changes is synced: "batch", "group" or "periodic"; `None` where the servers do not show it.
    pub sync: Option<String>,
    /// What time they have.
    pub time: Time,
    /// The copies in each data centre; `None` where the keyspace is not there.
    pub copies: Option<BTreeMap<String, String>>,
    /// Why the keyspace cannot be used by this version with these settings; `None` where it can.
    pub unfit: Option<String>,
}

/// Looks at the servers and the keyspace.
///
/// # Errors
/// [`ConnectError`] where they cannot be asked.
pub async fn inspect(settings: &CqlSettings) -> Result<Condition, ConnectError> {
    let session = session::connect_patiently(settings).await?;
    let (version, is_scylla) = version(&session).await?;
    let sync = sync(&session).await;
    let time = time(&session).await?;
    let servers = connected(&session, &settings.datacenter);
    let copies = copies(&session, &settings.keyspace).await?;
    let unfit = match copies {
        None => None,
        Some(_) => unfit(&session, settings).await?,
    };
    Ok(Condition {
        version,
        is_scylla,
        servers,
        sync,
        time,
        copies,
        unfit,
    })
}

/// Refuses a data centre that no server stands in.
pub(super) fn check_datacenter(
    session: &Session,
    settings: &CqlSettings,
) -> Result<(), ConnectError> {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info().iter();
    let there: BTreeSet<&str> = nodes
        .filter_map(|node| node.datacenter.as_deref())
        .collect();
    if there.is_empty() || there.contains(settings.datacenter.as_str()) {
        return Ok(());
    }
    let there = there.into_iter().collect::<Vec<_>>().join(", ");
    let datacenter = settings.datacenter.clone();
    Err(ConnectError::Datacenter { datacenter, there })
}

fn connected(session: &Session, datacenter: &str) -> usize {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info().iter();
    nodes
        .filter(|node| node.datacenter.as_deref() == Some(datacenter) && node.is_connected())
        .count()
}

async fn version(session: &Session) -> Result<(String, bool), ConnectError> {
    // ScyllaDB says that it is an old Cassandra, and has a table of its own for the truth.
    let scylla = "SELECT version FROM system.versions";
    if let Some(version) = text(session, scylla).await {
        return Ok((format!("ScyllaDB {version}"), true));
    }
    let asked = "SELECT release_version FROM system.local";
    let answer = session.query_unpaged(asked, ()).await;
    let rows = answer.map_err(ConnectError::statement)?.into_rows_result();
    let rows = rows.map_err(ConnectError::statement)?;
    let (version,) = rows
        .first_row::<(String,)>()
        .map_err(ConnectError::statement)?;
    Ok((format!("Cassandra {version}"), false))
}

/// Each kind of server shows its settings in a table of its own.
async fn sync(session: &Session) -> Option<String> {
    let cassandra = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'";
    if let Some(sync) = text(session, cassandra).await {
        return Some(sync);
    }
    let scylla = "SELECT value FROM system.config WHERE name = 'commitlog_sync'";
    let sync = text(session, scylla).await?;
    Some(sync.trim_matches('"').to_owned())
}

/// The first column of the first row; `None` also where there is no such table.
async fn text(session: &Session, ask: &str) -> Option<String> {
    let answer = session.query_unpaged(ask, ()).await.ok()?;
    let rows = answer.into_rows_result().ok()?;
    let (text,) = rows.maybe_first_row::<(Option<String>,)>().ok()??;
    text
}

async fn time(session: &Session) -> Result<Time, ConnectError> {
    let asked = "SELECT toTimestamp(now()) FROM system.local";
    let answer = session.query_unpaged(asked, ()).await;
    let rows = answer.map_err(ConnectError::statement)?.into_rows_result();
    let rows = rows.map_err(ConnectError::statement)?;
    let (CqlTimestamp(millis),) = rows
        .first_row::<(CqlTimestamp,)>()
        .map_err(ConnectError::statement)?;
    Ok(Time::from_micros(millis.saturating_mul(1_000)))
}

/// How a keyspace is spread, without the name of the strategy where it is the one that counts by data centre.
async fn copies(
    session: &Session,
    keyspace: &str,
) -> Result<Option<BTreeMap<String, String>>, ConnectError> {
    let asked = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer = session.query_unpaged(asked, (keyspace,)).await;
    let rows = answer.map_err(ConnectError::statement)?.into_rows_result();
    let rows = rows.map_err(ConnectError::statement)?;
    let row = rows
        .maybe_first_row::<(BTreeMap<String, String>,)>()
        .map_err(ConnectError::statement)?;
    Ok(row.map(|(mut copies,)| {
        if copies
            .get("class")
            .is_some_and(|class| class.ends_with("NetworkTopologyStrategy"))
        {
            copies.remove("class");
        }
        copies
    }))
}

async fn unfit(session: &Session, settings: &CqlSettings) -> Result<Option<String>, ConnectError> {
    let used = session
        .use_keyspace(settings.keyspace.as_str(), false)
        .await;
    used.map_err(ConnectError::statement)?;
    match schema::epoch(session, settings).await {
        Ok(_) => Ok(None),
        Err(ConnectError::Schema(wrong)) => Ok(Some(wrong.to_string())),
        Err(other) => Err(other),
    }
}
