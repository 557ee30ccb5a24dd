//! What a failure of a database means to whoever wanted something of it.

use std::path::PathBuf;

use guildhall_kernel::{Failure, Kind};
use sea_orm::{DbErr, RuntimeErr, SqlErr, SqlxError};

/// A database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many wait for the writer or a reader, or somebody holds the file. Nothing was changed.
    #[error("the database is busy")]
    Busy,
    /// The disk is full. Nothing was changed.
    #[error("the disk is full")]
    Full(#[source] DbErr),
    /// The commit failed or its answer was lost: the change was made whole or not at all.
    #[error("the commit failed; whether the change was made is unknown")]
    OutcomeUnknown(#[source] DbErr),
    /// The file is no database, or a damaged one.
    #[error("the database is damaged")]
    Damaged(#[source] DbErr),
    /// The file cannot be read or written: permissions, a read-only or a failing disk. Nothing was changed.
    #[error("the database cannot be read or written")]
    Io(#[source] DbErr),
    /// A value that must be unique is taken. Nothing was changed.
    #[error("a unique value is taken")]
    Taken(#[source] DbErr),
    /// A newer version of the program has changed the tables.
    #[error(
        "{} was written by a newer version of Guildhall (it has the change {change}, which this version does not know): start that version, or restore a backup made before the upgrade",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The first unknown change of its tables.
        change: String,
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
        match sqlite_code(&error) {
            Some(BUSY | LOCKED) => Self::Busy,
            Some(FULL) => Self::Full(error),
            Some(CORRUPT | NOT_A_DATABASE) => Self::Damaged(error),
            Some(PERMISSION | READ_ONLY | IO | CANNOT_OPEN) => Self::Io(error),
            _ => Self::Statement(error),
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
            | Self::Locked { .. } => Kind::Unavailable,
            Self::Taken(_) => Kind::Exists,
            Self::Newer { .. }
            | Self::OldLibrary { .. }
            | Self::Folder { .. }
            | Self::Statement(_) => Kind::Internal,
        }
    }
}

const PERMISSION: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const IO: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;

/// SQLite's primary result code behind an error, where there is one.
fn sqlite_code(error: &DbErr) -> Option<i32> {
    let (DbErr::Conn(RuntimeErr::SqlxError(cause))
    | DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return None;
    };
    let SqlxError::Database(cause) = cause.as_ref() else {
        return None;
    };
    // The extended code holds the primary one in its lowest byte.
    Some(cause.code()?.parse::<i32>().ok()? & 0xff)
}
