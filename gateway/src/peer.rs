//! Who is at the other end: the address of a client, and whether its way to us is safe, also through proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use guildhall_mesh::config::BadSettings;
use http::{HeaderMap, Uri};

use crate::host::{Host, Names};

/// The other end of a connection, as the socket has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote {
    /// Its address: the client's, or that of the last proxy.
    pub(crate) address: SocketAddr,
    /// Whether the connection is TLS.
    pub(crate) tls: bool,
}

/// The client of one request.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Its address, as far as trusted proxies vouch for it.
    pub(crate) address: IpAddr,
    /// Whether it came by TLS.
    pub(crate) tls: bool,
    /// Whether cookies count between its browser and us.
    pub(crate) cookies: Cookies,
    /// The origin of this hall's own pages, as that client sees it.
    pub(crate) own_origin: Option<String>,
}

/// Whether cookies count on the way that a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// The browser keeps them, and shows them to this hall alone.
    Count,
    /// It is plain http beyond this machine, where browsers drop ours.
    NeedTls,
    /// It leads by a name that anybody can give to this machine.
    NeedName,
}

/// The proxies in front of the hall, the only ones whose word counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(Vec<Network>);

impl Proxies {
    /// Reads addresses and networks.
    ///
    /// # Errors
    /// [`BadSettings`] for what is neither.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, BadSettings> {
        let networks = texts.iter().map(|text| {
            Network::parse(text).ok_or_else(|| {
                let wrong = format!("`{text}` is no address and no network like 10.0.0.0/8");
                BadSettings::new("gateway.trusted_proxies", wrong)
            })
        });
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }

    /// Whether this address is a proxy of ours.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.holds(address))
    }

    /// Finds the client of a request. Hops are read from the right: the last one that we do not trust is the client, and whatever it
    /// wrote to the left of itself is its own business.
    pub(crate) fn client(
        &self,
        remote: Remote,
        headers: &HeaderMap,
        uri: &Uri,
        names: &Names,
    ) -> Client {
        let socket = remote.address.ip().to_canonical();
        let behind_proxy = self.trust(socket);
        let address = if behind_proxy {
            self.forwarded_for(socket, headers)
        } else {
            socket
        };
        let tls = remote.tls || (behind_proxy && forwarded_https(headers));
        // A proxy on this machine that nobody told us to trust makes strangers look local.
        let is_local =
            address.is_loopback() && (behind_proxy || !headers.contains_key("x-forwarded-for"));
        let host = Host::of(uri, headers);
        // Behind our own certificate there is no need to ask: the browser has compared the name with it.
        let is_ours = remote.tls || host.as_ref().is_some_and(|host| names.are_ours(host));
        let cookies = if !is_ours {
            Cookies::NeedName
        } else if tls || (is_local && host.as_ref().is_some_and(Host::is_loopback)) {
            Cookies::Count
        } else {
            Cookies::NeedTls
        };
        let scheme = if tls { "https" } else { "http" };
        Client {
            address,
            tls,
            cookies,
            own_origin: host.map(|host| format!("{scheme}://{}", host.as_str())),
        }
    }

    fn forwarded_for(&self, socket: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = socket;
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or("").rsplit(','));
        for hop in hops {
            // What cannot be read was not written by a proxy of ours.
            let Some(hop) = parse_hop(hop.trim()) else {
                return address;
            };
            address = hop;
            if !self.trust(hop) {
                return address;
            }
        }
        address
    }
}

/// Whether the nearest proxy says that its client came by TLS.
fn forwarded_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all("x-forwarded-proto").iter().next_back();
    let text = last
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.rsplit(',')
        .next()
        .is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

/// An address, with or without a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text
        .parse()
        .ok()
        .or_else(|| {
            text.parse::<SocketAddr>()
                .ok()
                .map(|with_port| with_port.ip())
        })
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address: IpAddr| address.to_canonical())
}

/// The address that stands for everybody who shares it: an IPv4 address, or the first 64 bits of an IPv6 one, which is what one
/// customer gets.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy)]
struct Network {
    first: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().ok()?;
        let all = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        (bits <= all).then_some(Self { first, bits })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(texts: &[&str]) -> Proxies {
        let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        Proxies::parse(&texts).expect("networks")
    }

    fn client(proxies: &Proxies, socket: &str, headers: &[(&'static str, &str)]) -> Client {
        let names = Names::parse(&["https://hall.example.org".into()]).expect("an origin");
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        let remote = Remote {
            address: SocketAddr::new(socket.parse().expect("an address"), 4_000),
            tls: false,
        };
        proxies.client(remote, &map, &Uri::from_static("/"), &names)
    }

    #[test]
    fn a_stranger_that_names_other_addresses_is_taken_for_itself() {
        let headers = [
            ("x-forwarded-for", "198.51.100.9"),
            ("x-forwarded-proto", "https"),
        ];

        let found = client(&proxies(&["10.0.0.0/8"]), "203.0.113.5", &headers);

        assert_eq!(found.address.to_string(), "203.0.113.5");
        assert!(!found.tls && found.cookies != Cookies::Count);
    }

    #[test]
    fn behind_proxies_the_right_most_stranger_is_the_client() {
        let proxies = proxies(&["10.0.0.0/8", "2001:db8::/32"]);
        for (line, expected) in [
            ("198.51.100.9", "198.51.100.9"),
            ("1.1.1.1, 198.51.100.9", "198.51.100.9"),
            ("1.1.1.1, 198.51.100.9, 10.1.2.3", "198.51.100.9"),
            ("198.51.100.9:4711, [2001:db8::7]", "198.51.100.9"),
            ("1.1.1.1, unknown, 10.1.2.3", "10.1.2.3"),
            ("", "10.0.0.1"),
        ] {
            let found = client(&proxies, "10.0.0.1", &[("x-forwarded-for", line)]);
            assert_eq!(found.address.to_string(), expected, "{line}");
        }
    }

    #[test]
    fn lines_of_the_header_are_read_from_the_last_one() {
        let headers = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
        ];

        let found = client(&proxies(&["10.0.0.1"]), "::ffff:10.0.0.1", &headers);

        assert_eq!(found.address.to_string(), "2.2.2.2");
    }

    #[test]
    fn cookies_count_on_this_machine_and_by_tls_under_a_name_of_ours() {
        use Cookies::{Count, NeedName, NeedTls};
        let (none, some) = (proxies(&[]), proxies(&["127.0.0.1", "10.0.0.1"]));
        let from = ("x-forwarded-for", "198.51.100.9");
        let https = ("x-forwarded-proto", "https");
        let host = |host| ("host", host);

        for (proxies, socket, headers, expected) in [
            (&none, "127.0.0.1", vec![host("localhost:8080")], Count),
            (&none, "127.0.0.1", vec![host("127.0.0.1:8080")], Count),
            (&none, "::1", vec![host("[::1]:8080")], Count),
            // A proxy on this machine that nobody told us of, with and without a word on its client.
            (&none, "127.0.0.1", vec![host("hall.example.org")], NeedTls),
            (&none, "127.0.0.1", vec![host("192.168.1.5")], NeedTls),
            (&none, "127.0.0.1", vec![host("localhost"), from], NeedTls),
            (
                &none,
                "127.0.0.1",
                vec![host("localhost"), from, https],
                NeedTls,
            ),
            // A domain that points here.
            (
                &none,
                "127.0.0.1",
                vec![host("evil.example:8080")],
                NeedName,
            ),
            (&none, "127.0.0.1", vec![], NeedName),
            // Another machine.
            (
                &none,
                "192.168.1.9",
                vec![host("192.168.1.5:8080")],
                NeedTls,
            ),
            (&none, "192.168.1.9", vec![host("localhost:8080")], NeedTls),
            (
                &none,
                "192.168.1.9",
                vec![host("hall.example.org"), https],
                NeedTls,
            ),
            // A proxy of ours; what it says of TLS can be said by a page of any domain that points at this machine, too.
            (
                &some,
                "10.0.0.1",
                vec![host("hall.example.org"), from, https],
                Count,
            ),
            (
                &some,
                "10.0.0.1",
                vec![host("hall.example.org"), from],
                NeedTls,
            ),
            (
                &some,
                "10.0.0.1",
                vec![host("10.0.0.2:8080"), from, https],
                Count,
            ),
            (
                &some,
                "10.0.0.1",
                vec![host("evil.example"), from, https],
                NeedName,
            ),
            (
                &some,
                "127.0.0.1",
                vec![host("evil.example"), https],
                NeedName,
            ),
        ] {
            let found = client(proxies, socket, &headers);
            assert_eq!(found.cookies, expected, "{socket} {headers:?}");
        }
    }

    #[test]
    fn behind_our_own_certificate_every_name_is_ours() {
        let remote = Remote {
            address: ([192, 168, 1, 9], 4_000).into(),
            tls: true,
        };
        let mut headers = HeaderMap::new();
        headers.insert("host", "any.example.org".parse().expect("a value"));

        let found =
            proxies(&[]).client(remote, &headers, &Uri::from_static("/"), &Names::default());

        assert_eq!(found.cookies, Cookies::Count);
        assert_eq!(found.own_origin.as_deref(), Some("https://any.example.org"));
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for text in ["10.0.0.0/33", "proxy.local", "::/129", "10.0.0.0/x"] {
            let refused = Proxies::parse(&[text.to_owned()]);
            assert!(
                refused.is_err_and(|error| error.to_string().contains(text)),
                "{text}"
            );
        }
    }
}
