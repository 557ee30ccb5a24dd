//! The services behind the gateway, and which of them answers what.

use guildhall_mesh::Link;

/// The links that the gateway is given.
#[derive(Debug, Clone)]
pub struct Links {
    /// To auth.
    pub auth: Link,
    /// To chat.
    pub chat: Link,
}

/// Those links, and one to the gateway's own services. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    links: Links,
    own: Link,
}

impl Clients {
    /// `own` leads to the services of `guildhall.live.v1`.
    pub(crate) fn new(links: Links, own: Link) -> Self {
        Self { links, own }
    }

    /// The link to auth.
    pub(crate) fn auth(&self) -> &Link {
        &self.links.auth
    }

    /// The link to the service that answers an rpc, by its path.
    pub(crate) fn to(&self, path: &str) -> Option<&Link> {
        let package = path.strip_prefix("/guildhall.")?.split('.').next()?;
        match package {
            "auth" => Some(&self.links.auth),
            "chat" => Some(&self.links.chat),
            "live" => Some(&self.own),
            _ => None,
        }
    }
}
