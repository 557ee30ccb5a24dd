//! Which server, and whether it will do.

use std::{fmt, str::FromStr as _};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, Statement,
    sqlx::{ConnectOptions as _, postgres::PgConnectOptions},
};

use super::{Access, Schema};
use crate::StoreError;

/// Older ones were never tried.
const OLDEST: i32 = 150_000;
/// What a schema may be called: it stands in statements. PostgreSQL cuts names longer than 63 bytes.
const LONGEST: usize = 63;

/// A database of a PostgreSQL server, and how to get there. Its text form holds no password.
#[derive(Clone)]
pub struct Server {
    // Large, and stands in enums beside a path.
    options: Box<PgConnectOptions>,
    connections: u32,
}

/// The text does not name a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadServer(String);

impl Server {
    /// Takes a URL (`postgres://user@host:5432/database?sslmode=verify-full`), a password that does not stand in it, and how many
    /// connections each service may have that write, and as many that read.
    ///
    /// # Errors
    /// [`BadServer`] says what is wrong with the URL, without quoting it.
    pub fn parse(url: &str, password: Option<&str>, connections: u32) -> Result<Self, BadServer> {
        let bad = |wrong: &str| BadServer(wrong.to_owned());
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(bad("is no postgres:// URL"));
        }
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            bad("cannot be read; it should look like postgres://user@host:5432/database")
        })?;
        if options.get_database().is_none() {
            return Err(bad(
                "names no database; it should look like postgres://user@host:5432/database",
            ));
        }
        let options = options
            .application_name("guildhall")
            .disable_statement_logging();
        let options = match password {
            Some(password) => options.password(password),
            None => options,
        };
        Ok(Self {
            options: Box::new(options),
            connections: connections.max(1),
        })
    }

    /// A schema of the database.
    ///
    /// # Errors
    /// [`BadServer`] where it cannot be called so.
    pub fn schema(&self, name: &str) -> Result<Schema, BadServer> {
        let fits = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !fits || !begins || name.len() > LONGEST || name.starts_with("pg_") {
            return Err(BadServer(format!(
                "no schema can be called {name:?}: a letter, then lower-case letters, digits and underscores"
            )));
        }
        Ok(Schema::of(self.clone(), name))
    }

    /// How the server is, for people who look after it.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; what the questions met.
    pub async fn ask(&self) -> Result<Condition, StoreError> {
        let schema = Schema::of(self.clone(), "public");
        let connection = schema.reach(Access::Read).await?;
        let condition = condition(&connection).await;
        let _ = connection.close().await;
        condition
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        (*self.options).clone()
    }

    pub(super) fn connections(&self) -> u32 {
        self.connections
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        if let Some(socket) = self.options.get_socket() {
            return write!(f, "PostgreSQL at {}/{database}", socket.display());
        }
        let (host, port) = (self.options.get_host(), self.options.get_port());
        write!(f, "PostgreSQL at {host}:{port}/{database}")
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its version, as it tells it.
    pub version: String,
    number: i32,
    encoding: String,
    is_standby: bool,
    /// The settings that keep what was acknowledged over a power cut and that are off, by name.
    pub unsafe_settings: Vec<String>,
    /// How many connections it takes in all.
    pub connections: u32,
}

impl Condition {
    /// Why the server cannot be used, and what would be right; `None` where it can.
    pub fn wrong(&self) -> Option<String> {
        let Self {
            version,
            number,
            encoding,
            is_standby,
            ..
        } = self;
        if *number < OLDEST {
            return Some(format!(
                "it is version {version}, and {} or newer is needed",
                OLDEST / 10_000
            ));
        }
        if encoding != "UTF8" {
            return Some(format!(
                "the database is encoded as {encoding}; make one with ENCODING 'UTF8'"
            ));
        }
        is_standby.then(|| "it is a standby, which takes no writes; name the primary".to_owned())
    }
}

/// Asks a server how it is.
pub(super) async fn condition(on: &DatabaseConnection) -> Result<Condition, StoreError> {
    let ask = "SELECT current_setting('server_version') AS version,
            current_setting('server_version_num')::int AS number,
            current_setting('server_encoding') AS encoding,
            pg_is_in_recovery() AS is_standby,
            current_setting('fsync')::bool AS fsync,
            current_setting('full_page_writes')::bool AS full_page_writes,
            current_setting('max_connections')::int AS connections";
    let row = on
        .query_one_raw(Statement::from_string(on.get_database_backend(), ask))
        .await?;
    let row =
        row.ok_or_else(|| sea_orm::DbErr::RecordNotFound("the server's settings".to_owned()))?;
    let mut unsafe_settings = Vec::new();
    for name in ["fsync", "full_page_writes"] {
        if !row.try_get::<bool>("", name)? {
            unsafe_settings.push(name.to_owned());
        }
    }
    Ok(Condition {
        version: row.try_get("", "version")?,
        number: row.try_get("", "number")?,
        encoding: row.try_get("", "encoding")?,
        is_standby: row.try_get("", "is_standby")?,
        unsafe_settings,
        connections: u32::try_from(row.try_get::<i32>("", "connections")?).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition() -> Condition {
        Condition {
            version: "15.4".into(),
            number: 150_004,
            encoding: "UTF8".into(),
            is_standby: false,
            unsafe_settings: Vec::new(),
            connections: 100,
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = "postgres://ann:s3cret@db.example.org:6432/hall";
        let server = Server::parse(url, None, 4).expect("a URL");
        let schema = server.schema("guildhall_auth").expect("a name");

        let shown = format!("{server} {server:?} {schema:?}");

        assert!(shown.contains("db.example.org:6432/hall"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused_without_being_quoted() {
        for url in ["mysql://a:s3cret@b/c", "postgres://:s3cret@[/", "hall"] {
            let refused = Server::parse(url, None, 4).expect_err(url).to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn a_schema_has_a_name_that_needs_no_quotes() {
        let server = Server::parse("postgres://ann@localhost/hall", None, 4).expect("a URL");

        for name in ["", "1a", "Hall", "a-b", "a\"b", "pg_hall", &"a".repeat(64)] {
            assert!(server.schema(name).is_err(), "{name}");
        }
        assert!(server.schema("guildhall_auth").is_ok());
    }

    #[test]
    fn an_old_or_odd_server_is_told_apart() {
        let fine = condition();
        let old = Condition {
            number: 140_010,
            ..condition()
        };
        let latin = Condition {
            encoding: "LATIN1".into(),
            ..condition()
        };
        let standby = Condition {
            is_standby: true,
            ..condition()
        };

        assert_eq!(fine.wrong(), None);
        for (bad, word) in [(old, "15 or newer"), (latin, "UTF8"), (standby, "standby")] {
            let wrong = bad.wrong().expect("wrong");
            assert!(wrong.contains(word), "{wrong}");
        }
    }
}
