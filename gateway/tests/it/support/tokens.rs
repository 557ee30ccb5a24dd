//! Tokens as auth would sign them.

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{SessionId, SpaceId, SystemClock, UserId};
use guildhall_mesh::{
    access::{Changes, Seat, Source},
    token::{AUDIENCE, Claims, ISSUER, TYPE},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use tonic::Status;
use uuid::Uuid;

/// Signs tokens, and knows that every session lives.
pub(super) struct SigningKeys {
    pair: Ed25519KeyPair,
    private: Vec<u8>,
}

impl SigningKeys {
    pub(super) fn new() -> Self {
        let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let private = private.as_ref().to_vec();
        let pair = Ed25519KeyPair::from_pkcs8(&private).expect("the same key");
        Self { pair, private }
    }

    pub(super) fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": x}]}).to_string()
    }

    pub(super) fn token(&self, user: UserId, good_for: i64) -> String {
        let now = guildhall_kernel::Clock::now(&SystemClock::new()).seconds();
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: SessionId::of(Uuid::from_u128(7)).to_string(),
            jti: "j1".into(),
            iat: now - 120,
            nbf: now - 120,
            exp: now + good_for,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        header.kid = Some("k1".into());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&self.private))
            .expect("signs")
    }
}

#[async_trait]
impl Source for SigningKeys {
    async fn keys(&self) -> Result<String, Status> {
        Ok(self.jwks())
    }

    async fn session(&self, _: UserId, _: SessionId) -> Result<(bool, u64), Status> {
        Ok((true, 0))
    }

    async fn seat(&self, _: UserId, _: SpaceId) -> Result<(Option<Seat>, u64), Status> {
        Ok((None, 0))
    }

    async fn seats(&self, _: UserId) -> Result<(Vec<(SpaceId, Seat)>, u64), Status> {
        Ok((Vec::new(), 0))
    }

    async fn changes(&self, _: u64, _: u32) -> Result<Changes, Status> {
        Ok(Changes::default())
    }
}
