//! The stories, told to a hall of one process on the engines of a big installation: entities in PostgreSQL, timelines in Cassandra,
//! events by NATS; and what its operator sees.

use std::path::PathBuf;

use guildhall_store::postgres::{self, Server};
use guildhall_testkit::infra;
use svc_chat::{config::CqlSettings, store::cql};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    stories,
    support::{
        Hall as _, OneProcess, Person,
        hall::{guildhall, outcome, serve},
    },
};

/// The three servers, what is one test's on each of them, and a folder.
struct Place {
    url: String,
    cql: CqlSettings,
    nats: String,
    name: String,
    dir: TempDir,
}

impl Place {
    /// `None` where a server is missing: that was said then.
    async fn new() -> Option<Self> {
        let infra::Postgres { url } = infra::postgres().await?;
        let servers = infra::cassandra().await?;
        let infra::Nats { url: nats } = infra::nats().await?;
        let name = infra::fresh("hall");
        let cql = CqlSettings {
            nodes: servers.nodes,
            datacenter: servers.datacenter,
            keyspace: name.clone(),
            replication: 1,
            ..CqlSettings::default()
        };
        Some(Self {
            url,
            cql,
            nats,
            name,
            dir: tempfile::tempdir().expect("a folder"),
        })
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A word of the command that works here.
    fn word(&self, word: &str) -> Command {
        let mut command = guildhall();
        command.args([word, "--data"]).arg(self.data());
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        self.here(command)
    }

    fn here(&self, mut command: Command) -> Command {
        let list = |servers: &[String]| format!("[{}]", servers.join(","));
        command
            .env("GUILDHALL_POSTGRES__URL", &self.url)
            .env("GUILDHALL_POSTGRES__SCHEMA", &self.name)
            .env("GUILDHALL_POSTGRES__CONNECTIONS", "4")
            .env("GUILDHALL_CQL__NODES", list(&self.cql.nodes))
            .env("GUILDHALL_CQL__DATACENTER", &self.cql.datacenter)
            .env("GUILDHALL_CQL__KEYSPACE", &self.cql.keyspace)
            .env("GUILDHALL_CQL__REPLICATION", "1")
            .env(
                "GUILDHALL_NATS__SERVERS",
                list(std::slice::from_ref(&self.nats)),
            )
            .env("GUILDHALL_NATS__REPLICAS", "1")
            .env("GUILDHALL_NATS__NAMESPACE", &self.name);
        command
    }

    async fn hall(&self) -> OneProcess {
        let (migrated, told, wrong) = outcome(self.word("migrate")).await;
        assert!(migrated.success(), "{told} {wrong}");
        self.start().await
    }

    async fn start(&self) -> OneProcess {
        OneProcess::of(self.here(serve(&self.data())), &self.data()).await
    }

    async fn drop(self) {
        let server = Server::parse(&self.url, None, 1).expect("a URL");
        for service in ["auth", "chat"] {
            let schema = server.schema(&format!("{}_{service}", self.name));
            postgres::remove(&schema.expect("a name"))
                .await
                .expect("removes");
        }
        cql::remove(&self.cql).await.expect("removes");
    }
}

macro_rules! told {
    ($($story:ident,)*) => {$(
        #[tokio::test]
        async fn $story() {
            let Some(place) = Place::new().await else {
                return;
            };
            let hall = place.hall().await;
            stories::$story(&hall).await;
            drop(hall);
            place.drop().await;
        }
    )*};
}

told! {
    two_people_meet_and_talk,
    a_team_has_its_channels_and_its_people,
    what_one_says_the_others_see_live_on_every_wire,
    a_stream_follows_what_its_reader_may_read,
    typing_and_presence_are_seen,
    a_reader_who_lost_the_connection_catches_up,
    a_call_is_the_same_by_rest_grpc_and_grpc_web,
    a_read_mark_is_kept_and_seen,
    an_app_opens_in_one_trip_and_refusals_are_clear,
}

#[tokio::test]
async fn what_was_said_before_a_crash_is_there_after_it_and_readers_catch_up() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut hall = place.hall().await;
    let alice = Person::register(&hall, "alice").await;
    let bob = Person::register(&hall, "bob").await;
    let channel = alice.direct(&bob).await;
    alice.say(&channel, "before").await;

    hall.signal(rustix::process::Signal::KILL);
    hall.end().await;
    let hall = place.start().await;
    let alice = Person::login(&hall, "alice").await;
    alice.say(&channel, "after").await;
    let bob = Person::login(&hall, "bob").await;

    assert_eq!(bob.texts(&channel).await, ["before", "after"]);
    assert!(!place.data().join("timeline.db").exists());
    drop(hall);
    place.drop().await;
}

#[tokio::test]
async fn serve_waits_for_migrate_and_never_does_its_work() {
    let Some(place) = Place::new().await else {
        return;
    };
    let only_entities = |mut command: Command| {
        command.env_remove("GUILDHALL_CQL__NODES");
        for unused in ["DATACENTER", "KEYSPACE", "REPLICATION"] {
            command.env_remove(format!("GUILDHALL_CQL__{unused}"));
        }
        command
    };
    let (entities, _, wrong) = outcome(only_entities(place.word("migrate"))).await;
    assert!(entities.success(), "{wrong}");

    let (before, _, refusal) = outcome(place.word("serve")).await;
    let (ill, found, _) = outcome(place.word("doctor")).await;
    let (migrated, made, _) = outcome(place.word("migrate")).await;
    let (again, nothing, _) = outcome(place.word("migrate")).await;
    let (well, fine, _) = outcome(place.word("doctor")).await;

    assert_eq!(before.code(), Some(1));
    assert!(
        refusal.contains("run `guildhall migrate` first"),
        "{refusal}"
    );
    assert_eq!(ill.code(), Some(1));
    assert!(
        found.contains(&format!("keyspace {} is not there", place.name)),
        "{found}"
    );
    assert!(
        migrated.success() && made.contains(&format!("timelines: made keyspace {}", place.name)),
        "{made}"
    );
    assert!(
        again.success() && nothing.contains("timelines: up to date"),
        "{nothing}"
    );
    assert!(
        well.success() && fine.contains(&format!("keyspace {} is up to date", place.name)),
        "{fine}"
    );
    place.drop().await;
}

#[tokio::test]
async fn a_keyspace_whose_writes_are_decided_elsewhere_is_refused() {
    let Some(place) = Place::new().await else {
        return;
    };
    drop(place.hall().await);
    let across = |word| {
        let mut command = place.word(word);
        command.env("GUILDHALL_CQL__ACROSS_DATACENTERS", "true");
        command
    };

    let (serves, _, refusal) = outcome(across("serve")).await;
    let (migrates, _, refusal_too) = outcome(across("migrate")).await;

    for (ended, told) in [(serves, refusal), (migrates, refusal_too)] {
        assert_eq!(ended.code(), Some(1));
        assert!(told.contains("cql.across_datacenters"), "{told}");
    }
    place.drop().await;
}

#[tokio::test]
async fn a_data_centre_without_servers_is_named() {
    let Some(place) = Place::new().await else {
        return;
    };
    let mut doctor = place.word("doctor");
    doctor.env("GUILDHALL_CQL__DATACENTER", "nowhere");

    let (ill, found, _) = outcome(doctor).await;

    assert_eq!(ill.code(), Some(1));
    let told = format!(
        "no server stands in nowhere; they stand in {}",
        place.cql.datacenter
    );
    assert!(found.contains(&told), "{found}");
}

#[tokio::test]
async fn a_hall_that_moves_to_nats_goes_on_where_it_was() {
    let Some(place) = Place::new().await else {
        return;
    };
    let (migrated, _, wrong) = outcome(place.word("migrate")).await;
    assert!(migrated.success(), "{wrong}");
    let mut alone = place.here(serve(&place.data()));
    for one in ["SERVERS", "REPLICAS", "NAMESPACE"] {
        alone.env_remove(format!("GUILDHALL_NATS__{one}"));
    }
    let mut hall = OneProcess::of(alone, &place.data()).await;
    let alice = Person::register(&hall, "alice").await;
    let bob = Person::register(&hall, "bob").await;
    let channel = alice.direct(&bob).await;
    alice.say(&channel, "before").await;
    hall.signal(rustix::process::Signal::TERM);
    hall.end().await;

    let hall = place.start().await;
    let alice = Person::login(&hall, "alice").await;
    let bob = Person::login(&hall, "bob").await;
    let mut live = bob.socket(serde_json::json!({})).await;
    live.next("ready").await;
    alice.say(&channel, "after").await;

    assert_eq!(live.next("message").await["message"]["text"], "after");
    assert_eq!(bob.texts(&channel).await, ["before", "after"]);
    assert_ne!(hall.http(), hall.admin());
    drop(hall);
    place.drop().await;
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused_by_name() {
    let wrong = [
        ("cql.datacenter", vec![("DATACENTER", "dc1")]),
        ("cql.datacenter", vec![("NODES", "[127.0.0.1:1]")]),
        (
            "cql.replication",
            vec![
                ("NODES", "[127.0.0.1:1]"),
                ("DATACENTER", "dc1"),
                ("REPLICATION", "0"),
            ],
        ),
        (
            "cql.user",
            vec![
                ("NODES", "[127.0.0.1:1]"),
                ("DATACENTER", "dc1"),
                ("PASSWORD_FILE", "secret"),
            ],
        ),
    ];
    for (key, set) in wrong {
        let mut serve = guildhall();
        serve.arg("serve");
        for (name, value) in set {
            serve.env(format!("GUILDHALL_CQL__{name}"), value);
        }

        let (refused, _, told) = outcome(serve).await;

        assert_eq!(refused.code(), Some(1), "{key}");
        assert!(told.contains(&format!("setting {key}")), "{told}");
    }
}
