//! The tables of a timeline file, and bringing an older file up to date.

use guildhall_kernel::Ids;
use rusqlite::{Connection, OptionalExtension as _};

use crate::model::Epoch;

/// Each step brings a file from its position in the list to the next: additive, and never edited after a release.
const STEPS: [&str; 1] = [FIRST];

/// Messages are found by channel and seq, by channel, author and key, and by channel and rev; every one of the three is unique, so a
/// number given twice cannot be stored. `latest_at` is the latest `posted_at` so far in the channel, where that is not the message's own.
/// `read_at` is null where a mark was placed for its user and never moved by them.
const FIRST: &str = "
    CREATE TABLE message (
        channel_id BLOB NOT NULL,
        seq INTEGER NOT NULL,
        rev INTEGER NOT NULL,
        author_id BLOB NOT NULL,
        key TEXT NOT NULL,
        body TEXT NOT NULL,
        posted_at INTEGER NOT NULL,
        latest_at INTEGER,
        edited_at INTEGER,
        deleted_at INTEGER,
        PRIMARY KEY (channel_id, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX message_by_key ON message (channel_id, author_id, key);
    CREATE UNIQUE INDEX message_by_rev ON message (channel_id, rev);
    CREATE TABLE channel_head (
        channel_id BLOB NOT NULL PRIMARY KEY,
        seq INTEGER NOT NULL,
        rev INTEGER NOT NULL,
        latest_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE read_state (
        channel_id BLOB NOT NULL,
        user_id BLOB NOT NULL,
        seq INTEGER NOT NULL,
        read_at INTEGER,
        PRIMARY KEY (channel_id, user_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id BLOB NOT NULL,
        subject TEXT NOT NULL,
        payload BLOB NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE cursor (
        name TEXT NOT NULL PRIMARY KEY,
        id INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The file cannot be used by this version.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A newer version wrote it.
    #[error(
        "it was written by a newer version of Guildhall (its tables are number {found}, this version knows up to {known}): start that version, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The file's number.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// What SQLite says.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// Brings the tables up to date, all of it or nothing, and returns the file's epoch. A file without one gets a new one: one just
/// made, and one restored from a backup, from which the restore has taken it.
pub(super) fn prepare(connection: &mut Connection, ids: &dyn Ids) -> Result<Epoch, SchemaError> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    change.execute_batch(
        "CREATE TABLE IF NOT EXISTS meta (name TEXT NOT NULL PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID",
    )?;
    let found = schema(&change)?;
    if found > known {
        return Err(SchemaError::Newer { found, known });
    }
    for step in STEPS
        .iter()
        .skip(usize::try_from(found).unwrap_or_default())
    {
        change.execute_batch(step)?;
    }
    if found < known {
        change.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?1)", [known])?;
    }
    let mut random = [0; 16];
    ids.random(&mut random);
    let fresh = uuid::Builder::from_random_bytes(random)
        .into_uuid()
        .simple()
        .to_string();
    change.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?1)", [fresh])?;
    let epoch: String =
        change.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| {
            row.get(0)
        })?;
    change.commit()?;
    Ok(Epoch(epoch.into()))
}

/// The number of the file's tables; 0 for a new file.
fn schema(connection: &Connection) -> rusqlite::Result<i64> {
    let found = connection
        .query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(found.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use guildhall_testkit::CountedIds;

    use super::*;

    #[test]
    fn a_file_keeps_its_epoch_and_a_new_one_or_one_without_gets_another() {
        let ids = CountedIds::new();
        let mut one = Connection::open_in_memory().expect("opens");
        let mut two = Connection::open_in_memory().expect("opens");

        let first = prepare(&mut one, &ids).expect("prepares");
        let again = prepare(&mut one, &ids).expect("prepares");
        let other = prepare(&mut two, &ids).expect("prepares");
        one.execute("DELETE FROM meta WHERE name = 'epoch'", [])
            .expect("deletes");
        let restored = prepare(&mut one, &ids).expect("prepares");

        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_ne!(first, restored);
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_left_alone() {
        let mut file = Connection::open_in_memory().expect("opens");
        prepare(&mut file, &CountedIds::new()).expect("prepares");
        file.execute("UPDATE meta SET value = 2 WHERE name = 'schema'", [])
            .expect("updates");

        let refused = prepare(&mut file, &CountedIds::new()).expect_err("newer");

        assert!(
            matches!(refused, SchemaError::Newer { found: 2, known: 1 }),
            "{refused}"
        );
        assert_eq!(schema(&file), Ok(2));
    }
}
