//! Everything that can be set: what concerns the process stands here, the rest in sections of the part that reads it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use guildhall_gateway::{GatewaySettings, LimitSettings, LiveSettings};
use guildhall_mesh::{
    access::AccessSettings,
    bus::NatsSettings,
    config::{BadSettings, Described, Origins, load_with_origins},
    link::LinkSettings,
    telemetry::TelemetrySettings,
};
use guildhall_store::Home;
use serde::Serialize;
use svc_auth::config::AuthSettings;
use svc_chat::config::{ChatSettings, CqlSettings};

mod cql;
mod postgres;
mod shape;

pub use postgres::{PostgresSettings, shown};

use crate::roles::{Role, Roles};

guildhall_mesh::settings! {
    /// The settings of a hall.
    pub struct Settings {
        /// Which services this process is: "all", or some of auth, chat and gateway with commas between them. Several processes make one
        /// hall; they share PostgreSQL, ScyllaDB or Cassandra, and NATS.
        pub roles: String = "all".into(),
        /// The folder of the databases. Made where it is missing, readable by its owner only; one process at a time.
        pub data: PathBuf = PathBuf::from("data"),
        /// Address and port for operators: /healthz, /readyz, /metrics. It asks nobody who they are: keep it off the public net.
        pub admin_listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9090)),
        /// How long calls and streams may take to end when the hall is told to stop, in seconds.
        pub stop_grace_seconds: u64 = 10,
        /// How long it goes on as before when it is told to stop, but says that it is not ready, in seconds: for load balancers, which take
        /// some time to notice.
        pub drain_seconds: u64 = 0,
        /// The public port, for browsers and apps.
        pub gateway: GatewaySettings = GatewaySettings::default(),
        /// How often clients may call.
        pub limits: LimitSettings = LimitSettings::default(),
        /// The live feed.
        pub live: LiveSettings = LiveSettings::default(),
        /// Accounts, sessions and how they are protected.
        pub auth: AuthSettings = AuthSettings::default(),
        /// Channels and messages.
        pub chat: ChatSettings = ChatSettings::default(),
        /// PostgreSQL in place of the SQLite files, for a hall that has outgrown one machine.
        pub postgres: PostgresSettings = PostgresSettings::default(),
        /// Timelines in ScyllaDB or Cassandra in place of a file.
        pub cql: CqlSettings = CqlSettings::default(),
        /// How this process calls services of other processes, and they its own.
        pub links: LinkSettings = LinkSettings::default(),
        /// NATS, by which the events of several processes travel.
        pub nats: NatsSettings = NatsSettings::default(),
        /// What the process remembers of who may do what.
        pub access: AccessSettings = AccessSettings::default(),
        /// Logs, traces, metrics.
        pub telemetry: TelemetrySettings = TelemetrySettings::default(),
    }
}

/// The settings of each section.
pub const SECTIONS: [(&str, &[Described]); 11] = [
    ("gateway", GatewaySettings::DESCRIBED),
    ("limits", LimitSettings::DESCRIBED),
    ("live", LiveSettings::DESCRIBED),
    ("auth", AuthSettings::DESCRIBED),
    ("chat", ChatSettings::DESCRIBED),
    ("postgres", PostgresSettings::DESCRIBED),
    ("cql", CqlSettings::DESCRIBED),
    ("links", LinkSettings::DESCRIBED),
    ("nats", NatsSettings::DESCRIBED),
    ("access", AccessSettings::DESCRIBED),
    ("telemetry", TelemetrySettings::DESCRIBED),
];

/// What the command line may set.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct Flags {
    /// Which services this process is: auth, chat, gateway, with commas between them [default: all].
    #[arg(long, value_name = "ROLE,ROLE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<String>,
    #[command(flatten)]
    gateway: GatewayFlags,
    /// Address and port for operators: health and metrics [default: 127.0.0.1:9090].
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_listen: Option<SocketAddr>,
    /// The folder of the databases; made where it is missing [default: data].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
}

/// The part of it that is the gateway's.
#[derive(Debug, Clone, Default, Args, Serialize)]
struct GatewayFlags {
    /// Address and port for browsers and apps; port 0 picks a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    /// A certificate with its chain (PEM): the port speaks TLS only.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<String>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<String>,
}

/// Reads the settings in force, and where each comes from.
///
/// # Errors
/// [`BadSettings`] names the setting, where it was set, and what is wrong with it.
pub fn read(file: Option<&Path>, flags: &Flags) -> Result<(Settings, Origins), BadSettings> {
    let (settings, origins) = load_with_origins::<Settings>(file, flags)?;
    settings.check()?;
    Ok((settings, origins))
}

impl Settings {
    /// Which services this process is.
    ///
    /// # Errors
    /// A sentence about setting `roles`.
    pub fn roles(&self) -> Result<Roles, BadSettings> {
        Roles::parse(&self.roles)
    }

    /// Whether this process keeps anything in the data folder.
    ///
    /// # Errors
    /// A sentence about setting `roles`.
    pub fn keeps_files(&self) -> Result<bool, BadSettings> {
        let roles = self.roles()?;
        let entities = roles.has(Role::Auth) || roles.has(Role::Chat);
        let in_files = entities && self.postgres.url.is_empty();
        Ok(in_files || roles.has(Role::Chat) && self.cql.nodes.is_empty())
    }

    /// Where a service keeps its entities.
    pub fn home(&self, service: &str) -> Result<Home, BadSettings> {
        self.postgres.home(&self.data, service)
    }

    /// Judges everything that can be told without making, opening or asking anything: what passes here may fail by the machine
    /// only. `serve` and `doctor` both ask here, before they do anything else.
    fn check(&self) -> Result<(), BadSettings> {
        if self.data.as_os_str().is_empty() {
            return Err(BadSettings::new("data", "names no folder"));
        }
        let is_same = self.gateway.listen.parse() == Ok(self.admin_listen);
        if is_same && self.admin_listen.port() != 0 {
            let wrong = format!(
                "is {}, like gateway.listen: operators need a port of their own",
                self.admin_listen
            );
            return Err(BadSettings::new("admin_listen", wrong));
        }
        self.gateway.check()?;
        self.limits.check()?;
        self.postgres.check()?;
        self.cql.check()?;
        self.nats.check()?;
        self.links.check()?;
        shape::check(self)?;
        self.auth.check()?;
        self.telemetry.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(listen: &str, admin_listen: &str) -> Settings {
        Settings {
            admin_listen: admin_listen.parse().expect("an address"),
            gateway: GatewaySettings {
                listen: listen.into(),
                ..GatewaySettings::default()
            },
            ..Settings::default()
        }
    }

    #[test]
    fn two_ports_are_not_the_same_one_unless_both_are_picked() {
        let same = listening("127.0.0.1:8080", "127.0.0.1:8080").check();
        let picked = listening("127.0.0.1:0", "127.0.0.1:0").check();

        let refused = same.expect_err("refused").to_string();
        assert!(refused.starts_with("setting admin_listen"), "{refused}");
        assert!(picked.is_ok());
    }
}
