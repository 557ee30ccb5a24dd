//! Section `[cql]`: timelines in ScyllaDB or Cassandra, for a hall that has outgrown one machine. Its settings are svc-chat's.

use svc_chat::store::{TimelineHome, cql, sqlite};

use super::Settings;

/// The file of timelines in a data folder.
const FILE: &str = "timeline.db";

impl Settings {
    /// Where timelines are kept: in a file of the data folder, or in a keyspace where `cql.nodes` names servers.
    pub fn timelines(&self) -> TimelineHome {
        if self.cql.nodes.is_empty() {
            return TimelineHome::File {
                path: self.data.join(FILE),
                options: sqlite::Options::default(),
            };
        }
        TimelineHome::Keyspace {
            settings: self.cql.clone(),
            options: cql::Options::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn without_servers_timelines_stand_in_the_data_folder() {
        let mut settings = Settings::default();
        let file = settings.timelines();
        settings.cql.nodes = vec!["10.0.0.1:9042".into()];
        let keyspace = settings.timelines();

        let TimelineHome::File { path, .. } = file else {
            panic!("{file:?}")
        };
        assert_eq!(path, Path::new("data/timeline.db"));
        assert!(matches!(keyspace, TimelineHome::Keyspace { .. }));
    }
}
