//! What a failure of a database means to whoever wanted something of it.

use std::path::PathBuf;

use guildhall_kernel::{Failure, Kind};
use sea_orm::{DbErr, RuntimeErr, SqlErr, SqlxError, SqlxPostgresError};

/// A database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many wait for a connection, or another transaction stands in the way for too long. Nothing was changed.
    #[error("the database is busy")]
    Busy,
    /// The disk is full. Nothing was changed.
    #[error("the disk is full")]
    Full(#[source] DbErr),
    /// The commit failed or its answer was lost: the change was made whole or not at all.
    #[error("the commit failed; whether the change was made is unknown")]
    OutcomeUnknown(#[source] DbErr),
    /// What is there is no database, or a damaged one.
    #[error("the database is damaged")]
    Damaged(#[source] DbErr),
    /// The file cannot be read or written (permissions, a read-only or a failing disk), or the server cannot be reached or takes no
    /// writes. Nothing was changed.
    #[error("the database cannot be read or written")]
    Io(#[source] DbErr),
    /// A value that must be unique is taken. Nothing was changed.
    #[error("a unique value is taken")]
    Taken(#[source] DbErr),
    /// A newer version of the program has changed the tables.
    #[error(
        "{place} was written by a newer version of Guildhall (it has the change {change}, which this version does not know): start that version, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The file or the schema.
        place: String,
        /// The first unknown change of its tables.
        change: String,
    },
    /// The tables are those of an older version, and it is not for this process to change them.
    #[error("{place} lacks the change {change} of its tables: run `guildhall migrate` first")]
    Behind {
        /// The schema.
        place: String,
        /// The first change that is missing.
        change: String,
    },
    /// The server cannot be reached, or does not let us in.
    #[error("{place} cannot be reached")]
    Unreachable {
        /// The server.
        place: String,
        /// Why.
        #[source]
        cause: DbErr,
    },
    /// The server is not what is needed.
    #[error("{place} cannot be used: {wrong}")]
    Unfit {
        /// The server.
        place: String,
        /// What is wrong with it, and what would be right.
        wrong: String,
    },
    /// The SQLite in this program can damage databases.
    #[error(
        "SQLite {found} is too old: {needed} or newer is needed, older ones can damage a database"
    )]
    OldLibrary {
        /// What is linked in.
        found: String,
        /// What is wanted at least.
        needed: &'static str,
    },
    /// Another process works in the data folder.
    #[error("the data folder {} is in use by another process{}: stop that one first, or choose another folder", path.display(), holder(*pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The process, where the lock names it.
        pid: Option<u32>,
    },
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used", path.display())]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A statement is wrong or a row holds what it must not: our fault.
    #[error("a statement failed")]
    Statement(#[source] DbErr),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if matches!(error, DbErr::ConnectionAcquire(_)) {
            return Self::Busy;
        }
        if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
            return Self::Taken(error);
        }
        match meaning(&error) {
            Some(Meaning::InTheWay) => Self::Busy,
            Some(Meaning::Full) => Self::Full(error),
            Some(Meaning::Damaged) => Self::Damaged(error),
            Some(Meaning::Lost | Meaning::Refused) => Self::Io(error),
            None => Self::Statement(error),
        }
    }
}

impl Failure for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::Busy => Kind::Exhausted,
            Self::Full(_)
            | Self::OutcomeUnknown(_)
            | Self::Damaged(_)
            | Self::Io(_)
            | Self::Unreachable { .. }
            | Self::Locked { .. } => Kind::Unavailable,
            Self::Taken(_) => Kind::Exists,
            Self::Newer { .. }
            | Self::Behind { .. }
            | Self::Unfit { .. }
            | Self::OldLibrary { .. }
            | Self::Folder { .. }
            | Self::Statement(_) => Kind::Internal,
        }
    }
}

/// Whether the same transaction may succeed when it is tried again: another one was faster or stood in the way, or the connection was
/// lost. To be asked of statements only: of a COMMIT, a lost connection says nothing.
pub(crate) fn is_transient(error: &DbErr) -> bool {
    match sql_state(error).as_deref() {
        Some(state::UNIQUE | state::SERIALIZATION | state::DEADLOCK) => true,
        _ => meaning(error) == Some(Meaning::Lost),
    }
}

/// What an error of an engine comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Somebody else holds what is wanted, or too many want something.
    InTheWay,
    /// No room.
    Full,
    /// Unreadable.
    Damaged,
    /// May not be read or written.
    Refused,
    /// The connection to the server has ended.
    Lost,
}

fn meaning(error: &DbErr) -> Option<Meaning> {
    if let DbErr::Conn(RuntimeErr::Internal(_)) = error {
        return Some(Meaning::Lost);
    }
    let SqlxError::Database(cause) = driver(error)? else {
        let is_lost = matches!(
            driver(error)?,
            SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::Protocol(_)
        );
        return is_lost.then_some(Meaning::Lost);
    };
    match sql_state(error) {
        Some(state) => state::meaning(&state),
        None => sqlite::meaning(cause.code()?.parse().ok()?),
    }
}

/// What the driver said.
fn driver(error: &DbErr) -> Option<&SqlxError> {
    let (DbErr::Conn(RuntimeErr::SqlxError(cause))
    | DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return None;
    };
    Some(cause.as_ref())
}

/// PostgreSQL's code behind an error, where there is one.
fn sql_state(error: &DbErr) -> Option<String> {
    let SqlxError::Database(cause) = driver(error)? else {
        return None;
    };
    let cause = cause.try_downcast_ref::<SqlxPostgresError>()?;
    Some(cause.code().to_owned())
}

/// The codes of PostgreSQL that mean something to us, from its manual's appendix A.
mod state {
    use super::Meaning;

    pub(super) const UNIQUE: &str = "23505";
    pub(super) const SERIALIZATION: &str = "40001";
    pub(super) const DEADLOCK: &str = "40P01";
    const READ_ONLY: &str = "25006";
    const NO_RIGHT: &str = "42501";
    const DISK_FULL: &str = "53100";
    const LOCK_TIMEOUT: &str = "55P03";
    const STATEMENT_TIMEOUT: &str = "57014";
    const IDLE_IN_TRANSACTION: &str = "25P03";

    pub(super) fn meaning(code: &str) -> Option<Meaning> {
        match code {
            SERIALIZATION | DEADLOCK | LOCK_TIMEOUT | STATEMENT_TIMEOUT => Some(Meaning::InTheWay),
            DISK_FULL => Some(Meaning::Full),
            READ_ONLY | NO_RIGHT => Some(Meaning::Refused),
            IDLE_IN_TRANSACTION => Some(Meaning::Lost),
            _ => match code.get(..2)? {
                // Too many connections, too little memory.
                "53" => Some(Meaning::InTheWay),
                // The connection; the server stops or starts.
                "08" | "57" => Some(Meaning::Lost),
                // Who we are.
                "28" | "58" => Some(Meaning::Refused),
                "XX" => Some(Meaning::Damaged),
                _ => None,
            },
        }
    }
}

/// The primary result codes of SQLite that mean something to us.
mod sqlite {
    use super::Meaning;

    const PERMISSION: i32 = 3;
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READ_ONLY: i32 = 8;
    const IO: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    const NOT_A_DATABASE: i32 = 26;

    pub(super) fn meaning(extended: i32) -> Option<Meaning> {
        // The extended code holds the primary one in its lowest byte.
        match extended & 0xff {
            BUSY | LOCKED => Some(Meaning::InTheWay),
            FULL => Some(Meaning::Full),
            CORRUPT | NOT_A_DATABASE => Some(Meaning::Damaged),
            PERMISSION | READ_ONLY | IO | CANNOT_OPEN => Some(Meaning::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgresql_says_means_the_same_as_what_sqlite_says() {
        let same = [
            ("57014", 5),
            ("55P03", 6),
            ("53300", 5),
            ("53100", 13),
            ("25006", 8),
            ("XX001", 11),
            ("42601", 1),
        ];

        for (state, code) in same {
            assert_eq!(state::meaning(state), sqlite::meaning(code), "{state}");
        }
    }

    #[test]
    fn a_server_that_went_away_may_be_tried_again_and_a_wrong_statement_may_not() {
        let lost = crate::read::no_answer();
        let wrong = DbErr::Custom("no such table".to_owned());

        assert!(is_transient(&lost) && matches!(StoreError::from(lost), StoreError::Io(_)));
        assert!(!is_transient(&wrong));
        assert_eq!(state::meaning("57P01"), Some(Meaning::Lost));
    }
}
