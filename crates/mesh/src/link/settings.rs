//! Where the other processes are, and who this one is to them.

use std::net::SocketAddr;

use crate::config::BadSettings;

crate::settings! {
    /// How the services of several processes call each other.
    pub struct LinkSettings {
        /// Address and port at which other processes reach the services of this one, as in "0.0.0.0:50051"; empty: nobody does.
        pub listen: String = String::new(),
        /// Where the auth processes are, as "host:port"; several with commas between. A name stands for every address behind it.
        pub auth: String = String::new(),
        /// Where the chat processes are, in the same way.
        pub chat: String = String::new(),
        /// The authority that signed the certificates of all processes (PEM). `guildhall certs` makes one.
        pub ca_file: String = String::new(),
        /// The certificate of this process, with its chain (PEM). It names the services that the process is, as
        /// spiffe://guildhall/chat.
        pub certificate_file: String = String::new(),
        /// The key of the certificate (PEM).
        pub key_file: String = String::new(),
        /// How often the names are looked up again, in seconds.
        pub resolve_seconds: u64 = 5,
        /// How many calls of other processes are worked on at the same time; more are sent to another process, or away.
        pub calls: usize = 512,
        /// How many connections of other processes there may be.
        pub connections: usize = 1_024,
        /// How old a connection of another process grows, in seconds, give or take a tenth. Its calls may end.
        pub age_seconds: u64 = 3_600,
    }
}

impl LinkSettings {
    /// Holds the settings against each other.
    ///
    /// # Errors
    /// [`BadSettings`] naming the first that contradicts another or cannot be.
    pub fn check(&self) -> Result<(), BadSettings> {
        if !self.listen.is_empty() {
            self.listening()?;
        }
        for (key, list) in [("auth", &self.auth), ("chat", &self.chat)] {
            if !list.is_empty() {
                targets(key, list)?;
            }
        }
        for (key, value, most) in [
            ("resolve_seconds", self.resolve_seconds, 3_600),
            ("age_seconds", self.age_seconds, 86_400),
            ("calls", number(self.calls), 1_000_000),
            ("connections", number(self.connections), 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(bad(key, format!("must be between 1 and {most}")));
            }
        }
        let used = [
            ("listen", &self.listen),
            ("auth", &self.auth),
            ("chat", &self.chat),
        ];
        let used = used.into_iter().find(|(_, value)| !value.is_empty());
        let files = self.files();
        let given = files.into_iter().find(|(_, file)| !file.is_empty());
        let missing = files.into_iter().find(|(_, file)| file.is_empty());
        match (used, given, missing) {
            (Some((use_of, _)), _, Some((missing, _))) => Err(bad(
                missing,
                format!(
                    "is needed since links.{use_of} is set: links are made with certificates only; `guildhall certs` makes them"
                ),
            )),
            (None, Some((given, _)), Some((missing, _))) => {
                Err(bad(missing, format!("is needed beside links.{given}")))
            }
            _ => Ok(()),
        }
    }

    /// Where a service of ours is; `None` where the settings do not say.
    pub fn target(&self, service: &str) -> Option<&str> {
        let list = match service {
            "auth" => &self.auth,
            "chat" => &self.chat,
            _ => return None,
        };
        (!list.is_empty()).then_some(list.as_str())
    }

    /// The address to listen on.
    pub(super) fn listening(&self) -> Result<SocketAddr, BadSettings> {
        self.listen.parse().map_err(|_| {
            let wrong = format!(
                "must be an address with a port, like 0.0.0.0:50051, not \"{}\"",
                self.listen
            );
            bad("listen", wrong)
        })
    }

    /// The files of the identity with their settings.
    pub(super) fn files(&self) -> [(&'static str, &str); 3] {
        [
            ("ca_file", &self.ca_file),
            ("certificate_file", &self.certificate_file),
            ("key_file", &self.key_file),
        ]
    }
}

/// Reads a list of "host:port".
pub(super) fn targets(key: &str, list: &str) -> Result<Vec<String>, BadSettings> {
    let each = list.split(',').map(str::trim);
    each.map(|one| {
        let whole = one.rsplit_once(':').is_some_and(|(host, port)| {
            let plain = !host.is_empty() && !host.contains(['/', ' ', '@']);
            // An IPv6 address has colons of its own, so it stands in brackets.
            let bracketed = host.starts_with('[') && host.ends_with(']');
            plain
                && (bracketed || !host.contains(':'))
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if whole {
            Ok(one.to_owned())
        } else {
            let wrong =
                format!("must be like auth.hall.internal:50051, a host and a port, not \"{one}\"");
            Err(bad(key, wrong))
        }
    })
    .collect()
}

pub(super) fn bad(key: &str, wrong: impl std::fmt::Display) -> BadSettings {
    BadSettings::new(&format!("links.{key}"), wrong)
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> LinkSettings {
        LinkSettings {
            listen: "127.0.0.1:0".into(),
            auth: "auth.hall.internal:50051".into(),
            ca_file: "ca.pem".into(),
            certificate_file: "chat.pem".into(),
            key_file: "chat-key.pem".into(),
            ..LinkSettings::default()
        }
    }

    #[test]
    fn nothing_said_is_one_process_and_a_whole_section_is_good() {
        assert!(LinkSettings::default().check().is_ok());
        assert!(whole().check().is_ok());
        assert_eq!(whole().target("auth"), Some("auth.hall.internal:50051"));
        assert_eq!(whole().target("chat"), None);
        assert_eq!(whole().target("gateway"), None);
    }

    #[test]
    fn what_contradicts_or_cannot_be_is_refused_by_name() {
        type Spoil = fn(&mut LinkSettings);
        let cases: [(&str, Spoil); 12] = [
            ("listen", |s| s.listen = "50051".into()),
            ("listen", |s| s.listen = "chat:50051".into()),
            ("auth", |s| s.auth = "auth".into()),
            ("auth", |s| s.auth = "https://auth:50051".into()),
            ("auth", |s| s.auth = "auth:0".into()),
            ("auth", |s| s.auth = "::1:50051".into()),
            ("chat", |s| s.chat = "a:1,".into()),
            ("ca_file", |s| s.ca_file.clear()),
            ("key_file", |s| s.key_file.clear()),
            ("resolve_seconds", |s| s.resolve_seconds = 0),
            ("calls", |s| s.calls = 0),
            ("key_file", |s| {
                (s.listen, s.auth, s.key_file) = Default::default();
            }),
        ];
        for (key, spoil) in cases {
            let mut settings = whole();
            spoil(&mut settings);

            let refusal = settings.check().expect_err(key).to_string();

            assert!(
                refusal.starts_with(&format!("setting links.{key}: ")),
                "{key}: {refusal}"
            );
        }
    }

    #[test]
    fn several_targets_stand_with_commas_between() {
        let read = targets("chat", "10.0.0.1:50051, [::1]:50052").expect("read");

        assert_eq!(read, ["10.0.0.1:50051", "[::1]:50052"]);
    }
}
