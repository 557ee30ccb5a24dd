//! Reads access tokens: JWTs signed with EdDSA by `svc-auth`. Roles are never in them.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{SessionId, Time, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::{Deserialize, Serialize};

/// Who issues tokens.
pub const ISSUER: &str = "guildhall";
/// What access tokens are for; tokens for other purposes have another audience.
pub const AUDIENCE: &str = "guildhall/access";
/// The `typ` of access tokens (RFC 9068).
pub const TYPE: &str = "at+jwt";
/// How far the clocks of two machines may be apart, in seconds.
const LEEWAY: i64 = 5;

/// What an access token says. All of it is required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// The session's id.
    pub sid: String,
    /// The token's own id.
    pub jti: String,
    /// When it was issued, seconds since 1970 UTC.
    pub iat: i64,
    /// From when it is good.
    pub nbf: i64,
    /// Until when it is good.
    pub exp: i64,
}

/// A token that is what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub user: UserId,
    /// Of which session.
    pub session: SessionId,
    /// Until when it is good.
    pub expires_at: Time,
}

/// Why a token is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not one of ours, or damaged.
    #[error("the access token is not one of this hall's")]
    Invalid,
    /// Signed with a key that is not known here, perhaps a new one.
    #[error("the access token is signed with an unknown key")]
    UnknownKey,
    /// Ran out.
    #[error("the access token has expired")]
    Expired,
}

/// The public keys that tokens are verified with.
#[derive(Clone, Default)]
pub struct Keys {
    by_id: HashMap<String, DecodingKey>,
}

impl Keys {
    /// Reads a JSON Web Key Set; keys of other kinds than Ed25519 are left out.
    ///
    /// # Errors
    /// The parser's, where the text is no key set.
    pub fn parse(jwks: &str) -> Result<Self, serde_json::Error> {
        let set: JwkSet = serde_json::from_str(jwks)?;
        let known = set.keys.iter().filter_map(|key| {
            let id = key.common.key_id.clone()?;
            Some((id, DecodingKey::from_jwk(key).ok()?))
        });
        Ok(Self {
            by_id: known.collect(),
        })
    }

    /// Verifies a token at an instant.
    ///
    /// # Errors
    /// [`BadToken`] says why it is worth nothing.
    pub fn verify(&self, token: &str, now: Time) -> Result<Verified, BadToken> {
        let header = decode_header(token).map_err(|_| BadToken::Invalid)?;
        // Nothing in the header may choose a key, but `kid`, and nothing may ask for rules we do not know.
        let plain = header.jku.is_none()
            && header.jwk.is_none()
            && header.x5u.is_none()
            && header.x5c.is_none()
            && header.crit.is_none()
            && header.typ.as_deref() == Some(TYPE)
            && header.alg == Algorithm::EdDSA;
        if !plain {
            return Err(BadToken::Invalid);
        }
        let kid = header.kid.ok_or(BadToken::Invalid)?;
        let key = self.by_id.get(&kid).ok_or(BadToken::UnknownKey)?;

        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // The times are judged below, by our own clock.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = decode::<Claims>(token, key, &rules)
            .map_err(|_| BadToken::Invalid)?
            .claims;

        if claims.exp.saturating_add(LEEWAY) <= now.seconds() {
            return Err(BadToken::Expired);
        }
        if claims.nbf.saturating_sub(LEEWAY) > now.seconds() {
            return Err(BadToken::Invalid);
        }
        Ok(Verified {
            user: UserId::parse(&claims.sub).map_err(|_| BadToken::Invalid)?,
            session: SessionId::parse(&claims.sid).map_err(|_| BadToken::Invalid)?,
            expires_at: Time::from_micros(claims.exp.saturating_mul(1_000_000)),
        })
    }
}

/// The CSRF token that belongs to an access token: a page with cookies cannot read the access token, so only an answer of ours can
/// have told it.
pub fn csrf_of(access_token: &str) -> String {
    let mut input = b"guildhall csrf ".to_vec();
    input.extend_from_slice(access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, &input).as_ref()[..24])
}
