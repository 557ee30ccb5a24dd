//! What is about a server: who may change its tables, what order its commits have, what becomes of a write when the way to it is cut.

use guildhall_store::{
    Entities, StoreError,
    postgres::{self, Schema, Server},
};
use guildhall_testkit::infra;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};

use crate::{engine::drop_schemas, support::Tables};

mod cut;
mod order;
mod tables;

/// A server for tests, and the name that this test's schema has on it.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) name: String,
}

impl Place {
    /// `None` where there is no server: that was said then.
    pub(crate) async fn new() -> Option<Self> {
        let infra::Postgres { url } = infra::postgres().await?;
        let name = infra::fresh("store");
        Some(Self { url, name })
    }

    pub(crate) fn schema(&self) -> Schema {
        self.schema_at(&self.url)
    }

    pub(crate) fn schema_at(&self, url: &str) -> Schema {
        let server = Server::parse(url, None, 8).expect("a URL");
        server.schema(&self.name).expect("a name")
    }

    /// Opened, with its tables.
    pub(crate) async fn entities(&self) -> Entities {
        let schema = self.schema();
        postgres::migrate::<Tables>(&schema)
            .await
            .expect("migrates");
        postgres::open::<Tables>(&schema).await.expect("opens")
    }

    /// As any other program would see it.
    pub(crate) async fn database(&self) -> DatabaseConnection {
        let url = format!("{}?options[search_path]={}", self.url, self.name);
        Database::connect(url).await.expect("connects")
    }

    pub(crate) async fn drop(self) {
        drop_schemas(&self.url, &self.name).await;
    }
}

#[tokio::test]
async fn connections_keep_what_they_acknowledge_whatever_the_server_s_defaults_are() {
    let Some(place) = Place::new().await else {
        return;
    };
    let entities = place.entities().await;

    let told = entities
        .write(async |write: &guildhall_store::Write| {
            let ask = "SELECT concat_ws(' ', current_setting('synchronous_commit'), current_setting('transaction_isolation'),
                current_setting('statement_timeout'), current_schema()) AS told";
            let ask = sea_orm::Statement::from_string(write.get_database_backend(), ask);
            let row = write.query_one_raw(ask).await?.expect("a row");
            Ok::<_, StoreError>(row.try_get::<String>("", "told")?)
        })
        .await
        .expect("reads");

    assert_eq!(told, format!("on read committed 5s {}", place.name));
    entities.close().await;
    place.drop().await;
}
