//! Questions to the PostgreSQL that settings name.

use guildhall_store::{
    Home, StoreError,
    postgres::{Condition, Server},
};

use super::Finding;
use crate::settings::Settings;

/// How many pools of connections a process has: each service one that reads and one that writes.
const POOLS: u32 = 4;

/// Whether the server can be used, and whether its tables are up to date. Changes nothing.
pub async fn ask(settings: &Settings) -> Vec<Finding> {
    let server = match settings.postgres.server() {
        Ok(Some(server)) => server,
        Ok(None) => return Vec::new(),
        Err(error) => {
            let what_to_do = "correct it; `guildhall config --example` explains every setting";
            return vec![Finding::wrong(error.to_string(), what_to_do)];
        }
    };
    let condition = match server.ask().await {
        Ok(condition) => condition,
        Err(error) => return vec![failed(error)],
    };
    let mut found = judge(&server, &condition, settings.postgres.connections);
    if condition.wrong().is_none() {
        found.push(tables(settings, svc_auth::NAME).await);
        found.push(tables(settings, svc_chat::NAME).await);
    }
    found
}

fn judge(server: &Server, condition: &Condition, connections: u32) -> Vec<Finding> {
    if let Some(wrong) = condition.wrong() {
        let told = format!("{server} cannot be used: {wrong}");
        return vec![Finding::wrong(told, "set postgres.url to one that can")];
    }
    let mut found = vec![Finding::good(format!(
        "{server} answers, version {}",
        condition.version
    ))];
    for setting in &condition.unsafe_settings {
        found.push(Finding::wrong(
            format!("{server} has {setting} off: a power cut takes what was acknowledged"),
            format!("set {setting} = on in its postgresql.conf and restart it"),
        ));
    }
    let wanted = connections.saturating_mul(POOLS);
    if wanted >= condition.connections {
        found.push(Finding::beware(
            format!(
                "{server} takes {} connections, and this process may want {wanted}",
                condition.connections
            ),
            "raise max_connections there, or set postgres.connections lower",
        ));
    }
    found
}

async fn tables(settings: &Settings, service: &str) -> Finding {
    let schema = match settings.home(service) {
        Ok(Home::Schema(schema)) => schema,
        Ok(Home::File(_)) => return Finding::good(format!("{service} is kept in a file")),
        Err(error) => return Finding::wrong(error.to_string(), "correct it"),
    };
    let missing = match service {
        svc_auth::NAME => svc_auth::missing(&schema).await,
        _ => svc_chat::missing(&schema).await,
    };
    match missing {
        Ok(missing) if missing.is_empty() => {
            Finding::good(format!("the schema {} is up to date", schema.name()))
        }
        Ok(missing) => Finding::wrong(
            format!(
                "the schema {} lacks {} changes of its tables, the first is {}",
                schema.name(),
                missing.len(),
                missing[0]
            ),
            "run `guildhall migrate`",
        ),
        Err(error) => failed(error),
    }
}

fn failed(error: StoreError) -> Finding {
    let what_to_do = if let StoreError::Newer { .. } = &error {
        "run the version of Guildhall that made the change"
    } else {
        "look at its log, at the network between, and at postgres.url"
    };
    Finding::wrong(format!("{:#}", anyhow::Error::from(error)), what_to_do)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_wrong_and_its_password_is_not_told() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound");
        drop(free);
        let mut settings = Settings::default();
        settings.postgres.url = format!("postgres://ann:s3cret@{address}/hall");

        let found = ask(&settings).await;

        assert!(matches!(found[0].verdict, Verdict::Wrong(_)), "{found:?}");
        assert!(found[0].what.contains(&address.to_string()), "{found:?}");
        assert!(!found[0].what.contains("s3cret"), "{found:?}");
    }

    #[tokio::test]
    async fn without_a_server_nothing_is_asked() {
        assert!(ask(&Settings::default()).await.is_empty());
    }
}
