//! Where timelines are kept, and the engine that keeps them there.

use std::{path::PathBuf, sync::Arc};

use guildhall_kernel::{ChannelId, Clock, Ids};
use guildhall_mesh::{Bus, Tasks, outbox::relay};

use super::{
    cql::{self, CqlTimeline},
    sqlite::{self, SqliteTimeline},
    timeline::Timeline,
};
use crate::config::CqlSettings;

/// Where the timelines of a hall are kept.
#[derive(Debug, Clone)]
pub enum TimelineHome {
    /// A SQLite file. The data folder around it must be locked by this process.
    File {
        /// The file, made where it is missing.
        path: PathBuf,
        /// How big the engine is.
        options: sqlite::Options,
    },
    /// A keyspace of ScyllaDB or Cassandra, which other processes may use at the same time.
    Keyspace {
        /// Which one; checked.
        settings: CqlSettings,
        /// How big the engine is.
        options: cql::Options,
    },
}

/// What an engine is opened with.
pub(crate) struct Around {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) tasks: Tasks,
    /// Where changes are told.
    pub(crate) bus: Arc<dyn Bus>,
}

/// Timelines cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Those of a file.
    #[error("timeline.db cannot be opened")]
    File(#[from] sqlite::OpenError),
    /// Those of a keyspace.
    #[error("the timelines of [cql] cannot be opened")]
    Keyspace(#[from] cql::ConnectError),
}

/// An open engine. Clones are the same one.
#[derive(Clone)]
pub(crate) enum Engine {
    File(Arc<SqliteTimeline>),
    Keyspace(Arc<CqlTimeline>),
}

impl Engine {
    /// Opens the engine and has its changes told. A file is brought up to date; a keyspace must be what `guildhall migrate` makes.
    pub(crate) async fn open(home: TimelineHome, around: Around) -> Result<Self, OpenError> {
        let Around {
            clock,
            ids,
            tasks,
            bus,
        } = around;
        match home {
            TimelineHome::File { path, options } => {
                let engine = Arc::new(SqliteTimeline::open(path, clock, ids, options).await?);
                relay(&tasks, engine.clone(), bus);
                Ok(Self::File(engine))
            }
            TimelineHome::Keyspace { settings, options } => {
                let parts = cql::Parts {
                    options,
                    clock,
                    ids,
                    tasks,
                    bus: Some(bus),
                };
                let engine = CqlTimeline::open(&settings, parts).await?;
                Ok(Self::Keyspace(Arc::new(engine)))
            }
        }
    }

    /// What the rest of chat sees of it.
    pub(crate) fn timeline(&self) -> Arc<dyn Timeline> {
        match self {
            Self::File(engine) => engine.clone(),
            Self::Keyspace(engine) => engine.clone(),
        }
    }

    /// Says whether it answers, or why not, in a sentence for operators.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        match self {
            Self::File(engine) => {
                let nowhere = ChannelId::from_bytes([0; 16]);
                let heads = engine.heads(&[nowhere]).await;
                heads
                    .map(drop)
                    .map_err(|error| format!("timeline.db: {error}"))
            }
            Self::Keyspace(engine) => engine
                .ready()
                .await
                .map_err(|why| format!("the timelines of [cql]: {why}")),
        }
    }

    /// Refuses changes from now on, and ends after those under way. To be called once the tasks have stopped.
    pub(crate) async fn close(&self) {
        match self {
            Self::File(engine) => engine.close().await,
            Self::Keyspace(engine) => engine.close(),
        }
    }
}
