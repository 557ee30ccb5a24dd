//! The file in which `./dev infra up` tells where the servers are.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::PATIENCE;

/// What `./dev infra up` wrote down: keys and values, one a line.
#[derive(Debug)]
pub(super) struct Addresses {
    file: PathBuf,
    values: BTreeMap<String, String>,
}

impl Addresses {
    /// Reads the file that `GUILDHALL_INFRA` points to.
    pub(super) fn read() -> Result<Self, Missing> {
        let named = std::env::var_os("GUILDHALL_INFRA").filter(|named| !named.is_empty());
        let folder = named.unwrap_or_else(|| "target/infra".into());
        // `cargo test` runs tests in the folder of their crate; a relative name counts from the repository all the same.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let root = root.expect("this crate is two folders below the repository");
        Self::read_from(&root.join(folder).join("env"))
    }

    fn read_from(file: &Path) -> Result<Self, Missing> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(file, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Missing::NotUp(file.to_owned()))
            }
            Err(error) => Err(Missing::Unreadable(file.to_owned(), error)),
        }
    }

    /// Reads `KEY=value` lines; empty ones and those that begin with `#` are passed over.
    fn parse(file: &Path, text: &str) -> Result<Self, Missing> {
        let mut values = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| Missing::Garbled(file.to_owned(), number))?;
            values.insert(key.to_owned(), value.to_owned());
        }
        Ok(Self {
            file: file.to_owned(),
            values,
        })
    }

    /// The value under `key`; where there is none, the reason that stands beside it.
    pub(super) fn take(&self, key: &'static str) -> Result<String, Missing> {
        if let Some(value) = self.values.get(key) {
            return Ok(value.clone());
        }
        let server = key.split('_').next().unwrap_or(key);
        Err(match self.values.get(&format!("{server}_MISSING")) {
            Some(why) => Missing::NotStarted(why.clone()),
            None => Missing::NotThere(self.file.clone(), key),
        })
    }
}

/// Why there is no server for a test.
#[derive(Debug, thiserror::Error)]
pub(super) enum Missing {
    #[error("no servers for tests are up (no {}); ./dev infra up starts them", .0.display())]
    NotUp(PathBuf),
    #[error("{}: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    #[error("{}, line {}: not KEY=value", .0.display(), .1)]
    Garbled(PathBuf, u32),
    #[error("{} has no {}", .0.display(), .1)]
    NotThere(PathBuf, &'static str),
    #[error("./dev infra up could not start it: {0}")]
    NotStarted(String),
    #[error("{0} is {1:?}, which has no HOST:PORT")]
    NoAddress(&'static str, String),
    #[error("{0} refuses connections ({1}); ./dev infra status tells more")]
    Refused(String, io::Error),
    #[error("{0} accepts no connection within {seconds} s; ./dev infra status tells more", seconds = PATIENCE.as_secs())]
    Silent(String),
}

/// `HOST:PORT` of a URL, without user and database.
pub(super) fn address_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let address = authority
        .rsplit_once('@')
        .map_or(authority, |(_, address)| address);
    let (host, port) = address.rsplit_once(':')?;
    (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_line_by_line_past_comments() {
        let text = "# written by hand\n\nNATS_URL=nats://127.0.0.1:4222\n  CQL_NODES=a:1,b:2\n";

        let addresses = parsed(text);

        assert_eq!(addresses.take("NATS_URL").unwrap(), "nats://127.0.0.1:4222");
        assert_eq!(addresses.take("CQL_NODES").unwrap(), "a:1,b:2");
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        let addresses = parsed("POSTGRES_URL=postgres://u:p@h:5432/d?sslmode=disable\n");

        assert_eq!(
            addresses.take("POSTGRES_URL").unwrap(),
            "postgres://u:p@h:5432/d?sslmode=disable"
        );
    }

    #[test]
    fn a_line_that_is_no_pair_is_refused_by_its_number() {
        let refusal = Addresses::parse(Path::new("infra/env"), "A=1\nnonsense\n").unwrap_err();

        assert_eq!(refusal.to_string(), "infra/env, line 2: not KEY=value");
    }

    #[test]
    fn a_server_that_is_not_in_the_file_is_told_by_its_key() {
        let refusal = parsed("NATS_URL=nats://h:1\n")
            .take("POSTGRES_URL")
            .unwrap_err();

        assert_eq!(refusal.to_string(), "infra/env has no POSTGRES_URL");
    }

    #[test]
    fn a_server_that_could_not_be_started_is_told_with_the_reason() {
        let refusal = parsed("CQL_MISSING=no Java 17\n")
            .take("CQL_NODES")
            .unwrap_err();

        assert_eq!(
            refusal.to_string(),
            "./dev infra up could not start it: no Java 17"
        );
    }

    #[test]
    fn a_folder_without_servers_tells_how_to_start_them() {
        let folder = tempfile::tempdir().unwrap();

        let refusal = Addresses::read_from(&folder.path().join("env")).unwrap_err();

        let said = refusal.to_string();
        assert!(said.starts_with("no servers for tests are up"), "{said}");
        assert!(said.ends_with("./dev infra up starts them"), "{said}");
    }

    #[test]
    fn the_address_of_a_url_has_neither_user_nor_database() {
        for (url, address) in [
            ("nats://127.0.0.1:4222", Some("127.0.0.1:4222")),
            ("postgres://u:p@10.0.0.1:5432/d?a=b", Some("10.0.0.1:5432")),
            ("postgres://u:p@[::1]:5432/d", Some("[::1]:5432")),
            ("nats://127.0.0.1", None),
            ("nats://:4222", None),
            ("127.0.0.1:4222", None),
        ] {
            assert_eq!(address_of(url), address, "{url}");
        }
    }

    fn parsed(text: &str) -> Addresses {
        Addresses::parse(Path::new("infra/env"), text).unwrap()
    }
}
