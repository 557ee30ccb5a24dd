//! Access tokens that verify, without `svc-auth`.

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{SessionId, Time, UserId};
use guildhall_mesh::token::{AUDIENCE, Claims, ISSUER, TYPE};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

/// How long its tokens are good.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);
/// What stands before the 32 bytes of a seed in the PKCS #8 form of an Ed25519 key (RFC 8410).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Signs access tokens with a key that everybody knows. Never near a real hall.
#[derive(Clone)]
pub struct Signer {
    id: String,
    key: EncodingKey,
    public: String,
}

impl Signer {
    /// The key of a seed byte; other bytes are other keys.
    pub fn of(seed: u8) -> Self {
        Self::with(&format!("test-{seed}"), &[seed; 32])
    }

    /// A key by its id and seed: for proofs that sign as a hall under test does.
    pub fn with(id: &str, seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed");
        let der = [&PKCS8[..], seed].concat();
        Self {
            id: id.to_owned(),
            key: EncodingKey::from_ed_der(&der),
            public: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
        }
    }

    /// The public half as a JSON Web Key Set.
    pub fn jwks(&self) -> String {
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": self.id, "x": self.public,
        });
        json!({ "keys": [key] }).to_string()
    }

    /// A token of this session, good for a quarter of an hour from `now`.
    pub fn token(&self, user: UserId, session: SessionId, now: Time) -> String {
        self.sign(&Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: session.to_string(),
            jti: session.to_string(),
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: now.plus(GOOD_FOR).seconds(),
        })
    }

    /// A token that says anything.
    pub fn sign(&self, claims: &Claims) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some(self.id.clone());
        encode(&header, claims, &self.key).expect("an Ed25519 key signs")
    }
}

#[cfg(test)]
mod tests {
    use guildhall_mesh::token::{BadToken, Keys};

    use super::*;
    use crate::{CountedIds, StoppedClock};

    #[test]
    fn a_token_verifies_with_its_own_key_set_until_it_ends() {
        let (user, session) = (
            UserId::of(CountedIds::nth(1)),
            SessionId::of(CountedIds::nth(2)),
        );
        let signer = Signer::of(1);
        let keys = Keys::parse(&signer.jwks()).expect("a key set");
        let token = signer.token(user, session, StoppedClock::START);

        let verified = keys.verify(&token, StoppedClock::START).expect("good");
        let later = StoppedClock::START.plus(GOOD_FOR + Duration::from_secs(60));

        assert_eq!((verified.user, verified.session), (user, session));
        assert_eq!(keys.verify(&token, later), Err(BadToken::Expired));
        let other = Keys::parse(&Signer::of(2).jwks()).expect("a key set");
        assert_eq!(
            other.verify(&token, StoppedClock::START),
            Err(BadToken::UnknownKey)
        );
    }
}
