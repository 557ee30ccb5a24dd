//! A stopped clock, a source of rights that tests turn, and tokens.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{Clock, Role, SessionId, SpaceId, Time, UserId};
use guildhall_mesh::{
    access::{Changes, Seat, Source},
    token::{AUDIENCE, Claims, ISSUER, TYPE},
};
use guildhall_proto::auth::v1::{
    AccessChange, MemberChanged, SessionEnded, SpaceDeleted, SpaceRole, User, access_change::What,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use tonic::Status;
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_800_000_000;

/// Time as tests set it.
#[derive(Debug)]
pub(crate) struct Stopped {
    micros: AtomicI64,
    uptime: AtomicU64,
}

impl Stopped {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            micros: AtomicI64::new(NOW * 1_000_000),
            uptime: AtomicU64::new(0),
        })
    }

    pub(crate) fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).expect("short");
        self.micros.fetch_add(micros, Ordering::SeqCst);
        self.uptime
            .fetch_add(micros.unsigned_abs(), Ordering::SeqCst);
    }
}

impl Clock for Stopped {
    fn now(&self) -> Time {
        Time::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_micros(self.uptime.load(Ordering::SeqCst))
    }
}

pub(crate) fn user(n: u128) -> UserId {
    UserId::of(Uuid::from_u128(n))
}

pub(crate) fn space(n: u128) -> SpaceId {
    SpaceId::of(Uuid::from_u128(n))
}

pub(crate) fn session(n: u128) -> SessionId {
    SessionId::of(Uuid::from_u128(n))
}

/// A signing key of the test and its public half.
pub(crate) struct Signer {
    pub(crate) kid: String,
    der: Vec<u8>,
    public: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let der = pair.to_pkcs8v1().expect("a document").as_ref().to_vec();
        Self {
            kid: kid.into(),
            der,
            public: pair.public_key().as_ref().to_vec(),
        }
    }

    pub(crate) fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(&self.public);
        serde_json::json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x
        }]})
        .to_string()
    }

    pub(crate) fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        header.typ = Some(TYPE.into());
        header
    }

    pub(crate) fn sign(&self, header: &Header, claims: &impl serde::Serialize) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(&self.der)).expect("signs")
    }

    pub(crate) fn token(&self, user: UserId, session: SessionId) -> String {
        self.sign(&self.header(), &claims(user, session))
    }
}

pub(crate) fn claims(user: UserId, session: SessionId) -> Claims {
    Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: user.to_string(),
        sid: session.to_string(),
        jti: "1".into(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 900,
    }
}

/// Rights as tests set them. Counts what it is asked.
#[derive(Default)]
pub(crate) struct FakeSource {
    pub(crate) jwks: Mutex<String>,
    pub(crate) roles: Mutex<HashMap<(UserId, SpaceId), Role>>,
    pub(crate) ended: Mutex<Vec<SessionId>>,
    pub(crate) changes: Mutex<Vec<AccessChange>>,
    pub(crate) away: AtomicBool,
    pub(crate) asked_roles: AtomicU64,
    pub(crate) asked_lists: AtomicU64,
    pub(crate) asked_sessions: AtomicU64,
    pub(crate) asked_keys: AtomicU64,
}

impl FakeSource {
    pub(crate) fn with(signer: &Signer) -> Arc<Self> {
        let source = Self::default();
        *source.jwks.lock().expect("whole") = signer.jwks();
        Arc::new(source)
    }

    pub(crate) fn let_in(&self, user: UserId, space: SpaceId, role: Option<Role>) {
        let mut roles = self.roles.lock().expect("whole");
        match role {
            Some(role) => roles.insert((user, space), role),
            None => roles.remove(&(user, space)),
        };
        self.note(What::MemberChanged(MemberChanged {
            space_id: space.to_string(),
            user: Some(User {
                id: user.to_string(),
                ..User::default()
            }),
            role: role.map_or(SpaceRole::Unspecified as i32, |role| role.number().into()),
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

    fn here(&self) -> Result<u64, Status> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Status::unavailable("away"));
        }
        Ok(self.changes.lock().expect("whole").len() as u64)
    }
}

#[async_trait]
impl Source for FakeSource {
    async fn keys(&self) -> Result<String, Status> {
        self.asked_keys.fetch_add(1, Ordering::SeqCst);
        self.here()?;
        Ok(self.jwks.lock().expect("whole").clone())
    }

    async fn session(&self, _: UserId, session: SessionId) -> Result<(bool, u64), Status> {
        self.asked_sessions.fetch_add(1, Ordering::SeqCst);
        let as_of = self.here()?;
        Ok((!self.ended.lock().expect("whole").contains(&session), as_of))
    }

    async fn seat(&self, user: UserId, space: SpaceId) -> Result<(Option<Seat>, u64), Status> {
        self.asked_roles.fetch_add(1, Ordering::SeqCst);
        let as_of = self.here()?;
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
        self.asked_lists.fetch_add(1, Ordering::SeqCst);
        let as_of = self.here()?;
        let roles = self.roles.lock().expect("whole");
        let of_user = roles.iter().filter(|((who, _), _)| *who == user);
        Ok((
            of_user
                .map(|((_, space), role)| (*space, seat(*role)))
                .collect(),
            as_of,
        ))
    }

    async fn changes(&self, after: u64, _: u32) -> Result<Changes, Status> {
        let head = self.here()?;
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
