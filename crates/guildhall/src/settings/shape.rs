//! Whether the settings fit the shape of the hall: one process on files, or several on servers that they share.

use guildhall_mesh::config::BadSettings;

use super::Settings;
use crate::roles::{Role, Roles};

/// Judges the settings of a process by its roles: what it cannot do without, and what contradicts them.
pub fn check(settings: &Settings) -> Result<(), BadSettings> {
    let roles = settings.roles()?;
    let links = &settings.links;
    let is_called = !links.listen.is_empty();

    if let Some(missing) = roles
        .elsewhere()
        .find(|role| links.target(role.name()).is_none())
    {
        let name = missing.name();
        return Err(refused(
            &format!("links.{name}"),
            format!(
                "is not set: this process ({roles}) calls {name}, which runs elsewhere; say where, as \"{name}.hall.internal:50051\""
            ),
        ));
    }
    let called = roles.called_from_outside().next();
    if let (Some(role), false, false) = (called, is_called, roles.are_all()) {
        let wrong = format!(
            "is not set: {} runs in this process ({roles}) and others call it; give an address, as \"0.0.0.0:50051\"",
            role.name()
        );
        return Err(refused("links.listen", wrong));
    }
    if roles.are_all() && !is_called {
        return Ok(());
    }
    shared(settings, &roles)
}

/// What several processes have to share, since one cannot read another's files or hear its events.
fn shared(settings: &Settings, roles: &Roles) -> Result<(), BadSettings> {
    let keeps = |role| roles.has(role);
    let lacks = |key: &str, what: &str| {
        let wrong = format!(
            "is not set: this process ({roles}) is one of several, which {what}; a single process needs `--roles all` and no links.listen"
        );
        Err(refused(key, wrong))
    };
    if settings.nats.is_local() {
        return lacks("nats.servers", "tell each other their events by NATS");
    }
    if (keeps(Role::Auth) || keeps(Role::Chat)) && settings.postgres.url.is_empty() {
        return lacks(
            "postgres.url",
            "keep accounts, spaces and channels in PostgreSQL",
        );
    }
    if keeps(Role::Chat) && settings.cql.nodes.is_empty() {
        return lacks("cql.nodes", "keep messages in ScyllaDB or Cassandra");
    }
    Ok(())
}

fn refused(key: &str, wrong: String) -> BadSettings {
    BadSettings::new(key, wrong)
}

#[cfg(test)]
mod tests {
    use guildhall_mesh::{bus::NatsSettings, link::LinkSettings};
    use svc_chat::config::CqlSettings;

    use super::*;
    use crate::settings::PostgresSettings;

    /// The settings of a process that has everything.
    fn of(roles: &str) -> Settings {
        Settings {
            roles: roles.into(),
            links: LinkSettings {
                listen: "127.0.0.1:0".into(),
                auth: "auth:50051".into(),
                chat: "chat:50051".into(),
                ca_file: "ca.pem".into(),
                certificate_file: "hall.pem".into(),
                key_file: "hall-key.pem".into(),
                ..LinkSettings::default()
            },
            postgres: PostgresSettings {
                url: "postgres://ann@localhost/hall".into(),
                ..PostgresSettings::default()
            },
            cql: CqlSettings {
                nodes: vec!["127.0.0.1:9042".into()],
                datacenter: "dc1".into(),
                ..CqlSettings::default()
            },
            nats: NatsSettings {
                servers: vec!["nats://localhost:4222".into()],
                ..NatsSettings::default()
            },
            ..Settings::default()
        }
    }

    #[test]
    fn one_process_needs_nothing() {
        assert!(check(&Settings::default()).is_ok());
    }

    #[test]
    fn every_part_of_a_hall_can_stand_alone_or_with_others() {
        for roles in [
            "all",
            "auth",
            "chat",
            "auth,chat",
            "gateway,auth",
            "gateway,chat",
        ] {
            assert!(check(&of(roles)).is_ok(), "{roles}");
        }
        let mut gateway = of("gateway");
        gateway.links.listen.clear();
        assert!(check(&gateway).is_ok());
    }

    #[test]
    fn what_a_role_cannot_do_without_is_named() {
        type Spoil = fn(&mut Settings);
        let wrong: [(&str, &str, Spoil); 9] = [
            ("roles", "task", |_| {}),
            ("links.listen", "auth", |it| it.links.listen.clear()),
            ("links.auth", "chat", |it| it.links.auth.clear()),
            ("links.chat", "gateway", |it| {
                it.links.chat.clear();
            }),
            ("nats.servers", "gateway", |it| {
                it.nats.servers.clear();
            }),
            ("postgres.url", "auth", |it| it.postgres.url.clear()),
            ("postgres.url", "chat", |it| it.postgres.url.clear()),
            ("cql.nodes", "chat", |it| it.cql.nodes.clear()),
            ("cql.nodes", "all", |it| it.cql.nodes.clear()),
        ];
        for (key, roles, spoil) in wrong {
            let mut settings = of(roles);
            spoil(&mut settings);
            let refused = check(&settings).expect_err(roles).to_string();
            assert!(
                refused.starts_with(&format!("setting {key}: ")),
                "{roles}: {refused}"
            );
        }
    }
}
