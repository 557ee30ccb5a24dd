//! A source of rights that tests turn, and the tokens that it stands for.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{Role, SessionId, SpaceId, UserId};
use guildhall_mesh::{
    access::{Changes, Seat, Source},
    token::{AUDIENCE, Claims, ISSUER, TYPE},
};
use guildhall_proto::auth::v1::{
    AccessChange, MemberChanged, SessionEnded, SpaceDeleted, User, access_change::What,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use tonic::Status;

/// When tests begin, in seconds since 1970.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) struct Authority {
    key: Vec<u8>,
    jwks: String,
    roles: Mutex<HashMap<(UserId, SpaceId), Role>>,
    ended: Mutex<Vec<SessionId>>,
    changes: Mutex<Vec<AccessChange>>,
    pub(crate) away: AtomicBool,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let jwks = serde_json::json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": x}
        ]});
        Self {
            key: pair.to_pkcs8v1().expect("a document").as_ref().to_vec(),
            jwks: jwks.to_string(),
            roles: Mutex::default(),
            ended: Mutex::default(),
            changes: Mutex::default(),
            away: AtomicBool::new(false),
        }
    }

    /// A token that is good for so many seconds from the beginning of the test.
    pub(crate) fn token(&self, user: UserId, session: SessionId, seconds: i64) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("k1".into());
        header.typ = Some(TYPE.into());
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user.to_string(),
            sid: session.to_string(),
            jti: "1".into(),
            iat: NOW,
            nbf: NOW,
            exp: NOW + seconds,
        };
        let key = EncodingKey::from_ed_der(&self.key);
        jsonwebtoken::encode(&header, &claims, &key).expect("signs")
    }

    pub(crate) fn set_role(&self, user: UserId, space: SpaceId, role: Option<Role>) {
        let mut roles = self.roles.lock().expect("whole");
        let before = match role {
            Some(role) => roles.insert((user, space), role),
            None => roles.remove(&(user, space)),
        };
        self.note(What::MemberChanged(MemberChanged {
            space_id: space.to_string(),
            user: Some(User {
                id: user.to_string(),
                ..User::default()
            }),
            role: role.map_or(0, |role| role.number().into()),
            joined: before.is_none(),
            ..MemberChanged::default()
        }));
    }

    pub(crate) fn delete(&self, space: SpaceId) {
        self.roles
            .lock()
            .expect("whole")
            .retain(|(_, of), _| *of != space);
        self.note(What::SpaceDeleted(SpaceDeleted {
            space_id: space.to_string(),
        }));
    }

    pub(crate) fn end(&self, user: UserId, session: SessionId) {
        self.ended.lock().expect("whole").push(session);
        self.note(What::SessionEnded(SessionEnded {
            session_id: session.to_string(),
            user_id: user.to_string(),
        }));
    }

    fn note(&self, what: What) {
        let mut changes = self.changes.lock().expect("whole");
        let n = changes.len() as u64 + 1;
        changes.push(AccessChange {
            n,
            at: None,
            what: Some(what),
        });
    }

    fn answer(&self) -> Result<u64, Status> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Status::unavailable("away"));
        }
        Ok(self.changes.lock().expect("whole").len() as u64)
    }
}

#[async_trait]
impl Source for Authority {
    async fn keys(&self) -> Result<String, Status> {
        self.answer()?;
        Ok(self.jwks.clone())
    }

    async fn session(&self, _: UserId, session: SessionId) -> Result<(bool, u64), Status> {
        let as_of = self.answer()?;
        Ok((!self.ended.lock().expect("whole").contains(&session), as_of))
    }

    async fn seat(&self, user: UserId, space: SpaceId) -> Result<(Option<Seat>, u64), Status> {
        let as_of = self.answer()?;
        Ok((
            self.roles
                .lock()
                .expect("whole")
                .get(&(user, space))
                .map(|role| seat(*role)),
            as_of,
        ))
    }

    async fn seats(&self, user: UserId) -> Result<(Vec<(SpaceId, Seat)>, u64), Status> {
        let as_of = self.answer()?;
        let roles = self.roles.lock().expect("whole");
        let own = roles.iter().filter(|((who, _), _)| *who == user);
        Ok((
            own.map(|((_, space), role)| (*space, seat(*role)))
                .collect(),
            as_of,
        ))
    }

    async fn changes(&self, after: u64, _: u32) -> Result<Changes, Status> {
        let head = self.answer()?;
        let changes = self.changes.lock().expect("whole");
        let news = changes
            .iter()
            .filter(|change| change.n > after)
            .cloned()
            .collect();
        Ok(Changes {
            changes: news,
            head,
            reset: false,
        })
    }
}

/// A seat of somebody who was there from the beginning.
fn seat(role: Role) -> Seat {
    Seat {
        role,
        since: Seat::BEGINNING,
    }
}
