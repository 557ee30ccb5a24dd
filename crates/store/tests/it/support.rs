//! A database with one table.

use std::path::{Path, PathBuf};

use guildhall_store::{
    Entities, StoreError, Write,
    outbox::{CountOutbox, CreateOutbox},
};
use sea_orm::{ConnectionTrait as _, DbErr, Statement};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait};
use tempfile::TempDir;

use crate::engine::place;

pub(crate) struct Tables;

impl MigratorTrait for Tables {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(CreateOutbox),
            Box::new(CreateThings),
            Box::new(CountOutbox),
        ]
    }
}

pub(crate) struct CreateThings;

impl MigrationName for CreateThings {
    fn name(&self) -> &'static str {
        "things_1"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateThings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = "CREATE TABLE thing(name TEXT PRIMARY KEY);
            CREATE TABLE part(of TEXT REFERENCES thing(name) DEFERRABLE INITIALLY DEFERRED)";
        manager
            .get_connection()
            .execute_unprepared(tables)
            .await
            .map(drop)
    }
}

pub(crate) struct Database {
    pub(crate) entities: Entities,
    folder: TempDir,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(folder.path().join("test.db"));
        place.home.migrate::<Tables>().await.expect("migrates");
        let entities = place.home.open::<Tables>().await.expect("opens");
        Self { entities, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn add(&self, name: &str) -> Result<(), StoreError> {
        self.entities
            .write(async |write: &Write| add(write, name).await)
            .await
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        let read = self.entities.read();
        let ask = Statement::from_string(
            read.get_database_backend(),
            "SELECT name FROM thing ORDER BY name",
        );
        let rows = read.query_all_raw(ask).await.expect("reads");
        rows.iter()
            .map(|row| row.try_get("", "name").expect("a name"))
            .collect()
    }

    /// A pragma as the writer has it.
    pub(crate) async fn pragma(&self, name: &str) -> String {
        let ask = format!("SELECT CAST({name} AS TEXT) AS v FROM pragma_{name}");
        self.entities
            .write(async |write: &Write| {
                let ask = Statement::from_string(write.get_database_backend(), ask);
                let row = write.query_one_raw(ask).await?.expect("a row");
                Ok::<_, StoreError>(row.try_get("", "v")?)
            })
            .await
            .expect("reads")
    }
}

pub(crate) async fn add(write: &Write, name: &str) -> Result<(), StoreError> {
    let backend = write.get_database_backend();
    let add =
        Statement::from_sql_and_values(backend, "INSERT INTO thing VALUES ($1)", [name.into()]);
    write.execute_raw(add).await?;
    Ok(())
}
