//! Spaces: who belongs where, in which role. The rules of membership stand in [`rules`].

use std::sync::Arc;

use guildhall_kernel::{Clock, EventId, Ids, Key, Listed, Page, Role, SpaceId, Time, UserId};
use guildhall_mesh::{Caller, Standing, access::Access};
use tracing::warn;

use crate::{
    AuthError, event,
    model::{Member, Person, Space, SpaceKind, SpaceName},
    store::{Moment, Store, Write, account, change, space},
};

mod members;
mod rules;

/// All spaces.
pub(crate) struct Spaces {
    pub(crate) store: Store,
    pub(crate) access: Access,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

/// A team to be.
pub(crate) struct NewTeam {
    pub(crate) name: SpaceName,
    pub(crate) members: Vec<UserId>,
    pub(crate) key: Key,
}

/// A space and the caller's role in it.
pub(crate) type Mine = (Space, Role);

impl Spaces {
    /// Makes a team; the caller becomes its owner. The same key again gets the same space.
    #[tracing::instrument(name = "auth.create_space", skip_all)]
    pub(crate) async fn create(&self, caller: &Caller, new: NewTeam) -> Result<Mine, AuthError> {
        let mine = self.store.write(async |write: &Write| {
            if let Some(first) = space::by_key(write, caller.user, &new.key).await? {
                return self.first_again(write, caller, first).await;
            }
            let people = self.everyone(write, caller.user, &new.members).await?;
            let team = Space {
                id: SpaceId::of(self.ids.uuid()),
                kind: SpaceKind::Team,
                name: new.name.clone().into_string(),
                created_at: self.clock.now(),
                deleted_at: None,
            };
            space::add(write, &team).await?;
            space::remember_key(write, caller.user, &new.key, team.id).await?;
            for (person, role) in people {
                space::set_role(write, self.moment(), team.id, &person, role).await?;
            }
            self.tell(write, &team);
            Ok((team, Role::Owner))
        });
        let mine = mine.await?;
        self.catch_up().await;
        Ok(mine)
    }

    /// Makes sure that a direct space with exactly these people exists.
    ///
    /// Returns whether this call made it.
    #[tracing::instrument(name = "auth.ensure_direct", skip_all, fields(space = %id))]
    pub(crate) async fn ensure_direct(
        &self,
        id: SpaceId,
        users: &[UserId],
    ) -> Result<bool, AuthError> {
        let made = self.store.write(async |write: &Write| {
            if let Some(there) = space::load(write, id).await? {
                let mut wanted = users.to_vec();
                wanted.sort_unstable();
                let same =
                    there.kind == SpaceKind::Direct && space::everybody(write, id).await? == wanted;
                return if same {
                    Ok(false)
                } else {
                    Err(AuthError::DirectIsFixed)
                };
            }
            let people = known(write, users, "user_ids").await?;
            let direct = Space {
                id,
                kind: SpaceKind::Direct,
                name: String::new(),
                created_at: self.clock.now(),
                deleted_at: None,
            };
            space::add(write, &direct).await?;
            for person in people {
                space::set_role(write, self.moment(), id, &person, Role::Member).await?;
            }
            self.tell(write, &direct);
            Ok(true)
        });
        let made = made.await?;
        if made {
            self.catch_up().await;
        }
        Ok(made)
    }

    /// The caller's spaces, the oldest first.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Listed<Mine>, AuthError> {
        let after = mark(page)?;
        let limit = Some(page.size as u64 + 1);
        let read = self.store.entities().read();
        let found = space::of_user(read, caller.user, after, limit).await?;
        let mine = found
            .into_iter()
            .map(|(space, place)| (space, place.role))
            .collect();
        Ok(page.cut(mine, |(space, _): &Mine| {
            place(space.created_at, space.id.bytes())
        }))
    }

    /// The space that the caller stands in.
    pub(crate) async fn get(&self, standing: Standing) -> Result<Mine, AuthError> {
        let found = space::load(self.store.entities().read(), standing.space).await?;
        let found = found
            .filter(Space::lives)
            .ok_or(AuthError::NotFound("space"))?;
        Ok((found, standing.role))
    }

    /// Gives a team another name, and tells it where it is a change.
    #[tracing::instrument(name = "auth.rename_space", skip_all)]
    pub(crate) async fn rename(
        &self,
        standing: Standing,
        name: Option<SpaceName>,
    ) -> Result<Mine, AuthError> {
        let Standing { space: id, role } = standing;
        self.store
            .write(async |write: &Write| {
                let found = space::lock(write, id).await?.filter(Space::lives);
                let mut space = found.ok_or(AuthError::NotFound("space"))?;
                rules::may_rename(space.kind)?;
                if let Some(name) = name
                    .clone()
                    .map(SpaceName::into_string)
                    .filter(|name| *name != space.name)
                {
                    space::rename(write, id, &name).await?;
                    space.name = name;
                    self.tell(write, &space);
                }
                Ok((space, role))
            })
            .await
    }

    /// Deletes a team. Repeating it is fine for who could have done it.
    #[tracing::instrument(name = "auth.delete_space", skip_all)]
    pub(crate) async fn delete(&self, caller: &Caller, id: SpaceId) -> Result<(), AuthError> {
        let deleted = self.store.write(async |write: &Write| {
            let found = space::lock(write, id)
                .await?
                .ok_or(AuthError::NotFound("space"))?;
            let role = space::membership(write, id, caller.user).await?;
            let role = role
                .and_then(|place| place.present())
                .ok_or(AuthError::NotFound("space"))?;
            if !found.lives() {
                // Nobody's roles changed since, so owners then are owners now.
                return if role == Role::Owner {
                    Ok(())
                } else {
                    Err(AuthError::NotFound("space"))
                };
            }
            rules::may_delete(found.kind, role)?;
            Ok(space::delete(write, self.moment(), id).await?)
        });
        deleted.await?;
        self.catch_up().await;
        Ok(())
    }

    /// What a repeated create gets: the first space, as far as the caller may still see it.
    async fn first_again(
        &self,
        write: &Write,
        caller: &Caller,
        first: SpaceId,
    ) -> Result<Mine, AuthError> {
        let found = space::load(write, first)
            .await?
            .ok_or(AuthError::NotFound("space"))?;
        if !found.lives() {
            return Err(AuthError::SpaceDeleted);
        }
        let place = space::membership(write, first, caller.user).await?;
        let role = place
            .and_then(|place| place.present())
            .ok_or(AuthError::NotFound("space"))?;
        Ok((found, role))
    }

    /// The people of a new team with their roles: its owner, then everybody else once.
    async fn everyone(
        &self,
        write: &Write,
        owner: UserId,
        members: &[UserId],
    ) -> Result<Vec<(Person, Role)>, AuthError> {
        let members = known(write, members, "member_ids").await?;
        let owner = account::people(write, &[owner]).await?.remove(&owner);
        let owner = owner.ok_or(AuthError::NotFound("user"))?;
        let mut everyone = vec![(owner, Role::Owner)];
        for member in members {
            if everyone.iter().all(|(person, _)| person.id != member.id) {
                everyone.push((member, Role::Member));
            }
        }
        Ok(everyone)
    }

    fn tell(&self, write: &Write, space: &Space) {
        let Moment { at, ids } = self.moment();
        let told = event::space_changed(EventId::of(ids.uuid()), at, space);
        change::tell(write, told);
    }

    /// Applies what was just changed to this process's rights, so that it holds with the answer.
    async fn catch_up(&self) {
        if let Err(error) = self.access.catch_up().await {
            warn!(%error, "rights in this process follow later");
        }
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            at: self.clock.now(),
            ids: self.ids.as_ref(),
        }
    }
}

/// A living space and somebody's present role in it, true until the transaction ends; absent and not yours answer alike.
async fn standing(write: &Write, id: SpaceId, user: UserId) -> Result<Mine, AuthError> {
    let found = space::lock(write, id).await?.filter(Space::lives);
    let place = space::membership(write, id, user).await?;
    let role = place.and_then(|place| place.present());
    found.zip(role).ok_or(AuthError::NotFound("space"))
}

/// The people of a list in its order; who is not there is named by their place in the field.
async fn known(write: &Write, users: &[UserId], field: &str) -> Result<Vec<Person>, AuthError> {
    let found = account::people(write, users).await?;
    let people = users.iter().enumerate().map(|(i, user)| {
        let person = found.get(user).cloned();
        person.ok_or_else(|| AuthError::bad_field(format!("{field}[{i}]"), "no such user"))
    });
    people.collect()
}

/// Where a page by time and id ended.
fn mark(page: &Page) -> Result<Option<space::Mark>, AuthError> {
    let Some(bytes) = page.after_array::<24>()? else {
        return Ok(None);
    };
    let (time, id) = bytes.split_at(8);
    let (Ok(time), Ok(id)) = (time.try_into(), id.try_into()) else {
        return Ok(None);
    };
    Ok(Some((Time::from_micros(i64::from_be_bytes(time)), id)))
}

fn place(at: Time, id: &[u8; 16]) -> Vec<u8> {
    [&at.micros().to_be_bytes()[..], id].concat()
}

/// A page of members as [`Spaces::members`] answers it.
pub(crate) type Members = Listed<Member>;
