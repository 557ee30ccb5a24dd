//! The tables, in the CQL that ScyllaDB and Cassandra share, and what a keyspace says of itself.

use scylla::client::session::Session;

use super::session::ConnectError;
use crate::{config::CqlSettings, model::Epoch};

/// Each step brings a keyspace from its position in the list to the next: additive, and never edited after a release.
pub(super) const STEPS: [&[&str]; 1] = [&FIRST];

/// Instants are microseconds since 1970 in a bigint, because a CQL timestamp has milliseconds. Ids are blobs where their order
/// counts, since the order of `uuid` is another one.
///
/// In `message`, kind 0 is a message (n: its seq) and kind 1 a change (n: its rev), which carries the whole message as the change left
/// it, so that what was told can be told again after later changes. `what` is 0 for a post, 1 for an edit, 2 for a deletion; `batch_id`
/// names the batch a change came with. `first_rev` counts the changes in earlier buckets; `head_at` is the latest `posted_at` so far,
/// which a message repeats as `latest_at` where it is not its own. Everything in this table goes by Paxos, for the timestamps of
/// such writes do not compare with those of others. In the rest nothing does: their timestamps are numbers that only rise.
const FIRST: [&str; 7] = [
    "CREATE TABLE IF NOT EXISTS message (
        channel_id uuid,
        bucket int,
        head_seq bigint static,
        head_rev bigint static,
        applied_rev bigint static,
        first_rev bigint static,
        head_at bigint static,
        closed boolean static,
        kind tinyint,
        n bigint,
        rev bigint,
        author_id uuid,
        key text,
        body text,
        posted_at bigint,
        latest_at bigint,
        edited_at bigint,
        deleted_at bigint,
        target bigint,
        what tinyint,
        batch_id uuid,
        PRIMARY KEY ((channel_id, bucket), kind, n)
    ) WITH CLUSTERING ORDER BY (kind ASC, n DESC)",
    "CREATE TABLE IF NOT EXISTS channel_bucket (channel_id uuid PRIMARY KEY, bucket int)",
    "CREATE TABLE IF NOT EXISTS posted_key (
        channel_id uuid,
        shard smallint,
        author_id uuid,
        key text,
        seq bigint,
        PRIMARY KEY ((channel_id, shard), author_id, key)
    )",
    "CREATE TABLE IF NOT EXISTS read_state (
        channel_id uuid,
        user_id blob,
        seq bigint,
        read_at bigint,
        PRIMARY KEY (channel_id, user_id)
    )",
    "CREATE TABLE IF NOT EXISTS dirty (
        shard smallint,
        minute int,
        channel_id uuid,
        PRIMARY KEY ((shard, minute), channel_id)
    ) WITH default_time_to_live = 604800",
    "CREATE TABLE IF NOT EXISTS told (channel_id uuid PRIMARY KEY, rev bigint)",
    "CREATE TABLE IF NOT EXISTS swept (shard smallint PRIMARY KEY, minute int)",
];

/// What a keyspace says of itself: `schema`, the number of its tables; `epoch`; `agreement`, among whom its writes are decided; and
/// `lock` while tables are changed, which alone goes by Paxos.
pub(super) const META: &str = "CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text)";

/// The keyspace is not what this version or these settings need.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is missing, empty, or of an earlier version.
    #[error(
        "keyspace {keyspace} is not prepared (its tables are number {found}, this version needs {known}): run `guildhall migrate` first"
    )]
    Unprepared {
        /// Its name.
        keyspace: String,
        /// Its number; 0 where there are no tables.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// A newer version made it.
    #[error(
        "keyspace {keyspace} was made by a newer version of Guildhall (its tables are number {found}, this version knows up to {known})"
    )]
    Newer {
        /// Its name.
        keyspace: String,
        /// Its number.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// It was made for writes that are decided elsewhere: two processes could decide differently.
    #[error(
        "settings cql.across_datacenters and cql.datacenter: writes to keyspace {keyspace} are decided {kept}, by these settings {ours}; \
         all processes need the same"
    )]
    Disagreement {
        /// Its name.
        keyspace: String,
        /// What it was made for.
        kept: String,
        /// What the settings say.
        ours: String,
    },
    /// Another process changes its tables and does not come to an end.
    #[error(
        "keyspace {keyspace} is being changed by another `guildhall migrate`; try again in five minutes"
    )]
    Locked {
        /// Its name.
        keyspace: String,
    },
}

/// Reads the epoch of a keyspace that is what this version and these settings need.
pub(super) async fn epoch(
    session: &Session,
    settings: &CqlSettings,
) -> Result<Epoch, ConnectError> {
    check_number(session, &settings.keyspace).await?;
    check_agreement(session, settings).await?;
    match meta(session, "epoch").await? {
        Some(epoch) => Ok(Epoch(epoch.into())),
        None => Err(unprepared(&settings.keyspace, 0)),
    }
}

/// Refuses a keyspace of another version.
pub(super) async fn check_number(session: &Session, keyspace: &str) -> Result<(), ConnectError> {
    let (found, known) = (number(session).await?, STEPS.len());
    if found > known {
        let keyspace = keyspace.to_owned();
        return Err(SchemaError::Newer {
            keyspace,
            found,
            known,
        }
        .into());
    }
    if found < known {
        return Err(unprepared(keyspace, found));
    }
    Ok(())
}

/// Refuses a keyspace whose writes are decided elsewhere.
pub(super) async fn check_agreement(
    session: &Session,
    settings: &CqlSettings,
) -> Result<(), ConnectError> {
    let ours = agreement(settings);
    match meta(session, "agreement").await? {
        Some(kept) if kept == ours => Ok(()),
        Some(kept) => Err(SchemaError::Disagreement {
            keyspace: settings.keyspace.clone(),
            kept,
            ours,
        }
        .into()),
        None => Err(unprepared(&settings.keyspace, 0)),
    }
}

/// Among whom writes are decided, in words that are kept and compared.
pub(super) fn agreement(settings: &CqlSettings) -> String {
    if settings.across_datacenters {
        "across data centres".to_owned()
    } else {
        format!("within {}", settings.datacenter)
    }
}

/// The number of the keyspace's tables; 0 where there are none.
pub(super) async fn number(session: &Session) -> Result<usize, ConnectError> {
    if !has_meta(session).await? {
        return Ok(0);
    }
    let found = meta(session, "schema").await?;
    Ok(found.and_then(|text| text.parse().ok()).unwrap_or(0))
}

async fn has_meta(session: &Session) -> Result<bool, ConnectError> {
    let keyspace = session.get_keyspace();
    let keyspace = keyspace.as_deref().map_or("", String::as_str);
    let look = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'meta'";
    let answer = session.query_unpaged(look, (keyspace,)).await;
    let rows = answer.map_err(ConnectError::statement)?.into_rows_result();
    Ok(rows.map_err(ConnectError::statement)?.rows_num() > 0)
}

/// Something that the keyspace says of itself.
pub(super) async fn meta(session: &Session, name: &str) -> Result<Option<String>, ConnectError> {
    let read = "SELECT value FROM meta WHERE name = ?";
    let answer = session
        .query_unpaged(read, (name,))
        .await
        .map_err(ConnectError::statement)?;
    let rows = answer.into_rows_result().map_err(ConnectError::statement)?;
    let row = rows
        .maybe_first_row::<(Option<String>,)>()
        .map_err(ConnectError::statement)?;
    Ok(row.and_then(|(value,)| value))
}

/// There is no such keyspace.
pub(super) fn missing(settings: &CqlSettings) -> ConnectError {
    unprepared(&settings.keyspace, 0)
}

fn unprepared(keyspace: &str, found: usize) -> ConnectError {
    let (keyspace, known) = (keyspace.to_owned(), STEPS.len());
    SchemaError::Unprepared {
        keyspace,
        found,
        known,
    }
    .into()
}
