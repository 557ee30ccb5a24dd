//! The keys that sign access tokens: Ed25519. A new one is shown to everybody before it signs, the ones before verify until their
//! last token has ended.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{Clock, Ids, Time};
use guildhall_mesh::token::{Claims, TYPE};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tracing::info;

use crate::{
    AuthError,
    store::{Store, Write, key, key::StoredKey},
};

/// How long a new key is shown before it signs: every auth process looks at the keys once a minute, and who verifies asks one of them
/// every 30 s.
const SHOWN_FIRST: Duration = Duration::from_secs(120);
/// How long a key may be needed after the next one was made: until that one signs, in the process that learns of it last; then the
/// longest that an access token can live by any settings; and a minute that the clocks of two machines may be apart.
const LAST_TOKEN: Duration = Duration::from_secs(SHOWN_FIRST.as_secs() + 60 + 30 * 60 + 60);
/// What stands before the 32 bytes of a seed in the PKCS #8 form of an Ed25519 key (RFC 8410).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The keys of this hall.
pub(crate) struct KeyRing {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    key_time: Duration,
    /// Read for every token, replaced when a key comes or goes; never held across an await.
    ring: RwLock<Arc<Ring>>,
}

struct Ring {
    id: String,
    signing: EncodingKey,
    jwks: String,
}

impl KeyRing {
    /// Loads the keys, making the first one where there is none.
    pub(crate) async fn open(
        store: Store,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        key_time: Duration,
    ) -> Result<Self, AuthError> {
        let ring = turn(&store, clock.as_ref(), ids.as_ref(), key_time).await?;
        Ok(Self {
            store,
            clock,
            ids,
            key_time,
            ring: RwLock::new(Arc::new(ring)),
        })
    }

    /// Takes a new key where the newest is old enough, drops those whose last token has ended, and learns of keys that another
    /// process made.
    pub(crate) async fn turn(&self) -> Result<(), AuthError> {
        let ring = turn(
            &self.store,
            self.clock.as_ref(),
            self.ids.as_ref(),
            self.key_time,
        )
        .await?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }

    /// The public keys as a JSON Web Key Set, the newest first.
    pub(crate) fn jwks(&self) -> String {
        self.ring().jwks.clone()
    }

    /// Signs with the newest key that everybody knows.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, AuthError> {
        let ring = self.ring();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(ring.id.clone());
        encode(&header, claims, &ring.signing).map_err(AuthError::Signing)
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn turn(
    store: &Store,
    clock: &dyn Clock,
    ids: &dyn Ids,
    key_time: Duration,
) -> Result<Ring, AuthError> {
    let now = clock.now();
    let stored = key::all(store.entities().read()).await?;
    let is_due = stored
        .first()
        .is_none_or(|newest| newest.created_at.plus(key_time) <= now);
    let is_over = |keys: &[StoredKey]| {
        // A key's tokens end some time after the next key took over.
        keys.windows(2)
            .any(|pair| pair[0].created_at.plus(LAST_TOKEN) <= now)
    };
    let stored = if is_due || is_over(&stored) {
        renew(store, now, ids, key_time).await?
    } else {
        stored
    };
    ring(&stored, now)
}

async fn renew(
    store: &Store,
    now: Time,
    ids: &dyn Ids,
    key_time: Duration,
) -> Result<Vec<StoredKey>, AuthError> {
    store
        .write(async |write: &Write| {
            write.alone("signing keys").await?;
            // Looked at once more: another process may have been faster.
            let mut keys = key::all(write).await?;
            if keys
                .first()
                .is_none_or(|newest| newest.created_at.plus(key_time) <= now)
            {
                let mut seed = [0; 32];
                ids.random(&mut seed);
                let new = StoredKey {
                    id: key_id(&public(&seed)?),
                    seed,
                    created_at: now,
                };
                key::add(write, &new).await?;
                info!(kid = new.id, "a new key is to sign access tokens");
                keys.insert(0, new);
            }
            let kept = 1 + keys
                .windows(2)
                .take_while(|pair| pair[0].created_at.plus(LAST_TOKEN) > now)
                .count();
            for old in keys.split_off(kept) {
                key::drop_key(write, &old.id).await?;
                info!(kid = old.id, "an old key was dropped");
            }
            Ok(keys)
        })
        .await
}

fn ring(keys: &[StoredKey], now: Time) -> Result<Ring, AuthError> {
    // The first key of a hall has nobody before it.
    let known = keys
        .iter()
        .find(|key| key.created_at.plus(SHOWN_FIRST) <= now);
    let signing = known.or(keys.last()).ok_or(AuthError::BadKey)?;
    let public_keys = keys.iter().map(|key| {
        let x = URL_SAFE_NO_PAD.encode(public(&key.seed)?);
        Ok(json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id, "x": x,
        }))
    });
    let public_keys: Vec<_> = public_keys.collect::<Result<_, AuthError>>()?;
    Ok(Ring {
        id: signing.id.clone(),
        signing: EncodingKey::from_ed_der(&[&PKCS8[..], &signing.seed].concat()),
        jwks: json!({ "keys": public_keys }).to_string(),
    })
}

fn public(seed: &[u8; 32]) -> Result<Vec<u8>, AuthError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| AuthError::BadKey)?;
    Ok(pair.public_key().as_ref().to_vec())
}

/// A key is named by what it is.
fn key_id(public: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, public).as_ref()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(at: Time, seed: u8) -> StoredKey {
        let seed = [seed; 32];
        let id = key_id(&public(&seed).expect("a key"));
        StoredKey {
            id,
            seed,
            created_at: at,
        }
    }

    #[test]
    fn a_new_key_is_shown_before_it_signs_and_the_first_one_signs_at_once() {
        let start = Time::from_micros(1_000_000);
        let (first, next) = (made(start, 1), made(start.plus(LAST_TOKEN), 2));
        let both = [next.clone(), first.clone()];

        let alone = ring(&both[1..], start).expect("a ring");
        let shown = ring(&both, next.created_at).expect("a ring");
        let known = ring(&both, next.created_at.plus(SHOWN_FIRST)).expect("a ring");

        assert_eq!(alone.id, first.id);
        assert_eq!(shown.id, first.id);
        assert!(shown.jwks.contains(&next.id) && shown.jwks.contains(&first.id));
        assert_eq!(known.id, next.id);
    }
}
