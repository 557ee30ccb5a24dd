//! Section `[postgres]`: entities in PostgreSQL, for a hall that has outgrown one machine.

use std::{fs, path::Path};

use guildhall_mesh::config::BadSettings;
use guildhall_store::{
    Home,
    postgres::{BadServer, Server},
};

guildhall_mesh::settings! {
    /// PostgreSQL 15 or newer in place of the SQLite files.
    pub struct PostgresSettings {
        /// Its database, "postgres://user@host:5432/database?sslmode=verify-full". Empty: SQLite files in the data folder.
        pub url: String = String::new(),
        /// A file whose first line is the password, where the URL holds none.
        pub password_file: String = String::new(),
        /// How many connections each service may have that write, and as many that read.
        pub connections: u32 = 8,
        /// What the schemas of the services begin with; an underscore and the service follow.
        pub schema: String = "guildhall".into(),
    }
}

impl PostgresSettings {
    /// Judges what no single value shows.
    pub fn check(&self) -> Result<(), BadSettings> {
        if self.url.is_empty() {
            return if self.password_file.is_empty() {
                Ok(())
            } else {
                let wrong = "is set and postgres.url is not: name the database, or take this away";
                Err(BadSettings::new("postgres.password_file", wrong))
            };
        }
        if !(1..=1_000).contains(&self.connections) {
            let wrong = format!("{} is not between 1 and 1000", self.connections);
            return Err(BadSettings::new("postgres.connections", wrong));
        }
        if password(&self.url).is_some() && !self.password_file.is_empty() {
            let wrong = "is set, and postgres.url holds a password too: leave one of them";
            return Err(BadSettings::new("postgres.password_file", wrong));
        }
        let server = self.named(None)?;
        self.schema_of(&server, "auth").map(drop)
    }

    /// The server; `None` where SQLite is used.
    pub fn server(&self) -> Result<Option<Server>, BadSettings> {
        if self.url.is_empty() {
            return Ok(None);
        }
        if self.password_file.is_empty() {
            return self.named(None).map(Some);
        }
        let text = fs::read_to_string(&self.password_file).map_err(|error| {
            let wrong = format!("{} cannot be read: {error}", self.password_file);
            BadSettings::new("postgres.password_file", wrong)
        })?;
        let first = text.lines().next().unwrap_or_default();
        self.named(Some(first)).map(Some)
    }

    /// Where a service keeps its entities: in a file of the data folder, or in a schema of its own.
    pub fn home(&self, data: &Path, service: &str) -> Result<Home, BadSettings> {
        match self.server()? {
            None => Ok(Home::File(data.join(format!("{service}.db")))),
            Some(server) => self.schema_of(&server, service),
        }
    }

    fn named(&self, password: Option<&str>) -> Result<Server, BadSettings> {
        Server::parse(&self.url, password, self.connections)
            .map_err(|bad: BadServer| BadSettings::new("postgres.url", bad.to_string()))
    }

    fn schema_of(&self, server: &Server, service: &str) -> Result<Home, BadSettings> {
        let schema = server.schema(&format!("{}_{service}", self.schema));
        let schema = schema
            .map_err(|bad: BadServer| BadSettings::new("postgres.schema", bad.to_string()))?;
        Ok(Home::Schema(schema))
    }
}

/// A URL with its password taken out, for people to see.
pub fn shown(url: &str) -> String {
    match password(url) {
        Some(secret) => url.replacen(secret, "…", 1),
        None => url.to_owned(),
    }
}

/// The password in a URL with what marks it as one: `:secret@` or `password=secret`.
fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let in_query = query.split('&').find(|pair| pair.starts_with("password="));
    if in_query.is_some() {
        return in_query;
    }
    // A password may hold what stands for something else behind it, so the last `@` counts.
    let (user, _) = before.rsplit_once('@')?;
    let colon = user.find(':')?;
    before.get(colon..=user.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str, password_file: &str) -> PostgresSettings {
        PostgresSettings {
            url: url.into(),
            password_file: password_file.into(),
            ..PostgresSettings::default()
        }
    }

    fn refused(settings: &PostgresSettings) -> String {
        settings.check().expect_err("refused").to_string()
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        let url = "postgres://ann@localhost/hall";
        let none = with("", "password");
        let twice = with("postgres://ann:s3cret@localhost/hall", "password");
        let odd = PostgresSettings {
            schema: "My Hall".into(),
            ..with(url, "")
        };
        let idle = PostgresSettings {
            connections: 0,
            ..with(url, "")
        };

        assert!(refused(&none).starts_with("setting postgres.password_file"));
        assert!(refused(&twice).starts_with("setting postgres.password_file"));
        assert!(refused(&odd).starts_with("setting postgres.schema"));
        assert!(refused(&idle).starts_with("setting postgres.connections"));
        assert!(refused(&with("localhost", "")).starts_with("setting postgres.url"));
        assert!(with(url, "password").check().is_ok());
    }

    #[test]
    fn a_password_file_that_is_missing_is_named() {
        let missing = with("postgres://ann@localhost/hall", "/none/such");

        let refused = missing.server().expect_err("not there").to_string();

        assert!(refused.contains("/none/such"), "{refused}");
    }

    #[test]
    fn a_password_is_not_shown() {
        for url in [
            "postgres://ann:s3cret@localhost:5432/hall?sslmode=require",
            "postgres://ann:s3c@ret@localhost/hall",
            "postgres://ann@localhost/hall?password=s3cret&sslmode=require",
        ] {
            let shown = shown(url);
            assert!(
                !shown.contains("s3c") && shown.contains("localhost"),
                "{shown}"
            );
        }
        let plain = "postgres://ann@localhost:5432/hall";
        assert_eq!(shown(plain), plain);
    }

    #[test]
    fn without_a_server_each_service_has_a_file() {
        let home = PostgresSettings::default().home(Path::new("data"), "auth");

        let Ok(Home::File(file)) = home else {
            panic!("no file")
        };
        assert_eq!(file, Path::new("data/auth.db"));
    }
}
