//! Opens one SQLite file for an engine that has threads of its own and speaks to SQLite directly.
//!
//! One connection writes, others read. Each setting that durability hangs on stands here, once. As everywhere, the data folder must
//! be locked ([`FolderLock`](crate::FolderLock)): only one process may have the file open.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::sqlite::OLDEST;

/// How long a connection waits for a lock of the file.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a page. Messages are short: more of them share one write.
const PAGE_SIZE: i64 = 8_192;
/// After how many pages in its log SQLite moves them into the file: 32 MB.
const LOG_PAGES: i64 = 4_000;
/// To how many bytes the log is cut when a rush has made it grow.
const LOG_LIMIT: i64 = 64 << 20;
/// How many KiB of pages the writer keeps in memory, and each reader. Beyond that the kernel's cache serves.
const WRITER_CACHE: i64 = 16_384;
const READER_CACHE: i64 = 2_048;
/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 64;

/// The file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineFileError {
    /// The SQLite in this program can damage databases.
    #[error(
        "SQLite {found} is too old: 3.51.3 or newer is needed, older ones can damage a database"
    )]
    OldLibrary {
        /// What is linked in.
        found: &'static str,
    },
    /// The file or its folder cannot be used.
    #[error("{} cannot be used", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file system cannot share memory between connections, or the file is of another kind.
    #[error("{} cannot have a write-ahead log: it may lie on a network file system", path.display())]
    NoLog {
        /// The file.
        path: PathBuf,
    },
    /// What SQLite says.
    #[error("{} cannot be opened", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: rusqlite::Error,
    },
}

/// Where a database is; opens connections to it.
#[derive(Debug, Clone)]
pub struct EngineFile {
    path: PathBuf,
}

impl EngineFile {
    /// The file at `path`; nothing is opened yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the connection that writes, making the file where it is missing. What a commit returned for is on the disk.
    ///
    /// What a killed process wrote but did not sync can be read again, though a power cut would still take it: so all of the log
    /// is moved into the file and synced before anybody sees it.
    ///
    /// # Errors
    /// [`EngineFileError`] says what is in the way.
    pub fn writer(&self) -> Result<Connection, EngineFileError> {
        if rusqlite::version_number() < number(OLDEST) {
            return Err(EngineFileError::OldLibrary {
                found: rusqlite::version(),
            });
        }
        self.make_private()?;
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER_CACHE)?;
        let says = |cause| self.says(cause);
        // Only heard while the file is empty.
        connection
            .pragma_update(None, "page_size", PAGE_SIZE)
            .map_err(says)?;
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(says)?;
        if mode != "wal" {
            return Err(EngineFileError::NoLog {
                path: self.path.clone(),
            });
        }
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(says)?;
        connection
            .pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
            .map_err(says)?;
        connection
            .pragma_update(None, "journal_size_limit", LOG_LIMIT)
            .map_err(says)?;
        empty_log(&connection).map_err(says)?;
        self.sync_folder()?;
        Ok(connection)
    }

    /// Opens a connection that reads and cannot write. The writer must have been opened before.
    ///
    /// # Errors
    /// [`EngineFileError`] says what is in the way.
    pub fn reader(&self) -> Result<Connection, EngineFileError> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY, READER_CACHE)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(|cause| self.says(cause))?;
        Ok(connection)
    }

    fn connect(&self, access: OpenFlags, cache: i64) -> Result<Connection, EngineFileError> {
        let says = |cause| self.says(cause);
        // Each connection stays on one thread at a time, so SQLite's own mutexes would only cost.
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(says)?;
        connection.busy_timeout(PATIENCE).map_err(says)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection
            .pragma_update(None, "cache_size", -cache)
            .map_err(says)?;
        connection
            .pragma_update(None, "trusted_schema", false)
            .map_err(says)?;
        Ok(connection)
    }

    /// Makes the file before SQLite does, readable by its owner only; the files beside it inherit that.
    fn make_private(&self) -> Result<(), EngineFileError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options
            .open(&self.path)
            .map(drop)
            .map_err(|cause| self.folder(cause))
    }

    /// Makes the file's own name survive a power cut.
    fn sync_folder(&self) -> Result<(), EngineFileError> {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|cause| self.folder(cause))
    }

    fn folder(&self, cause: io::Error) -> EngineFileError {
        EngineFileError::Folder {
            path: self.path.clone(),
            cause,
        }
    }

    fn says(&self, cause: rusqlite::Error) -> EngineFileError {
        EngineFileError::Sqlite {
            path: self.path.clone(),
            cause,
        }
    }
}

/// Moves the whole log into the file, syncs it and leaves the log empty.
fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(code, None));
    }
    Ok(())
}

/// A version as SQLite counts: 3.51.3 is 3051003.
fn number((major, minor, patch): (u32, u32, u32)) -> i32 {
    i32::try_from(major * 1_000_000 + minor * 1_000 + patch).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> T {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .expect("a value")
    }

    #[test]
    fn the_writer_syncs_every_commit_and_its_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let file = EngineFile::at(folder.path().join("timeline.db"));

        let writer = file.writer().expect("opens");
        writer.execute_batch("CREATE TABLE t (n)").expect("writes");

        assert_eq!(pragma::<String>(&writer, "journal_mode"), "wal");
        assert_eq!(pragma::<i64>(&writer, "synchronous"), 2);
        assert_eq!(pragma::<i64>(&writer, "page_size"), PAGE_SIZE);
        assert_eq!(pragma::<i64>(&writer, "wal_autocheckpoint"), LOG_PAGES);
        assert_eq!(pragma::<i64>(&writer, "mmap_size"), 0);
        let mode = |end: &str| {
            let path = folder.path().join(format!("timeline.db{end}"));
            std::fs::metadata(path)
                .expect("is there")
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(["", "-wal", "-shm"].map(mode), [0o600; 3]);
    }

    #[test]
    fn a_reader_sees_what_was_written_and_cannot_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = EngineFile::at(folder.path().join("timeline.db"));
        let writer = file.writer().expect("opens");
        writer
            .execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (7)")
            .expect("writes");

        let reader = file.reader().expect("opens");

        let seen: i64 = reader
            .query_row("SELECT n FROM t", [], |row| row.get(0))
            .expect("a row");
        assert_eq!(seen, 7);
        assert!(reader.execute_batch("INSERT INTO t VALUES (8)").is_err());
    }

    #[test]
    fn opening_again_leaves_nothing_in_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = EngineFile::at(folder.path().join("timeline.db"));
        let log = || {
            std::fs::metadata(folder.path().join("timeline.db-wal"))
                .expect("is there")
                .len()
        };
        let first = file.writer().expect("opens");
        first.execute_batch("CREATE TABLE t (n)").expect("writes");
        assert_ne!(log(), 0);

        let _second = file.writer().expect("opens");

        assert_eq!(log(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let error = EngineFile::at("/proc/none/timeline.db")
            .writer()
            .expect_err("not there");

        assert!(
            error.to_string().contains("/proc/none/timeline.db"),
            "{error}"
        );
    }
}
