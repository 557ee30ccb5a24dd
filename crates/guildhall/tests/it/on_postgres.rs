//! The stories, told to a hall of one process whose entities are in PostgreSQL; and what its operator sees.

use std::path::PathBuf;

use guildhall_store::postgres::{self, Server};
use guildhall_testkit::infra;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    stories,
    support::{
        OneProcess,
        hall::{guildhall, outcome, serve},
    },
};

/// A server, the schemas of one test on it, and a folder for what is kept in files.
struct Place {
    url: String,
    schema: String,
    dir: TempDir,
}

impl Place {
    /// `None` where there is no server: that was said then.
    async fn new() -> Option<Self> {
        let infra::Postgres { url } = infra::postgres().await?;
        Some(Self {
            url,
            schema: infra::fresh("hall"),
            dir: tempfile::tempdir().expect("a folder"),
        })
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A word of the command that keeps its entities here.
    fn word(&self, word: &str) -> Command {
        let mut command = guildhall();
        command.args([word, "--data"]).arg(self.data());
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        self.here(command)
    }

    fn here(&self, mut command: Command) -> Command {
        command
            .env("GUILDHALL_POSTGRES__URL", &self.url)
            .env("GUILDHALL_POSTGRES__SCHEMA", &self.schema)
            .env("GUILDHALL_POSTGRES__CONNECTIONS", "4");
        command
    }

    async fn hall(&self) -> OneProcess {
        let (migrated, told, wrong) = outcome(self.word("migrate")).await;
        assert!(migrated.success(), "{told} {wrong}");
        OneProcess::of(self.here(serve(&self.data())), &self.data()).await
    }

    async fn drop(self) {
        let server = Server::parse(&self.url, None, 1).expect("a URL");
        for service in ["auth", "chat"] {
            let schema = server.schema(&format!("{}_{service}", self.schema));
            postgres::remove(&schema.expect("a name"))
                .await
                .expect("removes");
        }
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
    a_reader_who_lost_the_connection_catches_up,
    a_read_mark_is_kept_and_seen,
    an_app_opens_in_one_trip_and_refusals_are_clear,
}

#[tokio::test]
async fn serve_waits_for_migrate_and_never_does_its_work() {
    let Some(place) = Place::new().await else {
        return;
    };

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
    assert!(found.contains("lacks"), "{found}");
    assert!(
        migrated.success() && made.contains("auth: made outbox_1"),
        "{made}"
    );
    assert!(
        again.success() && nothing == "auth: up to date\nchat: up to date\n",
        "{nothing}"
    );
    assert!(
        well.success() && fine.contains("_chat is up to date"),
        "{fine}"
    );
    assert!(!place.data().join("auth.db").exists() && !place.data().join("chat.db").exists());
    place.drop().await;
}

#[tokio::test]
async fn the_settings_in_force_are_shown_without_the_password() {
    let mut config = guildhall();
    config.arg("config").env(
        "GUILDHALL_POSTGRES__URL",
        "postgres://ann:s3cret@db.example.org/hall",
    );

    let (shown, told, _) = outcome(config).await;

    assert!(
        shown.success() && told.contains("db.example.org/hall"),
        "{told}"
    );
    assert!(!told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused_by_name() {
    let mut twice = guildhall();
    twice
        .arg("serve")
        .env(
            "GUILDHALL_POSTGRES__URL",
            "postgres://ann:s3cret@localhost/hall",
        )
        .env("GUILDHALL_POSTGRES__PASSWORD_FILE", "/run/secrets/postgres");

    let (refused, _, told) = outcome(twice).await;

    assert_eq!(refused.code(), Some(1));
    assert!(told.contains("postgres.password_file"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}
