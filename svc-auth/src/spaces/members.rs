//! Coming, going, and changing roles.

use guildhall_kernel::{Page, Role, SpaceId, UserId};
use guildhall_mesh::Caller;

use super::{Members, Spaces, mark, place, rules, standing};
use crate::{
    AuthError,
    model::{Member, Person, Space},
    store::{Write, account, space},
};

impl Spaces {
    /// Who is in a space, in the order they came.
    pub(crate) async fn members(&self, id: SpaceId, page: &Page) -> Result<Members, AuthError> {
        let limit = page.size as u64 + 1;
        let read = self.store.entities().read();
        let found = space::members(read, id, mark(page)?, limit).await?;
        Ok(page.cut(found, |member| {
            place(member.joined_at, member.person.id.bytes())
        }))
    }

    /// Brings somebody in. Again with the same role is fine.
    #[tracing::instrument(name = "auth.add_member", skip_all)]
    pub(crate) async fn add_member(
        &self,
        caller: &Caller,
        id: SpaceId,
        user: UserId,
        role: Role,
    ) -> Result<Member, AuthError> {
        let added = self.store.write(async |write: &Write| {
            let (team, own) = standing(write, id, caller.user).await?;
            rules::may_add(team.kind, own, role)?;
            let person = person(write, user).await?;
            let person = person.ok_or_else(|| AuthError::bad_field("user_id", "no such user"))?;
            let before = space::membership(write, id, user).await?;
            match before.filter(|place| place.left_at.is_none()) {
                Some(place) if place.role == role => Ok(Member {
                    person,
                    role,
                    joined_at: place.joined_at,
                }),
                Some(_) => Err(AuthError::AlreadyMember),
                None => Ok(space::set_role(write, self.moment(), id, &person, role).await?),
            }
        });
        let added = added.await?;
        self.catch_up().await;
        Ok(added)
    }

    /// Changes somebody's role, or the caller's own downwards. The same role again, or none, is no change.
    #[tracing::instrument(name = "auth.update_member", skip_all)]
    pub(crate) async fn change_role(
        &self,
        caller: &Caller,
        id: SpaceId,
        user: UserId,
        role: Option<Role>,
    ) -> Result<Member, AuthError> {
        let changed = self.store.write(async |write: &Write| {
            let (team, own) = standing(write, id, caller.user).await?;
            let place = space::membership(write, id, user).await?;
            let place = place.filter(|place| place.left_at.is_none());
            let place = place.ok_or(AuthError::NotFound("member"))?;
            let role = role.unwrap_or(place.role);
            if user == caller.user {
                rules::may_step(team.kind, own, role, space::owners(write, id).await?)?;
            } else {
                rules::may_change(team.kind, own, place.role, role)?;
            }
            let person = person(write, user)
                .await?
                .ok_or(AuthError::NotFound("member"))?;
            if place.role == role {
                return Ok(Member {
                    person,
                    role,
                    joined_at: place.joined_at,
                });
            }
            Ok(space::set_role(write, self.moment(), id, &person, role).await?)
        });
        let changed = changed.await?;
        self.catch_up().await;
        Ok(changed)
    }

    /// Sends somebody away, or lets the caller leave. Who has gone already stays so.
    #[tracing::instrument(name = "auth.remove_member", skip_all)]
    pub(crate) async fn remove_member(
        &self,
        caller: &Caller,
        id: SpaceId,
        user: UserId,
    ) -> Result<(), AuthError> {
        let removed = self.store.write(async |write: &Write| {
            let team = space::lock(write, id).await?.filter(Space::lives);
            let own = space::membership(write, id, caller.user).await?;
            let own = own.ok_or(AuthError::NotFound("space"))?;
            if user == caller.user && own.left_at.is_some() {
                return Ok(());
            }
            let (Some(team), Some(own)) = (team, own.present()) else {
                return Err(AuthError::NotFound("space"));
            };
            let place = if user == caller.user {
                rules::may_leave(team.kind, own, space::owners(write, id).await?)?;
                None
            } else {
                let place = space::membership(write, id, user).await?;
                let place = place.ok_or(AuthError::NotFound("member"))?;
                rules::may_remove(team.kind, own, place.role)?;
                place.left_at
            };
            if place.is_some() {
                return Ok(());
            }
            let person = person(write, user)
                .await?
                .ok_or(AuthError::NotFound("member"))?;
            Ok(space::remove(write, self.moment(), id, &person).await?)
        });
        removed.await?;
        self.catch_up().await;
        Ok(())
    }
}

async fn person(write: &Write, user: UserId) -> Result<Option<Person>, AuthError> {
    Ok(account::people(write, &[user]).await?.remove(&user))
}
