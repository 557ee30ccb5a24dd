//! By which name a browser asks for this hall, and whether that name can be believed.
//!
//! A browser takes a page and our answers for one site where both came under one name. Whoever owns a domain can point it at this
//! machine (DNS rebinding), so over plain http, or through a proxy, a name proves nothing, unless it cannot be pointed anywhere, as
//! `localhost` and bare addresses, or the settings know it.

use std::net::IpAddr;

use guildhall_mesh::config::BadSettings;
use http::{HeaderMap, Uri, header::HOST, uri::Authority};

/// What a request takes us for: a name or an address, and the port where it is told, in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host(Authority);

impl Host {
    /// Reads it from a request; `None` where there is none, or none that can be read.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let told = uri
            .authority()
            .map(Authority::as_str)
            .or_else(|| headers.get(HOST)?.to_str().ok())?;
        Self::parse(told)
    }

    fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.to_ascii_lowercase().parse().ok()?;
        (!authority.as_str().contains('@')).then_some(Self(authority))
    }

    /// As browsers write it: `hall.example.org`, `127.0.0.1:8080`, `[::1]:8080`.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether browsers mean their own machine by it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.is_localhost() || self.address().is_some_and(|address| address.is_loopback())
    }

    fn is_localhost(&self) -> bool {
        self.0.host() == "localhost"
    }

    fn address(&self) -> Option<IpAddr> {
        let host = self.0.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(host).parse().ok()?;
        Some(address.to_canonical())
    }
}

/// The names of this hall that the settings know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Vec<Host>);

impl Names {
    /// Reads the list of the settings.
    ///
    /// # Errors
    /// [`BadSettings`] for what is no origin, and for plain http, over which browsers keep no cookies of ours.
    pub(crate) fn parse(origins: &[String]) -> Result<Self, BadSettings> {
        let hosts = origins.iter().map(|origin| {
            let host = origin.strip_prefix("https://").and_then(Host::parse);
            host.filter(|host| !host.as_str().contains('*')).ok_or_else(|| {
                let wrong = format!("`{origin}` is no origin like https://hall.example.org, without path or slash at the end");
                BadSettings::new("gateway.public_origins", wrong)
            })
        });
        Ok(Self(hosts.collect::<Result<_, _>>()?))
    }

    /// Whether nobody else can have pointed this name at us.
    pub(crate) fn are_ours(&self, host: &Host) -> bool {
        host.is_localhost() || host.address().is_some() || self.0.contains(host)
    }

    /// Whether it is one of the origins in the settings.
    pub(crate) fn list(&self, origin: &str) -> bool {
        let host = origin.strip_prefix("https://").and_then(Host::parse);
        host.is_some_and(|host| self.0.contains(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).expect("a host")
    }

    #[test]
    fn a_name_that_can_be_pointed_at_us_is_ours_only_where_the_settings_say_so() {
        let names = Names::parse(&["https://Hall.Example.org".into()]).expect("an origin");

        for ours in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1",
            "192.168.1.5:8080",
            "[::1]:8080",
            "[2001:db8::7]",
            "hall.example.org",
            "HALL.example.org",
        ] {
            assert!(names.are_ours(&host(ours)), "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "hall.example.org:8443",
            "evil.hall.example.org",
        ] {
            assert!(!names.are_ours(&host(foreign)), "{foreign}");
        }
    }

    #[test]
    fn only_this_machines_own_names_are_loopback() {
        for local in [
            "localhost",
            "127.8.9.10:1",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(host(local).is_loopback(), "{local}");
        }
        for other in ["192.168.1.5", "hall.example.org", "127.0.0.1.evil.example"] {
            assert!(!host(other).is_loopback(), "{other}");
        }
    }

    #[test]
    fn what_is_no_origin_with_tls_is_refused_by_name() {
        for bad in [
            "http://hall.example.org",
            "hall.example.org",
            "https://hall.example.org/",
            "https://*.example.org",
            "https://a@hall.example.org",
            "https://",
            "",
        ] {
            let refused = Names::parse(&[bad.to_owned()]);
            assert!(
                refused.is_err_and(|error| error.to_string().contains("gateway.public_origins")),
                "{bad}"
            );
        }
    }
}
