//! Settings of chat, sections `[chat]` and `[cql]`.

use std::path::PathBuf;

use guildhall_mesh::config::BadSettings;

guildhall_mesh::settings! {
    /// How chat works.
    pub struct ChatSettings {
        /// How many channels are remembered, so that a call about one of them need not ask the database.
        pub channels_remembered: usize = 50_000,
    }
}

guildhall_mesh::settings! {
    /// Where timelines are kept when one machine is not enough: ScyllaDB, or Cassandra.
    pub struct CqlSettings {
        /// Some of the servers, as "address:port". None: timelines stay in a file of the data folder.
        pub nodes: Vec<String> = Vec::new(),
        /// The keyspace. `guildhall migrate` makes it.
        pub keyspace: String = "guildhall".into(),
        /// The data centre that all chat processes stand in, as the servers call it.
        pub datacenter: String = String::new(),
        /// How many copies of everything the data centre keeps. Read when the keyspace is made.
        pub replication: u8 = 3,
        /// Whether chat processes stand in several data centres. Then every write asks a majority of all of them.
        pub across_datacenters: bool = false,
        /// Who we are to the servers; empty where they do not ask.
        pub user: String = String::new(),
        /// The file with the password of `user`.
        pub password_file: PathBuf = PathBuf::new(),
    }
}

impl CqlSettings {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`BadSettings`] names the setting and says what to do.
    pub fn check(&self) -> Result<(), BadSettings> {
        if self.nodes.is_empty() {
            return self.check_unused();
        }
        if let Some(blank) = self.nodes.iter().find(|node| node.trim().is_empty()) {
            let wrong = format!("names a server {blank:?}: \"address:port\" is wanted");
            return Err(BadSettings::new("cql.nodes", wrong));
        }
        if self.datacenter.is_empty() {
            let wrong = "is empty, but cql.nodes names servers: say which data centre is ours";
            return Err(BadSettings::new("cql.datacenter", wrong));
        }
        if !self.datacenter.chars().all(is_name_part) {
            let wrong = "may hold letters, digits, \"-\" and \"_\" only";
            return Err(BadSettings::new("cql.datacenter", wrong));
        }
        let plain =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        let begins = self
            .keyspace
            .starts_with(|first: char| first.is_ascii_lowercase());
        if !begins || self.keyspace.len() > 48 || !self.keyspace.chars().all(plain) {
            let wrong = "must be up to 48 small letters, digits and \"_\", a letter first";
            return Err(BadSettings::new("cql.keyspace", wrong));
        }
        if self.replication == 0 {
            let wrong = "is 0: at least one copy is wanted, three to survive the loss of a server";
            return Err(BadSettings::new("cql.replication", wrong));
        }
        if self.user.is_empty() != self.password_file.as_os_str().is_empty() {
            let wrong = "and cql.password_file belong together: set both or none";
            return Err(BadSettings::new("cql.user", wrong));
        }
        Ok(())
    }

    /// Without servers, whatever speaks of them is a mistake.
    fn check_unused(&self) -> Result<(), BadSettings> {
        let unset = Self::default();
        let set = [
            ("cql.keyspace", self.keyspace != unset.keyspace),
            ("cql.datacenter", self.datacenter != unset.datacenter),
            ("cql.replication", self.replication != unset.replication),
            ("cql.across_datacenters", self.across_datacenters),
            ("cql.user", self.user != unset.user),
            (
                "cql.password_file",
                self.password_file != unset.password_file,
            ),
        ];
        match set.into_iter().find(|(_, set)| *set) {
            None => Ok(()),
            Some((key, _)) => Err(BadSettings::new(
                key,
                "is set, but cql.nodes names no server",
            )),
        }
    }
}

fn is_name_part(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> CqlSettings {
        CqlSettings {
            nodes: vec!["10.0.0.1:9042".into()],
            datacenter: "dc-1".into(),
            ..CqlSettings::default()
        }
    }

    type Spoil = fn(&mut CqlSettings);

    #[test]
    fn what_contradicts_another_setting_is_refused_by_its_name() {
        assert!(CqlSettings::default().check().is_ok());
        assert!(good().check().is_ok());

        let wrong: [(&str, Spoil); 9] = [
            ("cql.nodes", |it| it.nodes.push(" ".into())),
            ("cql.datacenter", |it| it.datacenter.clear()),
            ("cql.datacenter", |it| it.datacenter = "a'b".into()),
            ("cql.datacenter", |it| it.nodes.clear()),
            ("cql.keyspace", |it| it.keyspace = "Guild".into()),
            ("cql.keyspace", |it| it.keyspace = "a; DROP".into()),
            ("cql.replication", |it| it.replication = 0),
            ("cql.user", |it| it.user = "chat".into()),
            ("cql.user", |it| it.password_file = "secret".into()),
        ];
        for (key, spoil) in wrong {
            let mut settings = good();
            spoil(&mut settings);
            let refused = settings.check().expect_err(key).to_string();
            assert!(refused.starts_with(&format!("setting {key}")), "{refused}");
        }
    }
}
