//! The two cookies, in and out.

use cookie::{Cookie, SameSite, time::Duration};
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

use super::inside;
use crate::wire::text;

/// Holds the access token.
pub(crate) const ACCESS: &str = "__Host-guildhall-access";
/// Holds the refresh token.
pub(crate) const REFRESH: &str = "__Secure-guildhall-refresh";
/// Where the browser sends the refresh token.
const REFRESH_PATH: &str = "/api/v1/auth";

/// The tokens that a browser sent along.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Brought {
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
}

/// Takes the cookies out of a request: no service sees them.
pub(super) fn take(headers: &mut HeaderMap) -> Brought {
    let mut brought = Brought::default();
    for line in headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
    {
        for cookie in Cookie::split_parse(line).flatten() {
            let place = match cookie.name() {
                ACCESS => &mut brought.access,
                REFRESH => &mut brought.refresh,
                _ => continue,
            };
            // Browsers send one of a name; of two, the first counts.
            if place.is_none() && !cookie.value().is_empty() {
                *place = Some(cookie.value().to_owned());
            }
        }
    }
    headers.remove(COOKIE);
    brought
}

/// Turns the tokens that a service hands out into cookies, and takes every inner header out of an answer.
pub(crate) fn hand_out(headers: &mut HeaderMap) {
    let mut cookies = Vec::new();
    if text(headers, inside::CLEAR).is_some() {
        cookies.push(access(String::new(), 0));
        cookies.push(refresh(String::new(), 0));
    }
    let made = [
        (
            inside::ACCESS,
            inside::ACCESS_MAX_AGE,
            access as fn(String, i64) -> Cookie<'static>,
        ),
        (inside::REFRESH, inside::REFRESH_MAX_AGE, refresh),
    ];
    for (token, max_age, make) in made {
        if let Some(token) = text(headers, token) {
            let seconds = text(headers, max_age).and_then(|text| text.parse().ok());
            cookies.push(make(token.to_owned(), seconds.unwrap_or(0)));
        }
    }
    inside::strip(headers);
    for cookie in cookies {
        if let Ok(mut value) = HeaderValue::try_from(cookie.to_string()) {
            value.set_sensitive(true);
            headers.append(SET_COOKIE, value);
        }
    }
}

fn access(token: String, seconds: i64) -> Cookie<'static> {
    cookie(ACCESS, token, "/", seconds)
}

fn refresh(token: String, seconds: i64) -> Cookie<'static> {
    cookie(REFRESH, token, REFRESH_PATH, seconds)
}

fn cookie(name: &'static str, token: String, path: &'static str, seconds: i64) -> Cookie<'static> {
    Cookie::build((name, token))
        .path(path)
        .max_age(Duration::seconds(seconds))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Strict)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_among_others_and_taken_out() {
        let mut headers = HeaderMap::new();
        let line =
            "theme=dark; __Host-guildhall-access=a.b.c; broken; __Secure-guildhall-refresh=r";
        headers.append(COOKIE, HeaderValue::from_static(line));
        headers.append(
            COOKIE,
            HeaderValue::from_static("__Host-guildhall-access=second"),
        );

        let brought = take(&mut headers);

        assert_eq!(
            (brought.access.as_deref(), brought.refresh.as_deref()),
            (Some("a.b.c"), Some("r"))
        );
        assert!(headers.is_empty());
    }

    #[test]
    fn tokens_become_cookies_that_no_script_reads_and_no_other_site_sends() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (inside::ACCESS, "a.b.c"),
            (inside::ACCESS_MAX_AGE, "900"),
            (inside::REFRESH, "r"),
            (inside::REFRESH_MAX_AGE, "604800"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }

        hand_out(&mut headers);

        let set: Vec<_> = headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(
            set,
            [
                "__Host-guildhall-access=a.b.c; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=900",
                "__Secure-guildhall-refresh=r; HttpOnly; SameSite=Strict; Secure; Path=/api/v1/auth; Max-Age=604800",
            ]
        );
        assert_eq!(headers.len(), 2, "nothing inner is left: {headers:?}");
    }

    #[test]
    fn logging_out_clears_both() {
        let mut headers = HeaderMap::new();
        headers.insert(inside::CLEAR, HeaderValue::from_static("1"));

        hand_out(&mut headers);

        let cleared = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter(|value| value.to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(cleared.count(), 2);
    }
}
