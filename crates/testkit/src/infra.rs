//! Servers for the tests that are about them: PostgreSQL, Cassandra and NATS.
//!
//! `./dev infra up` starts them and writes their addresses into `env`, a file of the folder that `GUILDHALL_INFRA` names (without it
//! `target/infra` of this repository). From there a test takes the server that it needs, and a name that no other test has:
//!
//! ```no_run
//! # async fn a_test() {
//! use guildhall_testkit::infra;
//!
//! let Some(server) = infra::nats().await else { return };
//! let prefix = infra::fresh("bus");
//! # }
//! ```
//!
//! Where there is no such server the test says on stderr, past the capture of its output, what it skipped and why, and returns. With
//! `GUILDHALL_INFRA_REQUIRED=1` that is a panic instead: continuous integration skips nothing without knowing.
//!
//! Nothing here speaks to a server beyond opening a connection: the drivers stay in the crates that use them.
//!
//! In reading order: the three servers and [`fresh`]; what is said where one is missing; then `addresses`, the file.

mod addresses;

use std::{
    io::{self, Write},
    time::Duration,
};

use addresses::{Addresses, Missing, address_of};
use tokio::{net::TcpStream, time::timeout};
use uuid::Uuid;

/// A PostgreSQL server, 15 or newer, that syncs what it acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; its user may make schemas and databases.
    pub url: String,
}

/// A Cassandra cluster (or ScyllaDB's) that syncs what it acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cassandra {
    /// `HOST:PORT` of every node. A keyspace can have as many replicas as there are nodes.
    pub nodes: Vec<String>,
    /// The name of its one datacenter.
    pub datacenter: String,
}

/// A NATS server with JetStream that syncs what it acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nats {
    /// `nats://HOST:PORT`.
    pub url: String,
}

/// The PostgreSQL server for tests, or `None` where the test has to be skipped, which was said then.
pub async fn postgres() -> Option<Postgres> {
    let url = found("PostgreSQL", "POSTGRES", one("POSTGRES_URL").await)?;
    Some(Postgres { url })
}

/// The Cassandra cluster for tests, or `None` where the test has to be skipped, which was said then.
pub async fn cassandra() -> Option<Cassandra> {
    found("Cassandra", "CQL", cluster().await)
}

/// The NATS server for tests, or `None` where the test has to be skipped, which was said then.
pub async fn nats() -> Option<Nats> {
    let url = found("NATS", "NATS", one("NATS_URL").await)?;
    Some(Nats { url })
}

/// A name that no other test has, on no run: `what`, an underscore and twelve hexadecimal digits.
///
/// Lower case, so that it can stand for a schema, a keyspace or the first part of a stream's name without quotes. Keep `what` to at most
/// 35 letters: a keyspace has at most 48.
pub fn fresh(what: &str) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server outlives the test: a counted name would be there already"
    )]
    let random = Uuid::now_v7().simple().to_string();
    format!("{what}_{}", &random[random.len() - 12..])
}

/// How long a server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// The URL under `key`, if the server there accepts connections.
async fn one(key: &'static str) -> Result<String, Missing> {
    let url = Addresses::read()?.take(key)?;
    let address = address_of(&url).ok_or_else(|| Missing::NoAddress(key, url.clone()))?;
    accepts(address).await?;
    Ok(url)
}

/// The cluster, if one of its nodes accepts connections: a test may be about the others being away.
async fn cluster() -> Result<Cassandra, Missing> {
    let addresses = Addresses::read()?;
    let nodes: Vec<String> = addresses
        .take("CQL_NODES")?
        .split(',')
        .map(str::to_owned)
        .collect();
    let datacenter = addresses.take("CQL_DATACENTER")?;

    let mut refusal = None;
    for node in &nodes {
        match accepts(node).await {
            Ok(()) => return Ok(Cassandra { nodes, datacenter }),
            Err(missing) => refusal = Some(missing),
        }
    }
    Err(refusal.expect("splitting gives at least one part, and none accepted"))
}

async fn accepts(address: &str) -> Result<(), Missing> {
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Missing::Refused(address.to_owned(), error)),
        Err(_) => Err(Missing::Silent(address.to_owned())),
    }
}

/// The server, or what its absence comes to: a panic where servers are required, else a line on stderr.
fn found<S>(server: &str, key: &str, answer: Result<S, Missing>) -> Option<S> {
    let required = std::env::var("GUILDHALL_INFRA_REQUIRED").unwrap_or_default();
    let answer = answer.map_err(|missing| absence(server, &missing, required_of(&required, key)));
    answer.map_err(|line| say(&line)).ok()
}

/// Whether `value` of `GUILDHALL_INFRA_REQUIRED` asks for the server: `1` asks for all of them, `NATS,CQL` for these.
fn required_of(value: &str, key: &str) -> bool {
    value == "1" || value.split(',').any(|asked| asked.trim() == key)
}

/// What to say of a missing server.
///
/// # Panics
///
/// Where it is required.
fn absence(server: &str, missing: &Missing, required: bool) -> String {
    assert!(
        !required,
        "no {server}: {missing} (GUILDHALL_INFRA_REQUIRED asks for it)"
    );
    skipped(std::thread::current().name(), server, missing)
}

/// `./dev test` counts lines that begin so.
fn skipped(test: Option<&str>, server: &str, missing: &Missing) -> String {
    format!(
        "SKIPPED {}: no {server}: {missing}\n",
        test.unwrap_or("a test")
    )
}

/// Writes to stderr itself: what goes through `eprintln!` is shown only of tests that fail.
fn say(line: &str) {
    let mut stderr = io::stderr().lock();
    // A line that cannot be said is no reason to fail a test.
    let _unsaid = stderr.write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn all_servers_are_required_or_those_that_are_named() {
        assert!(required_of("1", "NATS"));
        assert!(required_of("CQL, NATS", "NATS"));
        assert!(!required_of("CQL", "NATS"));
        assert!(!required_of("", "NATS"));
        assert!(!required_of("0", "NATS"));
    }

    #[test]
    fn a_skip_names_the_test_the_server_and_the_reason() {
        let missing = Missing::NotStarted("no Go".to_owned());

        assert_eq!(
            skipped(Some("bus::a_note_arrives"), "NATS", &missing),
            "SKIPPED bus::a_note_arrives: no NATS: ./dev infra up could not start it: no Go\n"
        );
    }

    #[test]
    fn a_missing_server_that_is_not_required_is_said_by_the_name_of_the_test() {
        let missing = Missing::NotStarted("no Go".to_owned());

        let said = absence("NATS", &missing, false);

        assert!(
            said.starts_with("SKIPPED infra::tests::a_missing_server_that_is_not"),
            "{said}"
        );
    }

    #[test]
    #[should_panic(
        expected = "no NATS: ./dev infra up could not start it: no Go (GUILDHALL_INFRA_REQUIRED asks for it)"
    )]
    fn a_missing_server_that_is_required_is_a_panic() {
        let missing = Missing::NotStarted("no Go".to_owned());

        absence("NATS", &missing, true);
    }

    #[tokio::test]
    async fn a_server_that_went_away_is_told_by_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        accepts(&address).await.unwrap();
        drop(listener);

        let refusal = accepts(&address).await.unwrap_err();

        let said = refusal.to_string();
        assert!(
            said.starts_with(&format!("{address} refuses connections (")),
            "{said}"
        );
    }

    #[tokio::test]
    async fn servers_that_are_up_are_found() {
        if let Some(server) = postgres().await {
            assert!(server.url.starts_with("postgres://"), "{server:?}");
        }
        if let Some(server) = nats().await {
            assert!(server.url.starts_with("nats://"), "{server:?}");
        }
        if let Some(server) = cassandra().await {
            assert!(!server.datacenter.is_empty(), "{server:?}");
            assert!(
                server.nodes.iter().all(|node| node.contains(':')),
                "{server:?}"
            );
        }
    }

    #[test]
    fn fresh_names_differ_and_fit_everywhere() {
        let (one, other) = (fresh("chat"), fresh("chat"));

        assert_ne!(one, other);
        assert_eq!(one.len(), "chat_".len() + 12);
        assert!(
            one.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
    }
}
