//! Who sends a request: cookies become what services understand, and nothing that only we may say comes in from outside.
//!
//! A bearer header wins over cookies. A call that stands on a cookie has to prove that a page of ours makes it: by the CSRF token, that
//! only an answer of ours can have told it, and by what the browser says of the page's origin. Under a name that anybody can point at us
//! every page is of our origin, so there cookies do not count at all; neither do they over plain http beyond this machine.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use guildhall_kernel::{Kind, UserId};
use guildhall_mesh::{Reason, access::Access, guard::bearer, status::refusal, token::csrf_of};
use http::{
    HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, ORIGIN, USER_AGENT},
    request::Parts,
};
use tonic::Status;

use crate::{
    live::ByCookie,
    peer::{Client, Cookies},
    target::{START, Target},
    wire::{Wire, text},
};

pub(crate) mod cookies;
pub(crate) mod inside;
pub(crate) mod origin;

use cookies::Brought;
use origin::Origins;

/// The header in which a page sends its CSRF token.
pub(crate) const CSRF: &str = "x-csrf-token";
/// The longest name of a client that is passed on, in bytes.
const AGENT: usize = 200;

/// Beside `START`, the calls that work without an access token but with the refresh cookie.
const REFRESH: &str = "/guildhall.auth.v1.SessionService/Refresh";
const LOGOUT: &str = "/guildhall.auth.v1.SessionService/Logout";

/// Finds out who sends.
#[derive(Clone)]
pub(crate) struct Auth {
    /// Whose pages may call.
    pub(crate) origins: Origins,
    /// Who is who.
    pub(crate) access: Access,
}

/// The request as it stands in its cookies' favour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// No cookie counts.
    None,
    /// Reading by GET: a page of another site cannot see the answer.
    Reading,
    /// The CSRF token and, where said, the origin.
    Token,
    /// An allowed origin alone.
    Origin,
}

impl Auth {
    /// Dresses a request for the inside: strips what only we may say, says it, and turns cookies into a bearer.
    ///
    /// # Errors
    /// REASON_CSRF or REASON_ORIGIN_REFUSED, where a cookie does not suffice; REASON_COOKIES_NEED_TLS, where none can.
    pub(crate) fn admit(
        &self,
        request: &mut Parts,
        client: &Client,
        wire: Wire,
        target: &Target<'_>,
    ) -> Result<(), Status> {
        inside::strip(&mut request.headers);
        let mut brought = cookies::take(&mut request.headers);
        if request.headers.contains_key(AUTHORIZATION) {
            brought = Brought::default();
        }
        let path = target.rpc_path();
        // Who signs in or up is nobody yet: what an old cookie says does not matter, and must not stand in the way.
        let by_refresh = matches!(path, Some(START | REFRESH | LOGOUT));
        let asks_nobody = target.is_public_rpc() && !by_refresh;
        // And a page is the same for everybody.
        if asks_nobody || matches!(target, Target::Page(_)) {
            brought = Brought::default();
        }
        if !by_refresh {
            brought.refresh = None;
        }
        if brought != Brought::default() {
            may_count(client)?;
        }

        if matches!(target, Target::Live) && request.headers.contains_key(ORIGIN) {
            // A WebSocket is not held back by CORS.
            self.origins.check(&request.headers, client)?;
        }
        self.judge(
            proof(request, wire, target, &brought),
            request,
            client,
            &brought,
        )?;

        let headers = &mut request.headers;
        let mut say = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        say(inside::CLIENT, &client.address.to_string());
        if client.cookies == Cookies::Count {
            say(inside::COOKIES_OK, "1");
        }
        if let Some(token) = &brought.refresh {
            say(inside::REFRESH, token);
        }
        if let Some(token) = &brought.access {
            say(AUTHORIZATION.as_str(), &format!("Bearer {token}"));
            say(inside::COOKIE, "1");
            request.extensions.insert(ByCookie);
        }
        if let Some(agent) =
            text(&request.headers, USER_AGENT.as_str()).map(|text| clip(text).to_owned())
            && let Ok(agent) = HeaderValue::try_from(agent)
        {
            request.headers.insert(inside::AGENT, agent);
        }
        for secret in [AUTHORIZATION.as_str(), inside::REFRESH] {
            if let Some(value) = request.headers.get_mut(secret) {
                value.set_sensitive(true);
            }
        }
        Ok(())
    }

    /// Whose token comes along, for limits and logs; the services judge for themselves.
    pub(crate) async fn user(&self, request: &Parts) -> Option<UserId> {
        let token = bearer(&request.headers)?;
        self.access
            .verify(token)
            .await
            .ok()
            .map(|verified| verified.user)
    }

    fn judge(
        &self,
        proof: Proof,
        request: &Parts,
        client: &Client,
        brought: &Brought,
    ) -> Result<(), Status> {
        match proof {
            Proof::None | Proof::Reading => Ok(()),
            Proof::Origin => self.origins.demand(&request.headers, client),
            Proof::Token => {
                self.origins.check(&request.headers, client)?;
                let expected = csrf_of(brought.access.as_deref().unwrap_or_default());
                let sent = request
                    .headers
                    .get(CSRF)
                    .map_or(&b""[..], HeaderValue::as_bytes);
                verify_slices_are_equal(sent, expected.as_bytes()).map_err(|_| {
                    let detail = "with cookies, X-CSRF-Token has to hold the newest csrfToken from login, refresh or start";
                    refusal(Kind::Denied, Reason::Csrf, detail, &[], None)
                })
            }
        }
    }
}

/// Whether cookies count at all on the way that this client came.
fn may_count(client: &Client) -> Result<(), Status> {
    let (reason, detail) = match client.cookies {
        Cookies::Count => return Ok(()),
        Cookies::NeedName => (
            Reason::OriginRefused,
            "cookies do not count under this name, which the hall does not know as its own: the setting gateway.public_origins lists \
             its names; a bearer token counts under any",
        ),
        Cookies::NeedTls => (
            Reason::CookiesNeedTls,
            "over plain http cookies count on this machine only: come by https (a proxy that speaks it is named in the setting \
             gateway.trusted_proxies), or with a bearer token",
        ),
    };
    Err(refusal(Kind::Denied, reason, detail, &[], None))
}

/// What a request has to prove for its cookies to count.
fn proof(request: &Parts, wire: Wire, target: &Target<'_>, brought: &Brought) -> Proof {
    if brought.access.is_none() && brought.refresh.is_none() {
        return Proof::None;
    }
    match target.rpc_path() {
        Some(START | REFRESH) => return Proof::Origin,
        // Without an access cookie there is no token to compare.
        Some(LOGOUT) if brought.access.is_none() => return Proof::Origin,
        _ => {}
    }
    if matches!(target, Target::Live) {
        return Proof::Origin;
    }
    let reading = wire == Wire::Http && matches!(request.method, Method::GET | Method::HEAD);
    if reading {
        Proof::Reading
    } else {
        Proof::Token
    }
}

/// The beginning of a text, at most [`AGENT`] bytes. Header text is ASCII.
fn clip(text: &str) -> &str {
    text.get(..AGENT).unwrap_or(text)
}
