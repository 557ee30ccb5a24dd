//! How tokens travel: in the answer, or as cookies that the gateway makes of metadata.

use guildhall_kernel::Time;
use guildhall_mesh::{status, token::csrf_of};
use guildhall_proto::auth::v1 as pb;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
};

use super::{Reply, convert::timestamp};
use crate::{
    AuthError,
    sessions::{Device, SignedIn},
};

const ACCESS: &str = "x-gh-access";
const ACCESS_AGE: &str = "x-gh-access-max-age";
const REFRESH: &str = "x-gh-refresh";
const REFRESH_AGE: &str = "x-gh-refresh-max-age";
const CLEAR: &str = "x-gh-clear";
const COOKIES_OK: &str = "x-gh-cookies-ok";
const CLIENT: &str = "x-gh-client";
const AGENT: &str = "x-gh-agent";

/// The longest name of a device that is kept, in characters.
const AGENT_LONGEST: usize = 200;

/// Which way the tokens of an answer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In its fields.
    Fields,
    /// In cookies of the hall's own site.
    Cookies,
}

impl Way {
    /// The way that a client wishes, where cookies can work at all.
    pub(super) fn wished<T>(request: &Request<T>, cookie: bool) -> Result<Self, Status> {
        match (cookie, request.metadata().contains_key(COOKIES_OK)) {
            (false, _) => Ok(Self::Fields),
            (true, true) => Ok(Self::Cookies),
            (true, false) => Err(status(AuthError::CookiesNeedTls)),
        }
    }
}

/// The refresh token in a request, and the way that it came: the field wins over the cookie.
pub(super) fn refresh_token(field: String, metadata: &MetadataMap) -> Option<(SecretString, Way)> {
    if !field.is_empty() {
        return Some((field.into(), Way::Fields));
    }
    let cookie = metadata.get(REFRESH)?.to_str().ok()?;
    Some((cookie.to_owned().into(), Way::Cookies))
}

/// What signs in, as the gateway tells it.
pub(super) fn device<T>(request: &Request<T>) -> Device {
    let text = |name| {
        request
            .metadata()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let agent = text(AGENT).unwrap_or_default();
    Device {
        address: text(CLIENT).and_then(|address| address.parse().ok()),
        agent: agent
            .chars()
            .filter(|c| !c.is_control())
            .take(AGENT_LONGEST)
            .collect(),
    }
}

/// Tells the gateway to take the cookies away.
pub(super) fn cleared<T>(message: T) -> Response<T> {
    let mut answer = Response::new(message);
    answer
        .metadata_mut()
        .insert(CLEAR, MetadataValue::from_static("1"));
    answer
}

/// What the answers of register, login and refresh have in common.
pub(super) struct Tokens {
    account: pb::Account,
    access_token: String,
    access_expires_at: prost_types::Timestamp,
    refresh_token: String,
    csrf_token: Option<String>,
}

/// Answers with the tokens of a session, the way they should go.
pub(super) fn signed_in<T: From<Tokens>>(signed_in: SignedIn, way: Way, now: Time) -> Reply<T> {
    let SignedIn {
        account,
        session,
        access,
        refresh,
    } = signed_in;
    let (access_text, refresh_text) = (access.text.expose_secret(), refresh.expose_secret());
    let mut tokens = Tokens {
        account: account.into(),
        access_token: String::new(),
        access_expires_at: timestamp(access.expires_at),
        refresh_token: String::new(),
        csrf_token: None,
    };
    if way == Way::Fields {
        access_text.clone_into(&mut tokens.access_token);
        refresh_text.clone_into(&mut tokens.refresh_token);
        return Ok(Response::new(tokens.into()));
    }
    tokens.csrf_token = Some(csrf_of(access_text));
    let mut answer = Response::new(tokens.into());
    let metadata = answer.metadata_mut();
    metadata.insert(ACCESS, secret(access_text)?);
    metadata.insert(ACCESS_AGE, access.expires_at.since(now).as_secs().into());
    metadata.insert(REFRESH, secret(refresh_text)?);
    metadata.insert(
        REFRESH_AGE,
        session.idle_ends_at.since(now).as_secs().into(),
    );
    Ok(answer)
}

fn secret(text: &str) -> Result<MetadataValue<Ascii>, Status> {
    let mut value: MetadataValue<Ascii> = text
        .parse()
        .map_err(|_| Status::internal("a token is no header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

macro_rules! answers {
    ($($answer:ident),*) => {$(
        impl From<Tokens> for pb::$answer {
            fn from(tokens: Tokens) -> Self {
                Self {
                    account: Some(tokens.account),
                    access_token: tokens.access_token,
                    access_expires_at: Some(tokens.access_expires_at),
                    refresh_token: tokens.refresh_token,
                    csrf_token: tokens.csrf_token,
                }
            }
        }
    )*};
}

answers!(RegisterResponse, LoginResponse, RefreshResponse);
