//! What this process knows of rights: verified tokens, living sessions, seats in spaces.
//!
//! `svc-auth` is the one authority. It numbers every change of membership, role and session; this cache asks it for what it does
//! not know, hears of changes by the bus, asks for them every 2 s besides, and forgets what they touch. When the authority is out
//! of reach, what is known holds for [`AccessSettings::grace_seconds`] and then nothing does.
//!
//! One race decides the shape: an answer may be older than a change that was applied while it was under way. So a change first moves
//! `applied` and then forgets, and an answer is first kept and then compared with `applied`: one of the two sees the other.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use guildhall_kernel::{Clock, Role, SessionId, SpaceId, UserId};
use guildhall_proto::auth::v1::{AccessChange, AccessChanged, access_change::What};
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, broadcast};
use tonic::Status;
use tracing::warn;

use crate::{
    bus::{Bus, subject},
    tasks::Tasks,
    token::{BadToken, Keys, Verified},
};

mod refused;
mod remote;
mod seats;
mod source;

pub use refused::Refused;
pub use remote::LinkSource;
use seats::Memory;
pub use seats::{Seat, Seats};
pub use source::{Changes, Source};

/// How often changes and keys are asked for when nothing rings.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How often the public keys are fetched anew: a dropped key ends within this time.
const KEYS_EVERY: Duration = Duration::from_secs(30);
/// How many changes are asked for at once.
const CHANGES: u32 = 1_000;
/// How many changes wait for a slow watcher before it hears that it lagged.
const WATCHED: usize = 1_024;

crate::settings! {
    /// How long rights are remembered.
    pub struct AccessSettings {
        /// How long known rights hold when auth does not answer, in seconds.
        pub grace_seconds: u64 = 60,
        /// How many tokens, sessions, single roles and people with all their roles are remembered, each.
        pub remembered: usize = 100_000,
    }
}

/// What a watcher hears.
#[derive(Debug, Clone)]
pub enum Watched {
    /// Rights changed.
    Change(Arc<AccessChange>),
    /// Rights may have changed in ways not told: look at everything anew.
    Everything,
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    source: Arc<dyn Source>,
    clock: Arc<dyn Clock>,
    grace: Duration,
    // Read on every call, written when keys change; never held across an await.
    keys: RwLock<Arc<Keys>>,
    keys_text: Mutex<Fetched>,
    /// Digest of a token -> what it says. Cleared when the keys change.
    tokens: Cache<[u8; 32], Verified>,
    /// Sessions known to live -> whose. Absent: ask. Every end is told as a change, also where only its time has come, so none is kept
    /// here.
    sessions: Cache<SessionId, UserId>,
    seats: Memory,
    /// The number of the last change applied.
    applied: AtomicU64,
    /// Uptime in milliseconds when the source last answered.
    heard: AtomicU64,
    /// One catch-up at a time, so that changes are applied in order.
    catching_up: Mutex<()>,
    watchers: broadcast::Sender<Watched>,
}

#[derive(Default)]
struct Fetched {
    text: String,
    at: Option<Duration>,
}

impl Access {
    /// An empty cache over a source.
    pub fn new(source: Arc<dyn Source>, clock: Arc<dyn Clock>, settings: &AccessSettings) -> Self {
        let heard = AtomicU64::new(millis(clock.uptime()));
        let inner = Inner {
            source,
            clock,
            grace: Duration::from_secs(settings.grace_seconds),
            keys: RwLock::default(),
            keys_text: Mutex::default(),
            tokens: Cache::new(settings.remembered),
            sessions: Cache::new(settings.remembered),
            seats: Memory::new(settings.remembered),
            applied: AtomicU64::new(0),
            heard,
            catching_up: Mutex::new(()),
            watchers: broadcast::Sender::new(WATCHED),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Keeps the cache true until the tasks stop: hears changes, and asks every 2 s besides.
    pub fn keep(&self, tasks: &Tasks, bus: Arc<dyn Bus>) {
        let access = self.clone();
        let own = tasks.clone();
        tasks.spawn("access", async move {
            let mut bell = None;
            while !own.is_stopping() {
                if bell.is_none() {
                    // Without it changes hold 2 s later.
                    let every = subject::<AccessChanged>("*");
                    bell = bus.listen(&every, WATCHED).await.ok();
                }
                if let Err(error) = access.catch_up().await {
                    warn!(%error, "access changes cannot be asked for");
                }
                if let Err(error) = access.fetch_keys(KEYS_EVERY).await {
                    warn!(%error, "token keys cannot be fetched");
                }
                tokio::select! {
                    () = own.stopping() => {}
                    () = tokio::time::sleep(ASK_EVERY) => {}
                    heard = async { bell.as_mut()?.next().await }, if bell.is_some() => {
                        if heard.is_none() {
                            bell = None;
                        }
                    }
                }
            }
        });
    }

    /// Says what a token says, if it is good and its session lives.
    ///
    /// # Errors
    /// [`Refused`] says why it opens nothing.
    pub async fn verify(&self, token: &str) -> Result<Verified, Refused> {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let verified = match self.inner.tokens.get(&key) {
            // Remembered, so only the time has to be looked at.
            Some(known) if known.expires_at > self.inner.clock.now() => known,
            _ => {
                let fresh = self.verify_anew(token).await?;
                self.inner.tokens.insert(key, fresh);
                fresh
            }
        };
        self.session_lives(verified).await?;
        Ok(verified)
    }

    /// The role of a user in a space; `None` where they have none or the space is gone.
    ///
    /// # Errors
    /// [`Refused::Unknown`] where auth does not answer and what was known is too old.
    pub async fn role(&self, user: UserId, space: SpaceId) -> Result<Option<Role>, Refused> {
        Ok(self.seat(user, space).await?.map(|seat| seat.role))
    }

    /// The seat of a user in a space; `None` where they have none or the space is gone.
    ///
    /// # Errors
    /// [`Refused::Unknown`] where auth does not answer and what was known is too old.
    pub async fn seat(&self, user: UserId, space: SpaceId) -> Result<Option<Seat>, Refused> {
        let inner = &*self.inner;
        if self.is_fresh()
            && let Some(seat) = inner.seats.seat(user, space)
        {
            return Ok(Some(seat));
        }
        let (seat, as_of) = self.ask(inner.source.seat(user, space)).await?;
        if let Some(seat) = seat {
            inner.seats.keep(user, space, seat);
            if inner.applied.load(Ordering::SeqCst) > as_of {
                inner.seats.forget(user, space);
            }
        }
        Ok(seat)
    }

    /// All seats of a user. A seat taken elsewhere a moment ago may be missing until its change is applied here.
    ///
    /// # Errors
    /// [`Refused::Unknown`] where auth does not answer and what was known is too old.
    pub async fn seats(&self, user: UserId) -> Result<Arc<Seats>, Refused> {
        let inner = &*self.inner;
        if self.is_fresh()
            && let Some(seats) = inner.seats.seats(user)
        {
            return Ok(seats);
        }
        let (seats, as_of) = self.ask(inner.source.seats(user)).await?;
        let seats: Arc<Seats> = Arc::new(seats.into_iter().collect());
        inner.seats.keep_all(user, seats.clone());
        if inner.applied.load(Ordering::SeqCst) > as_of {
            inner.seats.forget_all(user);
        }
        Ok(seats)
    }

    /// Hears every change from now on, after it was applied here.
    pub fn watch(&self) -> broadcast::Receiver<Watched> {
        self.inner.watchers.subscribe()
    }

    /// Applies every change that the source knows. Auth itself calls it before it answers, so that in one process a change
    /// of rights holds with the answer.
    ///
    /// # Errors
    /// The source's.
    pub async fn catch_up(&self) -> Result<(), Status> {
        let inner = &*self.inner;
        let _one = inner.catching_up.lock().await;
        loop {
            let after = inner.applied.load(Ordering::SeqCst);
            let news = inner.source.changes(after, CHANGES).await?;
            self.mark_heard();
            if news.reset || news.head < after {
                inner.applied.store(news.head, Ordering::SeqCst);
                inner.seats.clear();
                inner.sessions.clear();
                // No watcher is fine: nobody listens then.
                let _ = inner.watchers.send(Watched::Everything);
                return Ok(());
            }
            let more = news.changes.last().is_some_and(|last| last.n < news.head);
            for change in news.changes {
                self.apply(change);
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn apply(&self, change: AccessChange) {
        let inner = &*self.inner;
        // First the number, then the forgetting: see the head of the file.
        inner.applied.store(change.n, Ordering::SeqCst);
        match &change.what {
            Some(What::MemberChanged(member)) => {
                let user = member
                    .user
                    .as_ref()
                    .and_then(|user| UserId::parse(&user.id).ok());
                if let (Some(user), Ok(space)) = (user, SpaceId::parse(&member.space_id)) {
                    inner.seats.forget(user, space);
                }
            }
            Some(What::SpaceDeleted(gone)) => {
                if let Ok(space) = SpaceId::parse(&gone.space_id) {
                    inner.seats.forget_space(space);
                }
            }
            Some(What::SessionEnded(ended)) => {
                if let Ok(session) = SessionId::parse(&ended.session_id) {
                    inner.sessions.remove(&session);
                }
            }
            None => {}
        }
        // No watcher is fine: nobody listens then.
        let _ = inner.watchers.send(Watched::Change(Arc::new(change)));
    }

    async fn verify_anew(&self, token: &str) -> Result<Verified, Refused> {
        let now = self.inner.clock.now();
        match self.keys().verify(token, now) {
            Err(BadToken::UnknownKey) => {
                // Perhaps a new key. Not more than once in 2 s, or bad tokens would make us ask all the time.
                self.fetch_keys(ASK_EVERY).await.map_err(Refused::Unknown)?;
                self.keys().verify(token, now).map_err(Refused::Bad)
            }
            known => known.map_err(Refused::Bad),
        }
    }

    /// Whether the session of a token that was verified earlier may still act, however long ago the token itself ran out.
    ///
    /// # Errors
    /// [`Refused::SessionEnded`] where it may not, [`Refused::Unknown`] where auth does not answer.
    pub async fn session_lives(&self, verified: Verified) -> Result<(), Refused> {
        let Verified { user, session, .. } = verified;
        if self.is_fresh() && self.inner.sessions.get(&session) == Some(user) {
            return Ok(());
        }
        let (alive, as_of) = self.ask(self.inner.source.session(user, session)).await?;
        if !alive {
            return Err(Refused::SessionEnded);
        }
        self.inner.sessions.insert(session, user);
        if self.inner.applied.load(Ordering::SeqCst) > as_of {
            self.inner.sessions.remove(&session);
        }
        Ok(())
    }

    async fn fetch_keys(&self, at_most_every: Duration) -> Result<(), Status> {
        let now = self.inner.clock.uptime();
        let mut fetched = self.inner.keys_text.lock().await;
        if fetched
            .at
            .is_some_and(|at| now.saturating_sub(at) < at_most_every)
        {
            return Ok(());
        }
        let text = self.inner.source.keys().await?;
        if text != fetched.text {
            let keys = Keys::parse(&text).map_err(|_| Status::internal("auth sent no key set"))?;
            *self
                .inner
                .keys
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            self.inner.tokens.clear();
            fetched.text = text;
        }
        fetched.at = Some(now);
        Ok(())
    }

    fn keys(&self) -> Arc<Keys> {
        self.inner
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Refused> {
        let answer = question.await.map_err(Refused::Unknown)?;
        self.mark_heard();
        Ok(answer)
    }

    fn mark_heard(&self) {
        self.inner
            .heard
            .store(millis(self.inner.clock.uptime()), Ordering::SeqCst);
    }

    /// Whether what is remembered may still be relied on.
    pub fn is_fresh(&self) -> bool {
        let heard = Duration::from_millis(self.inner.heard.load(Ordering::SeqCst));
        self.inner.clock.uptime().saturating_sub(heard) <= self.inner.grace
    }
}

fn millis(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("applied", &self.inner.applied)
            .finish_non_exhaustive()
    }
}
