//! A session with the servers: who is asked, how long, how often, and how many of them must agree.

use std::{path::PathBuf, sync::Arc, time::Duration};

use scylla::{
    client::{
        execution_profile::{ExecutionProfile, ExecutionProfileHandle},
        session::Session,
        session_builder::SessionBuilder,
    },
    errors::NewSessionError,
    policies::{
        load_balancing::{DefaultPolicy, LoadBalancingPolicy},
        retry::FallthroughRetryPolicy,
        speculative_execution::SimpleSpeculativeExecutionPolicy,
    },
    statement::{Consistency, SerialConsistency},
};

use super::{
    inspect::check_datacenter,
    schema::{SchemaError, missing},
};
use crate::config::CqlSettings;

/// How long one statement may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a step of Paxos may take. More than the servers give themselves, so that they answer first.
const PAXOS_PATIENCE: Duration = Duration::from_secs(3);
/// How long a change of tables may take.
const TABLES_PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// How often a quiet connection is asked whether it lives, and how long it may take to say so. One that does not is made anew.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
const ALIVE_PATIENCE: Duration = Duration::from_secs(5);
/// After how long a read is tried on a second server as well.
const SECOND_TRY: Duration = Duration::from_millis(50);

/// The engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server could be reached, or none lets us in.
    #[error("no server of cql.nodes can be used")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A server refused or did not understand a statement.
    #[error("the servers refuse what is needed at the start")]
    Statement(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The keyspace cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// No server stands in the data centre that is ours.
    #[error("setting cql.datacenter: no server stands in {datacenter}; they stand in {there}")]
    Datacenter {
        /// What the setting says.
        datacenter: String,
        /// What the servers say.
        there: String,
    },
    /// The password cannot be read.
    #[error("setting cql.password_file: {} cannot be read", path.display())]
    Password {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

impl ConnectError {
    pub(super) fn statement(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Statement(Box::new(cause))
    }
}

/// How many servers must agree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreement {
    /// On plain reads and writes, and on learning the outcome of Paxos.
    pub(super) plain: Consistency,
    /// In Paxos.
    pub(super) paxos: SerialConsistency,
    /// On reads that see the outcome of every Paxos round begun before them.
    pub(super) latest: Consistency,
}

impl Agreement {
    /// Either all of it within the data centre or all of it across: a mixture would let two of them decide differently.
    pub(super) const fn of(across_datacenters: bool) -> Self {
        if across_datacenters {
            return Self {
                plain: Consistency::Quorum,
                paxos: SerialConsistency::Serial,
                latest: Consistency::Serial,
            };
        }
        Self {
            plain: Consistency::LocalQuorum,
            paxos: SerialConsistency::LocalSerial,
            latest: Consistency::LocalSerial,
        }
    }
}

/// Three ways to ask.
pub(super) struct Profiles {
    /// What may be asked twice at once, since it changes nothing.
    pub(super) read: ExecutionProfileHandle,
    /// What may be written twice, one after the other.
    pub(super) write: ExecutionProfileHandle,
    /// What is decided by Paxos: never tried again by the driver, which cannot know what became of the first try.
    pub(super) claim: ExecutionProfileHandle,
}

impl Profiles {
    pub(super) fn of(settings: &CqlSettings) -> Self {
        let agreement = Agreement::of(settings.across_datacenters);
        let nearest: Arc<dyn LoadBalancingPolicy> = DefaultPolicy::builder()
            .prefer_datacenter(settings.datacenter.clone())
            .permit_dc_failover(settings.across_datacenters)
            .token_aware(true)
            .build();
        let plain = ExecutionProfile::builder()
            .consistency(agreement.plain)
            .serial_consistency(Some(agreement.paxos))
            .request_timeout(Some(PATIENCE))
            .load_balancing_policy(nearest);
        let speculative = SimpleSpeculativeExecutionPolicy {
            max_retry_count: 1,
            retry_interval: SECOND_TRY,
        };
        let read = plain
            .clone()
            .speculative_execution_policy(Some(Arc::new(speculative)));
        let claim = plain
            .clone()
            .request_timeout(Some(PAXOS_PATIENCE))
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()));
        Self {
            read: read.build().into_handle_with_label("read".into()),
            write: plain.build().into_handle_with_label("write".into()),
            claim: claim.build().into_handle_with_label("claim".into()),
        }
    }
}

/// Connects, in the keyspace.
pub(super) async fn connect(settings: &CqlSettings) -> Result<Session, ConnectError> {
    let builder = builder(settings)
        .await?
        .use_keyspace(settings.keyspace.as_str(), false);
    let builder = builder.default_execution_profile_handle(Profiles::of(settings).write);
    let session = builder.build().await.map_err(|error| {
        if let NewSessionError::UseKeyspaceError(_) = error {
            missing(settings)
        } else {
            unreachable(error)
        }
    })?;
    check_datacenter(&session, settings)?;
    Ok(session)
}

/// Connects in no keyspace, with time for changes of tables.
pub(super) async fn connect_patiently(settings: &CqlSettings) -> Result<Session, ConnectError> {
    let agreement = Agreement::of(settings.across_datacenters);
    let profile = ExecutionProfile::builder()
        .consistency(agreement.plain)
        .serial_consistency(Some(agreement.paxos))
        .request_timeout(Some(TABLES_PATIENCE))
        .build();
    let builder = builder(settings).await?;
    let builder = builder
        .default_execution_profile_handle(profile.into_handle())
        .schema_agreement_timeout(TABLES_PATIENCE);
    let session = builder.build().await.map_err(unreachable)?;
    check_datacenter(&session, settings)?;
    Ok(session)
}

async fn builder(settings: &CqlSettings) -> Result<SessionBuilder, ConnectError> {
    let builder = SessionBuilder::new()
        .known_nodes(&settings.nodes)
        .connection_timeout(CONNECT_PATIENCE)
        .keepalive_interval(ALIVE_EVERY)
        .keepalive_timeout(ALIVE_PATIENCE);
    if settings.user.is_empty() {
        return Ok(builder);
    }
    let password = password(settings).await?;
    Ok(builder.user(settings.user.clone(), password))
}

fn unreachable(cause: NewSessionError) -> ConnectError {
    ConnectError::Unreachable(Box::new(cause))
}

/// The first line of the file.
async fn password(settings: &CqlSettings) -> Result<String, ConnectError> {
    let path = settings.password_file.clone();
    let text = tokio::fs::read_to_string(&path).await;
    let text = text.map_err(|cause| ConnectError::Password { path, cause })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
