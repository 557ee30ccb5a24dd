//! Spaces and who belongs to them.

use guildhall_kernel::{Key, Role, SpaceId, Time, UserId};
use guildhall_store::{StoreError, Write};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, JoinType, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, LockType, OnConflict},
};

use super::{
    Moment, account, change, damaged,
    entity::{member, space, space_key},
};
use crate::model::{Changed, Member, Membership, Person, Space, SpaceKind};

/// Where a page of a list by time ended: an instant and an id.
pub(crate) type Mark = (Time, [u8; 16]);

/// Keeps a new space without anybody in it.
pub(crate) async fn add(write: &Write, new: &Space) -> Result<(), StoreError> {
    let row = space::ActiveModel {
        id: Set(new.id.uuid()),
        kind: Set(new.kind.number().into()),
        name: Set(new.name.clone()),
        created_at: Set(new.created_at.micros()),
        deleted_at: Set(None),
    };
    space::Entity::insert(row)
        .exec_without_returning(write)
        .await?;
    Ok(())
}

/// The space, deleted or not.
pub(crate) async fn load(
    on: &impl ConnectionTrait,
    id: SpaceId,
) -> Result<Option<Space>, StoreError> {
    space::Entity::find_by_id(id.uuid())
        .one(on)
        .await?
        .map(space_of)
        .transpose()
}

/// The space, deleted or not. Nobody else changes it or who belongs to it until the transaction ends: whoever does either takes this
/// row first, before reading anything that the change hangs on.
pub(crate) async fn lock(write: &Write, id: SpaceId) -> Result<Option<Space>, StoreError> {
    space::Entity::find_by_id(id.uuid())
        .lock(LockType::NoKeyUpdate)
        .one(write)
        .await?
        .map(space_of)
        .transpose()
}

/// Gives a space another name.
pub(crate) async fn rename(write: &Write, id: SpaceId, name: &str) -> Result<(), StoreError> {
    space::Entity::update_many()
        .col_expr(space::Column::Name, Expr::value(name))
        .filter(space::Column::Id.eq(id.uuid()))
        .exec(write)
        .await?;
    Ok(())
}

/// Ends a space: its people keep their rows, and no rights.
pub(crate) async fn delete(
    write: &Write,
    moment: Moment<'_>,
    id: SpaceId,
) -> Result<(), StoreError> {
    space::Entity::update_many()
        .col_expr(space::Column::DeletedAt, Expr::value(moment.at.micros()))
        .filter(space::Column::Id.eq(id.uuid()))
        .exec(write)
        .await?;
    change::make(write, moment, Changed::SpaceDeleted(id)).await
}

/// The space that a user made under a key.
pub(crate) async fn by_key(
    on: &impl ConnectionTrait,
    user: UserId,
    key: &Key,
) -> Result<Option<SpaceId>, StoreError> {
    let id = (user.uuid(), key.as_str().to_owned());
    let found = space_key::Entity::find_by_id(id).one(on).await?;
    Ok(found.map(|row| SpaceId::of(row.space_id)))
}

/// Remembers under which key a user made a space.
pub(crate) async fn remember_key(
    write: &Write,
    user: UserId,
    key: &Key,
    made: SpaceId,
) -> Result<(), StoreError> {
    let row = space_key::ActiveModel {
        user_id: Set(user.uuid()),
        key: Set(key.as_str().to_owned()),
        space_id: Set(made.uuid()),
    };
    space_key::Entity::insert(row)
        .exec_without_returning(write)
        .await?;
    Ok(())
}

/// Somebody's place in a space, also one they have left.
pub(crate) async fn membership(
    on: &impl ConnectionTrait,
    space: SpaceId,
    user: UserId,
) -> Result<Option<Membership>, StoreError> {
    let id = (space.uuid(), user.uuid());
    member::Entity::find_by_id(id)
        .one(on)
        .await?
        .as_ref()
        .map(membership_of)
        .transpose()
}

/// Gives somebody a role, and numbers and tells it. Who comes or comes back, comes now.
pub(crate) async fn set_role(
    write: &Write,
    moment: Moment<'_>,
    space: SpaceId,
    person: &Person,
    role: Role,
) -> Result<Member, StoreError> {
    use member::{ActiveModel, Column, Entity};

    let before = membership(write, space, person.id)
        .await?
        .filter(|m| m.left_at.is_none());
    let joined_at = before.map_or(moment.at, |before| before.joined_at);
    let row = ActiveModel {
        space_id: Set(space.uuid()),
        user_id: Set(person.id.uuid()),
        role: Set(role.number().into()),
        joined_at: Set(joined_at.micros()),
        left_at: Set(None),
    };
    let same_place = OnConflict::columns([Column::SpaceId, Column::UserId])
        .update_columns([Column::Role, Column::JoinedAt, Column::LeftAt])
        .to_owned();
    Entity::insert(row)
        .on_conflict(same_place)
        .exec_without_returning(write)
        .await?;
    let joined = before.is_none();
    let what = Changed::Member {
        space,
        person: person.clone(),
        role: Some(role),
        joined,
    };
    change::make(write, moment, what).await?;
    Ok(Member {
        person: person.clone(),
        role,
        joined_at,
    })
}

/// Takes somebody out, and numbers and tells it.
pub(crate) async fn remove(
    write: &Write,
    moment: Moment<'_>,
    space: SpaceId,
    person: &Person,
) -> Result<(), StoreError> {
    member::Entity::update_many()
        .col_expr(member::Column::LeftAt, Expr::value(moment.at.micros()))
        .filter(member::Column::SpaceId.eq(space.uuid()))
        .filter(member::Column::UserId.eq(person.id.uuid()))
        .exec(write)
        .await?;
    let what = Changed::Member {
        space,
        person: person.clone(),
        role: None,
        joined: false,
    };
    change::make(write, moment, what).await
}

/// How many owners a space has.
pub(crate) async fn owners(on: &impl ConnectionTrait, space: SpaceId) -> Result<u64, StoreError> {
    let owners = member::Entity::find()
        .filter(member::Column::SpaceId.eq(space.uuid()))
        .filter(member::Column::Role.eq(i16::from(Role::Owner.number())))
        .filter(member::Column::LeftAt.is_null());
    Ok(owners.count(on).await?)
}

/// Up to `limit` members after a mark, in the order they came.
pub(crate) async fn members(
    on: &impl ConnectionTrait,
    space: SpaceId,
    after: Option<Mark>,
    limit: u64,
) -> Result<Vec<Member>, StoreError> {
    use member::{Column, Entity};

    let mut of = Entity::find()
        .filter(Column::SpaceId.eq(space.uuid()))
        .filter(Column::LeftAt.is_null());
    if let Some((at, id)) = after {
        of = of.filter(later(
            Column::JoinedAt,
            at,
            Column::UserId,
            UserId::from_bytes(id).uuid(),
        ));
    }
    let rows = of
        .order_by_asc(Column::JoinedAt)
        .order_by_asc(Column::UserId)
        .limit(limit)
        .all(on)
        .await?;
    let ids: Vec<UserId> = rows.iter().map(|row| UserId::of(row.user_id)).collect();
    let mut people = account::people(on, &ids).await?;
    let members = rows.iter().map(|row| {
        let person = people
            .remove(&UserId::of(row.user_id))
            .ok_or_else(|| damaged("space_member"))?;
        let Membership {
            role, joined_at, ..
        } = membership_of(row)?;
        Ok(Member {
            person,
            role,
            joined_at,
        })
    });
    members.collect()
}

/// Everybody in a space, by id.
pub(crate) async fn everybody(
    on: &impl ConnectionTrait,
    space: SpaceId,
) -> Result<Vec<UserId>, StoreError> {
    let rows = member::Entity::find()
        .filter(member::Column::SpaceId.eq(space.uuid()))
        .filter(member::Column::LeftAt.is_null())
        .order_by_asc(member::Column::UserId)
        .all(on)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| UserId::of(row.user_id))
        .collect())
}

/// Up to `limit` living spaces of a user after a mark, the oldest first, with the user's roles.
pub(crate) async fn of_user(
    on: &impl ConnectionTrait,
    user: UserId,
    after: Option<Mark>,
    limit: Option<u64>,
) -> Result<Vec<(Space, Membership)>, StoreError> {
    use space::{Column, Entity};

    let to_member = Entity::belongs_to(member::Entity)
        .from(Column::Id)
        .to(member::Column::SpaceId)
        .into();
    let mut of = Entity::find()
        .join(JoinType::InnerJoin, to_member)
        .select_also(member::Entity)
        .filter(member::Column::UserId.eq(user.uuid()))
        .filter(member::Column::LeftAt.is_null())
        .filter(Column::DeletedAt.is_null());
    if let Some((at, id)) = after {
        of = of.filter(later(
            Column::CreatedAt,
            at,
            Column::Id,
            SpaceId::from_bytes(id).uuid(),
        ));
    }
    let rows = of
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .limit(limit)
        .all(on)
        .await?;
    let spaces = rows.into_iter().map(|(space, member)| {
        let member = member.ok_or_else(|| damaged("space_member"))?;
        Ok((space_of(space)?, membership_of(&member)?))
    });
    spaces.collect()
}

/// Behind (at, id) in the order of both.
fn later<C: sea_orm::ColumnTrait>(time: C, at: Time, name: C, id: uuid::Uuid) -> Condition {
    let same = Condition::all().add(time.eq(at.micros())).add(name.gt(id));
    Condition::any().add(time.gt(at.micros())).add(same)
}

fn space_of(row: space::Model) -> Result<Space, StoreError> {
    Ok(Space {
        id: SpaceId::of(row.id),
        kind: SpaceKind::from_number(row.kind).ok_or_else(|| damaged("space"))?,
        name: row.name,
        created_at: Time::from_micros(row.created_at),
        deleted_at: row.deleted_at.map(Time::from_micros),
    })
}

fn membership_of(row: &member::Model) -> Result<Membership, StoreError> {
    Ok(Membership {
        role: Role::from_number(row.role.into()).ok_or_else(|| damaged("space_member"))?,
        joined_at: Time::from_micros(row.joined_at),
        left_at: row.left_at.map(Time::from_micros),
    })
}
