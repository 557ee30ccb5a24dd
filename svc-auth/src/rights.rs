//! What the other services ask: who may do what. Each answer says up to which change it is true at least.

use std::sync::Arc;

use guildhall_kernel::{Clock, SessionId, SpaceId, UserId};

use crate::{
    AuthError,
    keys::KeyRing,
    model::{Membership, Space, SpaceKind},
    store::{Store, change, change::Changes, session, space},
};

/// How many changes are told at once, at most.
const CHANGES: u32 = 1_000;

/// The truth about rights.
pub(crate) struct Rights {
    pub(crate) store: Store,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) clock: Arc<dyn Clock>,
}

// Everywhere the number is read first: what is read after it is as new or newer, which does no harm.
impl Rights {
    /// The public keys as a JSON Web Key Set.
    pub(crate) fn keys(&self) -> String {
        self.keys.jwks()
    }

    /// Whether a session of this user may act.
    pub(crate) async fn session(
        &self,
        user: UserId,
        id: SessionId,
    ) -> Result<(bool, u64), AuthError> {
        let read = self.store.entities().read();
        let as_of = change::head(read).await?;
        let found = session::load(read, id).await?;
        let now = self.clock.now();
        Ok((
            found.is_some_and(|session| session.user == user && session.lives(now)),
            as_of,
        ))
    }

    /// The place of a user in a living space, and the kind of that.
    pub(crate) async fn place(
        &self,
        user: UserId,
        id: SpaceId,
    ) -> Result<(Option<Membership>, Option<SpaceKind>, u64), AuthError> {
        let read = self.store.entities().read();
        let as_of = change::head(read).await?;
        let Some(found) = space::load(read, id).await?.filter(Space::lives) else {
            return Ok((None, None, as_of));
        };
        let place = space::membership(read, id, user).await?;
        Ok((
            place.filter(|place| place.left_at.is_none()),
            Some(found.kind),
            as_of,
        ))
    }

    /// Every living space of a user, and the user's place in it.
    pub(crate) async fn places(
        &self,
        user: UserId,
    ) -> Result<(Vec<(SpaceId, Membership)>, u64), AuthError> {
        let read = self.store.entities().read();
        let as_of = change::head(read).await?;
        let spaces = space::of_user(read, user, None, None).await?;
        Ok((
            spaces
                .into_iter()
                .map(|(space, place)| (space.id, place))
                .collect(),
            as_of,
        ))
    }

    /// The changes after a number; up to `limit`, 0: as many as are told at once.
    pub(crate) async fn changes(&self, after: u64, limit: u32) -> Result<Changes, AuthError> {
        let limit = if limit == 0 {
            CHANGES
        } else {
            limit.min(CHANGES)
        };
        Ok(change::after(self.store.entities().read(), after, limit.into()).await?)
    }
}
