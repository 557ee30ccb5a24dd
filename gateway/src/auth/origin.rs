//! Which sites' pages may call.

use guildhall_kernel::Kind;
use guildhall_mesh::{Reason, config::BadSettings, status::refusal};
use http::{HeaderMap, Uri, header::ORIGIN};
use tonic::Status;

use crate::{host::Names, peer::Client, wire::text};

/// The allowed origins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    /// The hall's own, beside the one that a request itself shows.
    pub(crate) own: Names,
    /// Those of other sites.
    others: Vec<String>,
}

impl Origins {
    /// Reads the lists of the settings: by which names the hall goes, and the other sites.
    ///
    /// # Errors
    /// [`BadSettings`] for what is no origin; there is no wild card.
    pub(crate) fn parse(own: &[String], others: &[String]) -> Result<Self, BadSettings> {
        let origins = others.iter().map(|text| {
            is_origin(text).then(|| text.to_ascii_lowercase()).ok_or_else(|| {
                let wrong = format!("`{text}` is no origin like https://app.example.org, without path or slash at the end");
                BadSettings::new("gateway.origins", wrong)
            })
        });
        Ok(Self {
            own: Names::parse(own)?,
            others: origins.collect::<Result<_, _>>()?,
        })
    }

    /// Whether it is the origin of another site that may call.
    pub(crate) fn lists(&self, origin: &str) -> bool {
        self.others
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(origin))
    }

    /// Whether a page of this origin may call: the hall's own, or a listed one.
    pub(crate) fn allow(&self, origin: &str, client: &Client) -> bool {
        let own = client.own_origin.as_deref();
        own.is_some_and(|own| own.eq_ignore_ascii_case(origin))
            || self.own.list(origin)
            || self.lists(origin)
    }

    /// Checks that what the browser says of the calling page speaks for it. Where it says nothing there is nothing to check.
    ///
    /// # Errors
    /// REASON_ORIGIN_REFUSED.
    pub(crate) fn check(&self, headers: &HeaderMap, client: &Client) -> Result<(), Status> {
        let site = text(headers, "sec-fetch-site");
        let fine = match (headers.get(ORIGIN), site) {
            (_, Some("cross-site")) => false,
            (Some(origin), _) => origin
                .to_str()
                .is_ok_and(|origin| self.allow(origin, client)),
            (None, Some("same-origin" | "none") | None) => true,
            (None, Some(_)) => false,
        };
        if fine { Ok(()) } else { Err(refused()) }
    }

    /// Checks the same, and that the browser names an origin at all: for calls that have nothing else to prove that a page of ours
    /// makes them.
    ///
    /// # Errors
    /// REASON_ORIGIN_REFUSED.
    pub(crate) fn demand(&self, headers: &HeaderMap, client: &Client) -> Result<(), Status> {
        if !headers.contains_key(ORIGIN) {
            return Err(refused());
        }
        self.check(headers, client)
    }
}

/// The answer to a page that may not call.
fn refused() -> Status {
    let detail = "pages of this origin may not do this; the hall's settings list the ones that may";
    refusal(Kind::Denied, Reason::OriginRefused, detail, &[], None)
}

fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = uri
        .authority()
        .is_some_and(|at| text.ends_with(at.as_str()) && !at.as_str().contains(['@', '*']));
    known && bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host_and_nothing_else() {
        for good in ["https://app.example.org", "http://localhost:5173"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "https://*.example.org",
            "https://app.example.org/",
            "app.example.org",
            "https://a@b",
            "ftp://x",
            "null",
            "",
        ] {
            assert!(Origins::parse(&[], &[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
