//! Settings of the gateway, each with a default and a sentence, and what they become once read.

use std::time::Duration;

use guildhall_mesh::config::BadSettings;

use crate::{auth::origin::Origins, peer::Proxies};

guildhall_mesh::settings! {
    /// The public port and what it bears.
    pub struct GatewaySettings {
        /// Address and port that clients come to; port 0 picks a free one.
        pub listen: String = "127.0.0.1:8080".into(),
        /// File with the certificate chain, PEM. With it the port speaks TLS only; empty: plain HTTP.
        pub tls_cert: String = String::new(),
        /// File with the certificate's private key, PEM.
        pub tls_key: String = String::new(),
        /// Where browsers find this hall, each like `https://hall.example.org`. Needed for cookies behind a proxy; this machine's own
        /// names, bare addresses and, with `tls_cert`, the names in the certificate need no mention.
        pub public_origins: Vec<String> = Vec::new(),
        /// Origins of other sites whose pages may call, each like `https://app.example.org`. The hall's own needs no mention.
        pub origins: Vec<String> = Vec::new(),
        /// Proxies in front of the hall, as addresses or networks like `10.0.0.0/8`. Only they are believed in X-Forwarded-For and
        /// X-Forwarded-Proto.
        pub trusted_proxies: Vec<String> = Vec::new(),
        /// Whether gRPC reflection shows the public services.
        pub reflection: bool = true,
        /// How many connections are open at once.
        pub connections: usize = 20_000,
        /// How many of them come from one address (IPv6: from one /64). Trusted proxies have no such limit.
        pub connections_per_address: usize = 1_000,
        /// How many calls are answered at once; more are refused with 503. Streams count until they have begun.
        pub calls: usize = 1_024,
        /// How long a TLS handshake may take, in seconds.
        pub handshake_seconds: u64 = 5,
        /// How long the head of a request may take, from the first moment of a connection or its first byte, in seconds.
        pub head_seconds: u64 = 10,
        /// How long a body may take to come, and may pause, in seconds; it gets one more for every 16 KiB.
        pub body_seconds: u64 = 10,
        /// How much memory all the bodies that are on their way may take, in MiB. When it is used up, those that have been coming for
        /// longest make room.
        pub bodies_mib: usize = 64,
        /// How long a connection without requests stays open, in seconds.
        pub idle_seconds: u64 = 75,
        /// How long a client may leave an answer unread before its connection is cut, in seconds.
        pub stall_seconds: u64 = 20,
        /// How old a connection gets before it is asked to leave, in seconds, give or take a tenth: so clients spread over processes.
        pub age_seconds: u64 = 3_600,
        /// How long such a connection may go on with what it has begun, in seconds.
        pub age_grace_seconds: u64 = 300,
    }
}

guildhall_mesh::settings! {
    /// How often clients may call. Each class has a rate, and a burst that may come at once. People are counted by their account,
    /// everyone else by address (IPv6: by /64).
    pub struct LimitSettings {
        /// How many addresses and people are remembered; the least active is forgotten first.
        pub remembered: usize = 50_000,
        /// All requests of one address, a minute.
        pub address_per_minute: u32 = 30_000,
        /// At once.
        pub address_burst: u32 = 2_000,
        /// Ordinary calls, a minute.
        pub ordinary_per_minute: u32 = 3_000,
        /// At once.
        pub ordinary_burst: u32 = 300,
        /// Calls that add or change content, a minute.
        pub write_per_minute: u32 = 600,
        /// At once.
        pub write_burst: u32 = 100,
        /// Searches, a minute.
        pub search_per_minute: u32 = 120,
        /// At once.
        pub search_burst: u32 = 30,
        /// Live streams opened, a minute.
        pub stream_per_minute: u32 = 120,
        /// At once.
        pub stream_burst: u32 = 60,
        /// Signing in and refreshing, and opening an app without being signed in, of one address; changing a password; a minute.
        pub sign_in_per_minute: u32 = 60,
        /// At once.
        pub sign_in_burst: u32 = 60,
        /// New accounts of one address, a minute.
        pub register_per_minute: u32 = 6,
        /// At once.
        pub register_burst: u32 = 20,
    }
}

/// The times of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// For the TLS handshake.
    pub(crate) handshake: Duration,
    /// For the head of a request.
    pub(crate) head: Duration,
    /// Without requests.
    pub(crate) idle: Duration,
    /// With an answer that nobody reads.
    pub(crate) stall: Duration,
    /// Until it is asked to leave.
    pub(crate) age: Duration,
    /// From then on.
    pub(crate) grace: Duration,
}

impl GatewaySettings {
    /// Checks what types cannot. Whether files can be read and ports be had, only trying tells.
    ///
    /// # Errors
    /// [`BadSettings`] names the setting and says what it may be.
    pub fn check(&self) -> Result<(), BadSettings> {
        let address = self.listen.rsplit_once(':');
        let has_port =
            address.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port {
            let wrong = format!(
                "must be an address and a port like 127.0.0.1:8080, not \"{}\"",
                self.listen
            );
            return Err(BadSettings::new("gateway.listen", wrong));
        }
        self.tls_files()?;
        Origins::parse(&self.public_origins, &self.origins)?;
        Proxies::parse(&self.trusted_proxies)?;
        self.check_room()?;
        self.timing()?;
        self.body_time()?;
        Ok(())
    }

    /// The files of certificate and key; `None` without TLS.
    ///
    /// # Errors
    /// [`BadSettings`] where one of them is missing.
    pub(crate) fn tls_files(&self) -> Result<Option<(&str, &str)>, BadSettings> {
        match (self.tls_cert.as_str(), self.tls_key.as_str()) {
            ("", "") => Ok(None),
            (_, "") => Err(BadSettings::new(
                "gateway.tls_key",
                "is needed beside gateway.tls_cert",
            )),
            ("", _) => Err(BadSettings::new(
                "gateway.tls_cert",
                "is needed beside gateway.tls_key",
            )),
            files => Ok(Some(files)),
        }
    }

    /// The times of a connection, none of them zero.
    ///
    /// # Errors
    /// [`BadSettings`] names the one that is.
    pub(crate) fn timing(&self) -> Result<Timing, BadSettings> {
        Ok(Timing {
            handshake: seconds("handshake_seconds", self.handshake_seconds)?,
            head: seconds("head_seconds", self.head_seconds)?,
            idle: seconds("idle_seconds", self.idle_seconds)?,
            stall: seconds("stall_seconds", self.stall_seconds)?,
            age: seconds("age_seconds", self.age_seconds)?,
            grace: seconds("age_grace_seconds", self.age_grace_seconds)?,
        })
    }

    /// The time for a body.
    ///
    /// # Errors
    /// [`BadSettings`] where it is zero.
    pub(crate) fn body_time(&self) -> Result<Duration, BadSettings> {
        seconds("body_seconds", self.body_seconds)
    }

    /// How much a client may have open and under way.
    ///
    /// # Errors
    /// [`BadSettings`] where nothing could be served at all.
    pub(crate) fn check_room(&self) -> Result<(), BadSettings> {
        for (key, value) in [
            ("connections", self.connections),
            ("connections_per_address", self.connections_per_address),
            ("calls", self.calls),
            ("bodies_mib", self.bodies_mib),
        ] {
            if value == 0 {
                return Err(BadSettings::new(
                    &format!("gateway.{key}"),
                    "must be above 0",
                ));
            }
        }
        Ok(())
    }
}

fn seconds(key: &str, value: u64) -> Result<Duration, BadSettings> {
    // A timer has to end some day.
    if (1..=31_536_000).contains(&value) {
        Ok(Duration::from_secs(value))
    } else {
        Err(BadSettings::new(
            &format!("gateway.{key}"),
            "must be between 1 and 31536000 (a year)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_kept_and_a_zero_is_refused_by_name() {
        let settings = GatewaySettings::default();
        settings.timing().expect("good times");
        settings.check_room().expect("room");

        let none = GatewaySettings {
            head_seconds: 0,
            connections: 0,
            ..settings
        };

        let (time, room) = (none.timing(), none.check_room());
        assert!(time.is_err_and(|error| error.to_string().contains("gateway.head_seconds")));
        assert!(room.is_err_and(|error| error.to_string().contains("gateway.connections")));
    }
}
