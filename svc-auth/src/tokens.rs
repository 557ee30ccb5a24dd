//! Makes and reads refresh tokens, and makes access tokens.
//!
//! A refresh token is `session ‖ generation ‖ secret ‖ tag`. The secret is 256 bits that nobody can guess; the store keeps its digest.
//! The tag shows that the hall made the token, so that an old one is known for a reuse without a list of all that ever were, and that
//! what was merely made up ends nobody's session. The next secret is derived from the present one and from what only the hall knows: a
//! retry gets the identical token, and who holds an old token cannot compute a newer one.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{Ids, SessionId, Time, UserId};
use guildhall_mesh::token::{AUDIENCE, Claims, ISSUER};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use uuid::Builder;

use crate::{AuthError, keys::KeyRing, model::Digest};

const TAG: usize = 16;
const LENGTH: usize = 16 + 4 + 32 + TAG;

/// A refresh token that the hall made.
pub(crate) struct RefreshToken {
    pub(crate) session: SessionId,
    pub(crate) generation: u32,
    secret: SecretBox<[u8; 32]>,
}

/// An access token.
#[derive(Debug)]
pub(crate) struct AccessToken {
    pub(crate) text: SecretString,
    pub(crate) expires_at: Time,
}

/// Makes tokens.
pub(crate) struct Mint {
    /// What refresh tokens are derived and tagged with.
    key: hmac::Key,
    keys: Arc<KeyRing>,
    ids: Arc<dyn Ids>,
    access_time: Duration,
}

impl Mint {
    pub(crate) fn new(
        secret: &[u8; 32],
        keys: Arc<KeyRing>,
        ids: Arc<dyn Ids>,
        access_time: Duration,
    ) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            keys,
            ids,
            access_time,
        }
    }

    /// The first token of a session.
    pub(crate) fn first(&self, session: SessionId) -> RefreshToken {
        let mut secret = [0; 32];
        self.ids.random(&mut secret);
        RefreshToken {
            session,
            generation: 1,
            secret: SecretBox::new(Box::new(secret)),
        }
    }

    /// The one that follows; the same however often it is asked.
    pub(crate) fn next(&self, token: &RefreshToken) -> RefreshToken {
        let generation = token.generation.saturating_add(1);
        let secret = self.derive(
            b"next",
            token.session,
            generation,
            token.secret.expose_secret(),
        );
        RefreshToken {
            session: token.session,
            generation,
            secret: SecretBox::new(Box::new(secret)),
        }
    }

    /// The token as its owner gets it.
    pub(crate) fn write(&self, token: &RefreshToken) -> SecretString {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(token.session.bytes());
        bytes.extend_from_slice(&token.generation.to_be_bytes());
        bytes.extend_from_slice(token.secret.expose_secret());
        bytes.extend_from_slice(&self.tag(token));
        URL_SAFE_NO_PAD.encode(bytes).into()
    }

    /// Reads what somebody presents; `None` where the hall did not make it.
    pub(crate) fn read(&self, text: &SecretString) -> Option<RefreshToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text.expose_secret()).ok()?;
        let bytes: [u8; LENGTH] = bytes.try_into().ok()?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<4>()?;
        let (secret, tag) = rest.split_first_chunk::<32>()?;
        let token = RefreshToken {
            session: SessionId::from_bytes(*session),
            generation: u32::from_be_bytes(*generation),
            secret: SecretBox::new(Box::new(*secret)),
        };
        verify_slices_are_equal(&self.tag(&token), tag).ok()?;
        Some(token)
    }

    /// The access token of a session's generation that began at an instant. The same for a retry, as long as the same key signs.
    pub(crate) fn access(
        &self,
        user: UserId,
        token: &RefreshToken,
        from: Time,
        session_ends: Time,
    ) -> Result<AccessToken, AuthError> {
        let ends = from.plus(self.access_time).min(session_ends);
        let name = self.derive(b"access", token.session, token.generation, &[]);
        let mut id = [0; 16];
        id.copy_from_slice(&name[..16]);
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: token.session.to_string(),
            jti: Builder::from_custom_bytes(id).into_uuid().to_string(),
            iat: from.seconds(),
            nbf: from.seconds(),
            exp: ends.seconds(),
        };
        let text = self.keys.sign(&claims)?.into();
        Ok(AccessToken {
            text,
            expires_at: Time::from_micros(claims.exp.saturating_mul(1_000_000)),
        })
    }

    fn tag(&self, token: &RefreshToken) -> [u8; TAG] {
        let secret = token.secret.expose_secret();
        let whole = self.derive(b"tag", token.session, token.generation, secret);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&whole[..TAG]);
        tag
    }

    fn derive(&self, purpose: &[u8], session: SessionId, generation: u32, from: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // Each part but the last has a fixed length, so no two inputs read alike.
        context.update(&digest(&SHA256, purpose).as_ref()[..8]);
        context.update(session.bytes());
        context.update(&generation.to_be_bytes());
        context.update(from);
        let mut derived = [0; 32];
        derived.copy_from_slice(context.sign().as_ref());
        derived
    }
}

impl RefreshToken {
    /// What the store keeps of it.
    pub(crate) fn digest(&self) -> Digest {
        let mut kept = [0; 32];
        kept.copy_from_slice(digest(&SHA256, self.secret.expose_secret()).as_ref());
        kept
    }
}
