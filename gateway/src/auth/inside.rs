//! The headers that gateway and services speak with one another. No client can send one, and none gets out.

use http::{HeaderMap, HeaderName};

/// What all of them begin with.
const PREFIX: &str = "x-gh-";

/// The access token to be kept in a cookie; outward.
pub(crate) const ACCESS: &str = "x-gh-access";
/// For how long, in seconds; outward.
pub(crate) const ACCESS_MAX_AGE: &str = "x-gh-access-max-age";
/// The refresh token: outward to be kept in a cookie, inward as it came from one.
pub(crate) const REFRESH: &str = "x-gh-refresh";
/// For how long, in seconds; outward.
pub(crate) const REFRESH_MAX_AGE: &str = "x-gh-refresh-max-age";
/// Both cookies are to be cleared; outward.
pub(crate) const CLEAR: &str = "x-gh-clear";
/// The client's browser would keep cookies; inward.
pub(crate) const COOKIES_OK: &str = "x-gh-cookies-ok";
/// The bearer came from a cookie; inward.
pub(crate) const COOKIE: &str = "x-gh-cookie";
/// The client's address; inward.
pub(crate) const CLIENT: &str = "x-gh-client";
/// What the client calls itself; inward.
pub(crate) const AGENT: &str = "x-gh-agent";

/// Those that go in, for the transcoder's list.
pub(crate) const INWARD: [&str; 5] = [REFRESH, COOKIES_OK, COOKIE, CLIENT, AGENT];
/// Those that come out, for the transcoder's list.
pub(crate) const OUTWARD: [&str; 5] = [ACCESS, ACCESS_MAX_AGE, REFRESH, REFRESH_MAX_AGE, CLEAR];

/// Takes all of them out.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let inner: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(PREFIX))
        .cloned()
        .collect();
    for name in inner {
        headers.remove(name);
    }
}
