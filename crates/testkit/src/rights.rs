//! People, sessions and roles in memory, in the place of `svc-auth`.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use guildhall_kernel::{Clock, Ids, Role, SessionId, SpaceId, Time, UserId};
use guildhall_mesh::{
    Call, Caller, Link,
    access::{Access, AccessSettings, Changes, Seat, Source},
};
use guildhall_proto::auth::v1::{
    AccessChange, MemberChanged, SessionEnded, SpaceDeleted, User, access_change::What,
};
use tonic::Status;

use crate::{CountedIds, Signer, StoppedClock};

/// The source of rights for tests. Every change is numbered and listed, as `svc-auth` does it. Clones share the same people.
#[derive(Clone)]
pub struct Rights {
    clock: StoppedClock,
    ids: CountedIds,
    signer: Signer,
    // Changed by the test, asked by the code under test; never held across an await.
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    sessions: HashMap<SessionId, UserId>,
    seats: HashMap<(UserId, SpaceId), Seat>,
    changes: Vec<AccessChange>,
    away: bool,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their id.
    pub user: UserId,
    /// Their session.
    pub session: SessionId,
    /// An access token of that session.
    pub token: Arc<str>,
    caller: Caller,
}

impl Person {
    /// What a handler sees of a call by this person, for use cases that are called directly. 30 s are left of it.
    pub fn caller(&self) -> Caller {
        Caller {
            call: Call::own("test", Duration::from_secs(30)),
            ..self.caller.clone()
        }
    }

    /// The link as a client signed in as this person would use it.
    pub fn over(&self, link: &Link) -> Link {
        link.on_behalf(&self.caller())
    }
}

impl Rights {
    /// Nobody yet. Tokens are signed with [`Signer::of`] 1.
    pub fn new(clock: StoppedClock, ids: CountedIds) -> Self {
        Self {
            clock,
            ids,
            signer: Signer::of(1),
            known: Arc::default(),
        }
    }

    /// A cache over these rights, as every service has one. Changes reach it by [`Access::catch_up`] or [`Access::keep`].
    pub fn access(&self) -> Access {
        let clock = Arc::new(self.clock.clone());
        Access::new(Arc::new(self.clone()), clock, &AccessSettings::default())
    }

    /// A new person with a session.
    pub fn person(&self) -> Person {
        self.sign_in(UserId::of(self.ids.uuid()))
    }

    /// Another session of a person.
    pub fn sign_in(&self, user: UserId) -> Person {
        let session = SessionId::of(self.ids.uuid());
        self.known().sessions.insert(session, user);
        let now = self.clock.now();
        let token: Arc<str> = self.signer.token(user, session, now).into();
        let caller = Caller {
            user,
            session,
            expires_at: now.plus(Duration::from_secs(15 * 60)),
            token: token.clone(),
            standing: None,
            call: Call::own("test", Duration::from_secs(30)),
        };
        Person {
            user,
            session,
            token,
            caller,
        }
    }

    /// A new space with these people.
    pub fn space(&self, people: &[(&Person, Role)]) -> SpaceId {
        let space = SpaceId::of(self.ids.uuid());
        for (person, role) in people {
            self.set_role(person.user, space, Some(*role));
        }
        space
    }

    /// Gives a role in a space, or takes it away. Who is new counts as there from the beginning.
    pub fn set_role(&self, user: UserId, space: SpaceId, role: Option<Role>) {
        self.seat(user, space, role, Seat::BEGINNING);
    }

    /// Lets somebody into a space at an instant.
    pub fn let_in(&self, user: UserId, space: SpaceId, role: Role, since: Time) {
        self.seat(user, space, Some(role), since);
    }

    fn seat(&self, user: UserId, space: SpaceId, role: Option<Role>, since: Time) {
        let mut known = self.known();
        let before = known.seats.remove(&(user, space));
        if let Some(role) = role {
            let since = before.map_or(since, |before| before.since);
            known.seats.insert((user, space), Seat { role, since });
        }
        let user = User {
            id: user.to_string(),
            ..User::default()
        };
        let n = known.head() + 1;
        known.tell(What::MemberChanged(MemberChanged {
            space_id: space.to_string(),
            user: Some(user),
            role: role.map_or(0, |role| i32::from(role.number())),
            n,
            joined: role.is_some() && before.is_none(),
        }));
    }

    /// Ends everybody's rights in a space.
    pub fn delete_space(&self, space: SpaceId) {
        let mut known = self.known();
        known.seats.retain(|(_, of), _| *of != space);
        known.tell(What::SpaceDeleted(SpaceDeleted {
            space_id: space.to_string(),
        }));
    }

    /// Ends a person's session.
    pub fn end_session(&self, person: &Person) {
        let mut known = self.known();
        known.sessions.remove(&person.session);
        known.tell(What::SessionEnded(SessionEnded {
            session_id: person.session.to_string(),
            user_id: person.user.to_string(),
        }));
    }

    /// Whether the source answers at all.
    pub fn set_away(&self, away: bool) {
        self.known().away = away;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) -> Result<MutexGuard<'_, Known>, Status> {
        let known = self.known();
        if known.away {
            return Err(Status::unavailable("the test has taken auth away"));
        }
        Ok(known)
    }
}

impl Known {
    fn head(&self) -> u64 {
        u64::try_from(self.changes.len()).expect("a test counts less")
    }

    fn tell(&mut self, what: What) {
        let change = AccessChange {
            n: self.head() + 1,
            at: None,
            what: Some(what),
        };
        self.changes.push(change);
    }
}

#[async_trait]
impl Source for Rights {
    async fn keys(&self) -> Result<String, Status> {
        drop(self.ask()?);
        Ok(self.signer.jwks())
    }

    async fn session(&self, user: UserId, session: SessionId) -> Result<(bool, u64), Status> {
        let known = self.ask()?;
        Ok((known.sessions.get(&session) == Some(&user), known.head()))
    }

    async fn seat(&self, user: UserId, space: SpaceId) -> Result<(Option<Seat>, u64), Status> {
        let known = self.ask()?;
        Ok((known.seats.get(&(user, space)).copied(), known.head()))
    }

    async fn seats(&self, user: UserId) -> Result<(Vec<(SpaceId, Seat)>, u64), Status> {
        let known = self.ask()?;
        let mine = known.seats.iter().filter(|((of, _), _)| *of == user);
        let mine: Vec<_> = mine.map(|((_, space), seat)| (*space, *seat)).collect();
        Ok((mine, known.head()))
    }

    async fn changes(&self, after: u64, limit: u32) -> Result<Changes, Status> {
        let known = self.ask()?;
        let later = known.changes.iter().filter(|change| change.n > after);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Changes {
            changes: later.take(limit).cloned().collect(),
            head: known.head(),
            reset: false,
        })
    }
}

impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known();
        let living: HashSet<_> = known.sessions.values().collect();
        f.debug_struct("Rights")
            .field("people", &living.len())
            .field("changes", &known.changes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights() -> Rights {
        Rights::new(StoppedClock::new(), CountedIds::new())
    }

    #[tokio::test]
    async fn a_cache_over_rights_follows_their_changes() {
        let rights = rights();
        let access = rights.access();
        let alice = rights.person();
        let space = rights.space(&[(&alice, Role::Owner)]);

        let before = access.role(alice.user, space).await.expect("answers");
        rights.set_role(alice.user, space, None);
        access.catch_up().await.expect("answers");
        let after = access.role(alice.user, space).await.expect("answers");

        assert_eq!((before, after), (Some(Role::Owner), None));
    }

    #[tokio::test]
    async fn the_token_of_an_ended_session_opens_nothing() {
        let rights = rights();
        let access = rights.access();
        let alice = rights.person();

        let before = access.verify(&alice.token).await.map(|known| known.user);
        rights.end_session(&alice);
        access.catch_up().await.expect("answers");

        assert_eq!(before.expect("good"), alice.user);
        assert!(access.verify(&alice.token).await.is_err());
    }
}
