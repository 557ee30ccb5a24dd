//! Making a keyspace and its tables, and bringing them up to date: for `guildhall migrate`, and nowhere else.

use std::time::Duration;

use guildhall_kernel::{Clock, Ids};
use scylla::client::session::Session;

use super::{
    database::Database,
    schema::{self, META, STEPS, SchemaError, agreement, meta, number},
    session::{self, ConnectError},
    shard::{self, SHARDS},
    sweep::SETTLED,
};
use crate::config::CqlSettings;

/// How long a lock holds whose owner died, in seconds; the longest that a change of tables may take.
const LOCKED: i32 = 300;
/// How long to wait for another's lock, and how often to look.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

/// Makes the keyspace and its tables, or brings them up to date, and says what it made. May be run while halls run; of several at the
/// same time one works and the others wait.
///
/// # Errors
/// What the servers say; [`SchemaError`] where the keyspace is not for this version or these settings.
pub async fn migrate(
    settings: &CqlSettings,
    clock: &dyn Clock,
    ids: &dyn Ids,
) -> Result<Vec<String>, ConnectError> {
    let session = session::connect_patiently(settings).await?;
    let mut made = Vec::new();
    if !is_there(&session, &settings.keyspace).await? {
        made.push(format!("keyspace {}", settings.keyspace));
    }
    make_keyspace(&session, settings).await?;
    run(&session, META).await?;

    let owner = ids.uuid().simple().to_string();
    lock(&session, settings, clock, &owner).await?;
    let changed = change(&session, settings, clock, ids, &mut made).await;
    let unlocked = unlock(&session, &owner).await;
    changed?;
    unlocked?;
    Ok(made)
}

/// Takes a keyspace away with everything in it. For tests: nothing in the product gives up a database.
///
/// # Errors
/// What the servers say.
pub async fn remove(settings: &CqlSettings) -> Result<(), ConnectError> {
    let session = session::connect_patiently(settings).await?;
    let ddl = format!("DROP KEYSPACE IF EXISTS {}", settings.keyspace);
    run(&session, &ddl).await
}

/// Makes what is missing, under the lock.
async fn change(
    session: &Session,
    settings: &CqlSettings,
    clock: &dyn Clock,
    ids: &dyn Ids,
    made: &mut Vec<String>,
) -> Result<(), ConnectError> {
    let (found, known) = (number(session).await?, STEPS.len());
    if found > known {
        let keyspace = settings.keyspace.clone();
        return Err(SchemaError::Newer {
            keyspace,
            found,
            known,
        }
        .into());
    }
    if meta(session, "agreement").await?.is_none() {
        put(session, "agreement", &agreement(settings)).await?;
    }
    schema::check_agreement(session, settings).await?;
    for (step, statements) in STEPS.iter().enumerate().skip(found) {
        for ddl in *statements {
            run(session, ddl).await?;
        }
        made.push(format!("tables number {}", step + 1));
    }
    if found == 0 {
        begin_sweeps(session, clock).await?;
    }
    if meta(session, "epoch").await?.is_none() {
        put(session, "epoch", &new_epoch(ids)).await?;
        made.push("a name for its numbers".to_owned());
    }
    if found < known {
        put(session, "schema", &known.to_string()).await?;
    }
    Ok(())
}

async fn is_there(session: &Session, keyspace: &str) -> Result<bool, ConnectError> {
    let look = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer = session.query_unpaged(look, (keyspace,)).await;
    let rows = answer.map_err(ConnectError::statement)?.into_rows_result();
    Ok(rows.map_err(ConnectError::statement)?.rows_num() > 0)
}

async fn make_keyspace(session: &Session, settings: &CqlSettings) -> Result<(), ConnectError> {
    // The name and the data centre were checked with the settings; neither can be bound.
    let (keyspace, datacenter, copies) = (
        &settings.keyspace,
        &settings.datacenter,
        settings.replication,
    );
    let ddl = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', '{datacenter}': {copies}}}"
    );
    run(session, &ddl).await?;
    let used = session.use_keyspace(keyspace.as_str(), false).await;
    used.map_err(ConnectError::statement)
}

/// Waits until nobody else changes tables. Two that do at the same moment can leave servers with different ones.
async fn lock(
    session: &Session,
    settings: &CqlSettings,
    clock: &dyn Clock,
    owner: &str,
) -> Result<(), ConnectError> {
    let take = "INSERT INTO meta (name, value) VALUES ('lock', ?) IF NOT EXISTS USING TTL ?";
    let until = clock.uptime() + PATIENCE;
    loop {
        let answer = session.query_unpaged(take, (owner, LOCKED)).await;
        let answer = answer.map_err(ConnectError::statement)?;
        if Database::was_applied(answer).map_err(ConnectError::statement)? {
            return Ok(());
        }
        if clock.uptime() >= until {
            let keyspace = settings.keyspace.clone();
            return Err(SchemaError::Locked { keyspace }.into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn unlock(session: &Session, owner: &str) -> Result<(), ConnectError> {
    let give = "DELETE FROM meta WHERE name = 'lock' IF value = ?";
    let given = session.query_unpaged(give, (owner,)).await;
    given.map(drop).map_err(ConnectError::statement)
}

/// A name for the numbers of a keyspace: of one just made, and of one restored from a backup, from which the restore has taken it.
fn new_epoch(ids: &dyn Ids) -> String {
    let mut random = [0; 16];
    ids.random(&mut random);
    let epoch = uuid::Builder::from_random_bytes(random).into_uuid();
    epoch.simple().to_string()
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

async fn put(session: &Session, name: &str, value: &str) -> Result<(), ConnectError> {
    let write = "INSERT INTO meta (name, value) VALUES (?, ?)";
    let written = session.query_unpaged(write, (name, value)).await;
    written.map(drop).map_err(ConnectError::statement)
}

async fn run(session: &Session, ddl: &str) -> Result<(), ConnectError> {
    let done = session.query_unpaged(ddl, ()).await;
    done.map(drop).map_err(ConnectError::statement)
}
