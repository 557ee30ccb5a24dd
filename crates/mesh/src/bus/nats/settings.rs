//! Where the servers are, and how this process makes itself known to them.

use std::{path::Path, str::FromStr as _, time::Duration};

use async_nats::{ConnectOptions, ServerAddr};

use super::NatsFault;
use crate::config::BadSettings;

/// How often the server is asked whether it lives; the third silence in a row ends the connection.
const PING: Duration = Duration::from_secs(2);
/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// The first and the longest wait before connecting again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How many messages of one subscription wait to be looked at. Far more than a burst: where they are full every listener has lost.
const UNSEEN: usize = 8_192;

crate::settings! {
    /// How events travel between processes.
    pub struct NatsSettings {
        /// The servers of one NATS cluster, as "nats://host:4222" or "tls://host:4222"; empty: everything runs in this process.
        pub servers: Vec<String> = Vec::new(),
        /// Begins the names of our streams and subjects, so that several halls can share a cluster: letters, digits, "-" and "_".
        pub namespace: String = String::new(),
        /// On how many servers each event is kept: 1, 3 or 5.
        pub replicas: usize = 3,
        /// How long an event may take to be acknowledged, in seconds.
        pub send_seconds: u64 = 5,
        /// The file with the credentials that NATS gave out ("nsc generate creds"), instead of a user.
        pub credentials_file: String = String::new(),
        /// The user, together with a password file.
        pub user: String = String::new(),
        /// The file with the password of the user.
        pub password_file: String = String::new(),
        /// The file with the certificate authorities to trust, in PEM; empty: those of the system. Asks for TLS.
        pub ca_file: String = String::new(),
        /// The file with our certificate, in PEM, together with a key file. Asks for TLS.
        pub certificate_file: String = String::new(),
        /// The file with the key of our certificate, in PEM.
        pub key_file: String = String::new(),
        /// Whether a server older than 2.12 will do. It may lose what it acknowledged: for tests only.
        pub allow_old_server: bool = false,
    }
}

impl NatsSettings {
    /// Whether events stay inside the process.
    pub fn is_local(&self) -> bool {
        self.servers.is_empty()
    }

    /// Holds the settings against each other.
    ///
    /// # Errors
    /// [`BadSettings`] naming the first that contradicts another or cannot be.
    pub fn check(&self) -> Result<(), BadSettings> {
        if self.is_local() {
            let needless = self
                .files()
                .into_iter()
                .find(|(_, value)| !value.is_empty());
            return match needless {
                Some((key, _)) => Err(bad(
                    key,
                    "is set, but nats.servers is empty: name the servers or remove it",
                )),
                None => Ok(()),
            };
        }
        for server in &self.servers {
            check_server(server)?;
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !self.namespace.bytes().all(plain) {
            return Err(bad(
                "namespace",
                "only letters, digits, \"-\" and \"_\" can stand there",
            ));
        }
        if ![1, 3, 5].contains(&self.replicas) {
            return Err(bad("replicas", "1, 3 or 5 is wanted"));
        }
        if self.send_seconds == 0 {
            return Err(bad("send_seconds", "at least 1 is wanted"));
        }
        if !self.credentials_file.is_empty() && !self.user.is_empty() {
            return Err(bad(
                "user",
                "nats.credentials_file says who we are already: remove one of them",
            ));
        }
        together(("user", &self.user), ("password_file", &self.password_file))?;
        together(
            ("certificate_file", &self.certificate_file),
            ("key_file", &self.key_file),
        )
    }

    fn files(&self) -> [(&'static str, &str); 7] {
        [
            ("namespace", &self.namespace),
            ("credentials_file", &self.credentials_file),
            ("user", &self.user),
            ("password_file", &self.password_file),
            ("ca_file", &self.ca_file),
            ("certificate_file", &self.certificate_file),
            ("key_file", &self.key_file),
        ]
    }

    /// How to connect: for ever again, with short waits.
    pub(super) async fn options(&self) -> Result<ConnectOptions, NatsFault> {
        let mut options = ConnectOptions::new()
            .name("guildhall")
            .ping_interval(PING)
            .connection_timeout(CONNECT)
            .request_timeout(Some(self.patience()))
            .subscription_capacity(UNSEEN)
            .reconnect_delay_callback(wait_before)
            .retry_on_initial_connect();
        if !self.credentials_file.is_empty() {
            let text = read("credentials_file", &self.credentials_file).await?;
            options = options.credentials(&text).map_err(|error| {
                bad(
                    "credentials_file",
                    format!("{} {error}", self.credentials_file),
                )
            })?;
        }
        if !self.user.is_empty() {
            let password = read("password_file", &self.password_file).await?;
            options = options.user_and_password(self.user.clone(), password.trim_end().to_owned());
        }
        if !self.ca_file.is_empty() {
            read("ca_file", &self.ca_file).await?;
            options = options
                .add_root_certificates(self.ca_file.clone().into())
                .require_tls(true);
        }
        if !self.certificate_file.is_empty() {
            read("certificate_file", &self.certificate_file).await?;
            read("key_file", &self.key_file).await?;
            let (certificate, key) = (self.certificate_file.clone(), self.key_file.clone());
            options = options
                .add_client_certificate(certificate.into(), key.into())
                .require_tls(true);
        }
        Ok(options)
    }

    /// How long one request may take.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.send_seconds)
    }
}

fn check_server(server: &str) -> Result<(), BadSettings> {
    let address = ServerAddr::from_str(server).map_err(|error| {
        bad(
            "servers",
            format!("{server:?} is no address of a server: {error}"),
        )
    })?;
    if address.has_user_pass() {
        let host = address.host();
        return Err(bad(
            "servers",
            format!("a password stands in the address of {host}: use nats.password_file"),
        ));
    }
    if !["nats", "tls"].contains(&address.scheme()) || address.host().is_empty() {
        let wrong =
            format!("{server:?} is no address of a server: nats://HOST:PORT or tls://HOST:PORT");
        return Err(bad("servers", wrong));
    }
    Ok(())
}

fn together(one: (&str, &str), other: (&str, &str)) -> Result<(), BadSettings> {
    match (one.1.is_empty(), other.1.is_empty()) {
        (false, true) => Err(bad(
            other.0,
            format!("is wanted together with nats.{}", one.0),
        )),
        (true, false) => Err(bad(
            one.0,
            format!("is wanted together with nats.{}", other.0),
        )),
        (true, true) | (false, false) => Ok(()),
    }
}

/// Reads a file that a setting names, so that a missing one is told at start.
async fn read(key: &str, file: &str) -> Result<String, NatsFault> {
    let text = tokio::fs::read_to_string(Path::new(file)).await;
    Ok(text.map_err(|error| bad(key, format!("{file} cannot be read: {error}")))?)
}

fn bad(key: &str, wrong: impl std::fmt::Display) -> BadSettings {
    BadSettings::new(&format!("nats.{key}"), wrong)
}

fn wait_before(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(8);
    (AGAIN.0 * 2_u32.pow(doublings)).min(AGAIN.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> NatsSettings {
        NatsSettings {
            servers: vec!["nats://127.0.0.1:4222".into()],
            ..NatsSettings::default()
        }
    }

    #[test]
    fn nothing_said_is_one_process() {
        assert!(NatsSettings::default().is_local());
        assert!(NatsSettings::default().check().is_ok());
        assert!(cluster().check().is_ok());
    }

    #[test]
    fn a_setting_that_contradicts_another_is_refused_by_name() {
        let word = || "x".to_owned();
        for (name, settings) in [
            (
                "nats.namespace",
                NatsSettings {
                    namespace: word(),
                    ..NatsSettings::default()
                },
            ),
            (
                "nats.ca_file",
                NatsSettings {
                    ca_file: word(),
                    ..NatsSettings::default()
                },
            ),
            (
                "nats.namespace",
                NatsSettings {
                    namespace: "a.b".into(),
                    ..cluster()
                },
            ),
            (
                "nats.replicas",
                NatsSettings {
                    replicas: 2,
                    ..cluster()
                },
            ),
            (
                "nats.send_seconds",
                NatsSettings {
                    send_seconds: 0,
                    ..cluster()
                },
            ),
            (
                "nats.password_file",
                NatsSettings {
                    user: word(),
                    ..cluster()
                },
            ),
            (
                "nats.user",
                NatsSettings {
                    password_file: word(),
                    ..cluster()
                },
            ),
            (
                "nats.user",
                NatsSettings {
                    user: word(),
                    credentials_file: word(),
                    ..cluster()
                },
            ),
            (
                "nats.key_file",
                NatsSettings {
                    certificate_file: word(),
                    ..cluster()
                },
            ),
            (
                "nats.certificate_file",
                NatsSettings {
                    key_file: word(),
                    ..cluster()
                },
            ),
        ] {
            let refusal = settings.check().expect_err("refused").to_string();

            assert!(
                refusal.starts_with(&format!("setting {name}: ")),
                "{name}: {refusal}"
            );
        }
    }

    #[test]
    fn what_is_no_address_or_holds_a_password_is_refused_without_repeating_it() {
        for server in ["nats://", "ws://h:1", "http://h:1", "nats://me:secret@h:1"] {
            let servers = vec![server.to_owned()];

            let refusal = NatsSettings {
                servers,
                ..cluster()
            }
            .check();

            let refusal = refusal.expect_err(server).to_string();
            assert!(refusal.starts_with("setting nats.servers: "), "{refusal}");
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_told_by_the_setting_that_names_it() {
        let settings = NatsSettings {
            credentials_file: "/nowhere/at.all".into(),
            ..cluster()
        };

        let refusal = settings.options().await.expect_err("refused").to_string();

        assert!(
            refusal.contains("nats.credentials_file: /nowhere/at.all cannot be read"),
            "{refusal}"
        );
    }

    #[test]
    fn the_waits_before_connecting_again_grow_to_a_second() {
        assert_eq!(wait_before(1), Duration::from_millis(50));
        assert_eq!(wait_before(2), Duration::from_millis(100));
        assert_eq!(wait_before(100), Duration::from_secs(1));
    }
}
