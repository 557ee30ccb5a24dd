//! The tables, in the CQL that ScyllaDB and Cassandra share, and making them: for `guildhall migrate`, and nowhere else.

use guildhall_kernel::{Clock, Ids};
use scylla::client::session::Session;

use super::{
    session::{self, ConnectError},
    shard::{self, SHARDS},
    sweep::SETTLED,
};
use crate::{config::CqlSettings, model::Epoch};

/// Each step brings a keyspace from its position in the list to the next: additive, and never edited after a release.
const STEPS: [&[&str]; 1] = [&FIRST];

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

const META: &str = "CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text)";

/// The keyspace is not what this version needs.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is missing, empty, or of an earlier version.
    #[error(
        "keyspace {keyspace} is not prepared (its tables are number {found}, this version needs {known}): run guildhall migrate"
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
}

/// Makes the keyspace and its tables, or brings them up to date. May be run again, and while halls run; not twice at the same time.
pub async fn migrate(
    settings: &CqlSettings,
    clock: &dyn Clock,
    ids: &dyn Ids,
) -> Result<(), ConnectError> {
    let session = session::connect_patiently(settings).await?;
    // The name and the data centre were checked with the settings; neither can be bound.
    let (keyspace, datacenter, copies) = (
        &settings.keyspace,
        &settings.datacenter,
        settings.replication,
    );
    let keyspace_ddl = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', '{datacenter}': {copies}}}"
    );
    run(&session, &keyspace_ddl).await?;
    session
        .use_keyspace(keyspace.as_str(), false)
        .await
        .map_err(ConnectError::statement)?;

    run(&session, META).await?;
    let found = number(&session).await?;
    let known = STEPS.len();
    if found > known {
        let keyspace = keyspace.clone();
        return Err(SchemaError::Newer {
            keyspace,
            found,
            known,
        }
        .into());
    }
    for step in STEPS.iter().skip(found) {
        for ddl in *step {
            run(&session, ddl).await?;
        }
    }
    if found == 0 {
        begin_sweeps(&session, clock).await?;
    }
    if meta(&session, "epoch").await?.is_none() {
        name(&session, ids).await?;
    }
    let write = "INSERT INTO meta (name, value) VALUES ('schema', ?)";
    let written = session.query_unpaged(write, (known.to_string(),)).await;
    written.map(drop).map_err(ConnectError::statement)
}

/// Reads the epoch of a keyspace that is what this version needs.
pub(super) async fn epoch(session: &Session, keyspace: &str) -> Result<Epoch, ConnectError> {
    let (found, known) = (number(session).await?, STEPS.len());
    let keyspace = keyspace.to_owned();
    if found > known {
        return Err(SchemaError::Newer {
            keyspace,
            found,
            known,
        }
        .into());
    }
    match meta(session, "epoch").await? {
        Some(epoch) if found == known => Ok(Epoch(epoch.into())),
        _ => Err(SchemaError::Unprepared {
            keyspace,
            found,
            known,
        }
        .into()),
    }
}

/// Gives a keyspace without an epoch a new one: one just made, and one restored from a backup, from which the restore has taken it.
async fn name(session: &Session, ids: &dyn Ids) -> Result<(), ConnectError> {
    let mut random = [0; 16];
    ids.random(&mut random);
    let epoch = uuid::Builder::from_random_bytes(random).into_uuid();
    let write = "INSERT INTO meta (name, value) VALUES ('epoch', ?)";
    let text = epoch.simple().to_string();
    let written = session.query_unpaged(write, (text,)).await;
    written.map(drop).map_err(ConnectError::statement)
}

/// Lets the sweeps of a new keyspace begin a little before now instead of long ago. A minute that was swept is not looked at again,
/// and this one has only begun.
async fn begin_sweeps(session: &Session, clock: &dyn Clock) -> Result<(), ConnectError> {
    let minute = shard::minute_of(clock.now()) - SETTLED;
    let write = "INSERT INTO swept (shard, minute) VALUES (?, ?) USING TIMESTAMP ?";
    for shard in 0..SHARDS {
        let row = (shard, minute, shard::minute_stamp(minute));
        let written = session.query_unpaged(write, row).await;
        written.map_err(ConnectError::statement)?;
    }
    Ok(())
}

/// The number of the keyspace's tables.
async fn number(session: &Session) -> Result<usize, ConnectError> {
    let found = meta(session, "schema").await?;
    Ok(found.and_then(|text| text.parse().ok()).unwrap_or(0))
}

async fn meta(session: &Session, name: &str) -> Result<Option<String>, ConnectError> {
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

async fn run(session: &Session, ddl: &str) -> Result<(), ConnectError> {
    let done = session.query_unpaged(ddl, ()).await;
    done.map(drop).map_err(ConnectError::statement)
}
