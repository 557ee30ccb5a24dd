//! A suite on both engines: the tests keep their entities in SQLite files; one of them runs the whole test program once more, and there
//! every test has a schema of PostgreSQL instead. Shared by the test programs of the crates that keep entities.

use std::{
    env,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use guildhall_store::{Home, postgres::Server};
use guildhall_testkit::infra;
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};

/// Tells the second run where the server is, and what its schemas begin with.
const URL: &str = "SUITE_POSTGRES_URL";
const SCHEMAS: &str = "SUITE_POSTGRES_SCHEMAS";
/// How many connections a test may have that write, and as many that read. Servers for tests take a hundred.
const CONNECTIONS: u32 = 6;

/// Where one test keeps its entities.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) home: Home,
}

/// A file, or on the second run a schema that no other test has.
pub(crate) fn place(file: PathBuf) -> Place {
    static NUMBER: AtomicU32 = AtomicU32::new(0);

    let Some((url, schemas)) = second_run() else {
        return Place {
            home: Home::File(file),
        };
    };
    let name = format!("{schemas}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let server = Server::parse(&url, None, CONNECTIONS).expect("a server");
    Place {
        home: Home::Schema(server.schema(&name).expect("a name")),
    }
}

/// Whether this is the run on PostgreSQL.
pub(crate) fn is_on_postgres() -> bool {
    second_run().is_some()
}

/// On the second run, where the server is and what its schemas begin with.
pub(crate) fn second_run() -> Option<(String, String)> {
    env::var(URL).ok().zip(env::var(SCHEMAS).ok())
}

/// Runs the whole program once more, on PostgreSQL, but for the test that calls this (`own`) and those whose names hold one of `not`.
#[expect(clippy::print_stdout, reason = "says that there was a second run")]
pub(crate) async fn run_again(own: &str, not: &[&str]) {
    let Some(infra::Postgres { url }) = infra::postgres().await else {
        return;
    };
    let schemas = infra::fresh("suite");

    let mut program = Command::new(env::current_exe().expect("this program"));
    program.env(URL, &url).env(SCHEMAS, &schemas);
    for skipped in [&[own], not].concat() {
        program.args(["--skip", skipped]);
    }
    let ran = program.output().expect("runs");

    drop_schemas(&url, &schemas).await;
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "on PostgreSQL:\n{told}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let count = told.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(count > 0, "no test ran:\n{told}");
    println!("{count} tests held on PostgreSQL, too");
}

pub(crate) async fn drop_schemas(url: &str, schemas: &str) {
    let server = Database::connect(url).await.expect("connects");
    let ask = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT schema_name FROM information_schema.schemata WHERE starts_with(schema_name, $1)",
        [schemas.into()],
    );
    for row in server.query_all_raw(ask).await.expect("lists") {
        let name: String = row.try_get("", "schema_name").expect("a name");
        server
            .execute_unprepared(&format!("DROP SCHEMA \"{name}\" CASCADE"))
            .await
            .expect("drops");
    }
}
