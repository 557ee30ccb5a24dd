//! A look at a database file that changes nothing, for `guildhall doctor`. A running hall may have it open.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How many faults are told.
const FAULTS: usize = 10;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What is damaged, in SQLite's words; empty: nothing.
    pub faults: Vec<String>,
    /// How many changes of its tables were made, where it keeps a list of them.
    pub changes: Option<u32>,
    /// How large it is, without its log, in bytes.
    pub bytes: u64,
}

/// The file cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read as a database")]
pub struct Unreadable {
    path: String,
    #[source]
    cause: rusqlite::Error,
}

/// Looks at a file: reads every page once, so it takes a while where the file is large.
///
/// # Errors
/// [`Unreadable`] where it is no database, or may not be read.
pub fn inspect(path: &Path) -> Result<Inspection, Unreadable> {
    look(path).map_err(|cause| Unreadable {
        path: path.display().to_string(),
        cause,
    })
}

fn look(path: &Path) -> Result<Inspection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags)?;
    let faults = check(&file)?;
    let has_names = "SELECT count(*) FROM sqlite_schema WHERE name = 'seaql_migrations'";
    let changes = match file.query_row(has_names, (), |row| row.get::<_, u32>(0))? {
        0 => None,
        _ => Some(
            file.query_row("SELECT count(*) FROM seaql_migrations", (), |row| {
                row.get(0)
            })?,
        ),
    };
    let pages: u32 = file.query_row("PRAGMA page_count", (), |row| row.get(0))?;
    let page: u32 = file.query_row("PRAGMA page_size", (), |row| row.get(0))?;
    Ok(Inspection {
        faults,
        changes,
        bytes: u64::from(pages) * u64::from(page),
    })
}

/// What SQLite says of every page. Damage may stop it on the way: then that is the last fault.
fn check(file: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut check = file.prepare(&format!("PRAGMA quick_check({FAULTS})"))?;
    let mut faults = Vec::new();
    for told in check.query_map((), |row| row.get::<_, String>(0))? {
        match told {
            Ok(told) if told == "ok" => {}
            Ok(fault) => faults.push(fault),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                faults.push(error.to_string());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::OpenOptions,
        io::{Seek as _, SeekFrom, Write as _},
    };

    use super::*;

    fn database(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("a.db");
        let file = Connection::open(&path).expect("opens");
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                    INSERT INTO t SELECT i, hex(randomblob(50)) FROM n;";
        file.execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE seaql_migrations (version TEXT); INSERT INTO seaql_migrations VALUES ('a'), ('b');
             CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); {rows}"
        ))
        .expect("fills");
        path
    }

    #[test]
    fn a_sound_file_has_no_faults_and_tells_how_often_it_changed() {
        let folder = tempfile::tempdir().expect("a folder");

        let found = inspect(&database(folder.path())).expect("a database");

        assert_eq!(
            (found.faults.len(), found.changes),
            (0, Some(2)),
            "{found:?}"
        );
        assert!(found.bytes > 100_000);
    }

    #[test]
    fn a_damaged_page_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = database(folder.path());
        let mut file = OpenOptions::new().write(true).open(&path).expect("opens");
        file.seek(SeekFrom::Start(5 * 4096)).expect("seeks");
        file.write_all(&[0xff; 4096]).expect("writes");

        let found = inspect(&path).expect("its first page is sound");

        assert!(!found.faults.is_empty());
    }

    #[test]
    fn a_file_that_is_no_database_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letter.db");
        std::fs::write(&path, "Dear hall, ".repeat(500)).expect("writes");

        let error = inspect(&path).expect_err("no database").to_string();

        assert!(error.contains("letter.db"), "{error}");
    }
}
