//! Sessions.

use guildhall_kernel::{SessionId, Time, UserId};
use guildhall_store::{StoreError, Write};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{
    Moment, change, damaged,
    entity::session::{ActiveModel, Column, Entity, Model},
};
use crate::model::{Changed, Digest, Session};

/// Keeps a new session.
pub(crate) async fn add(write: &Write, new: &Session) -> Result<(), StoreError> {
    let row = ActiveModel {
        id: Set(new.id.uuid()),
        user_id: Set(new.user.uuid()),
        agent: Set(new.agent.clone()),
        created_at: Set(new.created_at.micros()),
        used_at: Set(new.used_at.micros()),
        idle_ends_at: Set(new.idle_ends_at.micros()),
        ends_at: Set(new.ends_at.micros()),
        ended_at: Set(None),
        generation: Set(signed(new.generation)),
        token_digest: Set(new.token_digest.to_vec()),
        parent_digest: Set(None),
    };
    Entity::insert(row).exec_without_returning(write).await?;
    Ok(())
}

/// The session, ended or not.
pub(crate) async fn load(
    on: &impl ConnectionTrait,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    Entity::find_by_id(id.uuid())
        .one(on)
        .await?
        .map(session)
        .transpose()
}

/// The session, ended or not, which nobody else changes until the transaction ends.
pub(crate) async fn lock(write: &Write, id: SessionId) -> Result<Option<Session>, StoreError> {
    Entity::find_by_id(id.uuid())
        .lock(LockType::NoKeyUpdate)
        .one(write)
        .await?
        .map(session)
        .transpose()
}

/// Moves a session to its next refresh token, unless somebody was faster or it has ended. Whether it moved.
pub(crate) async fn rotate(
    write: &Write,
    of: &Session,
    next: Digest,
    now: Time,
    idle_ends_at: Time,
) -> Result<bool, StoreError> {
    let moved = Entity::update_many()
        .col_expr(
            Column::Generation,
            Expr::value(signed(of.generation.saturating_add(1))),
        )
        .col_expr(Column::ParentDigest, Expr::value(of.token_digest.to_vec()))
        .col_expr(Column::TokenDigest, Expr::value(next.to_vec()))
        .col_expr(Column::UsedAt, Expr::value(now.micros()))
        .col_expr(Column::IdleEndsAt, Expr::value(idle_ends_at.micros()))
        .filter(Column::Id.eq(of.id.uuid()))
        .filter(Column::Generation.eq(signed(of.generation)))
        .filter(Column::EndedAt.is_null())
        .exec(write)
        .await?;
    Ok(moved.rows_affected == 1)
}

/// Ends a session that lives, and numbers and tells it. One that has ended already stays as it is.
pub(crate) async fn end(write: &Write, moment: Moment<'_>, of: &Session) -> Result<(), StoreError> {
    let ended = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(moment.at.micros()))
        .filter(Column::Id.eq(of.id.uuid()))
        .filter(Column::EndedAt.is_null())
        .exec(write)
        .await?;
    if ended.rows_affected == 0 {
        return Ok(());
    }
    let what = Changed::SessionEnded {
        session: of.id,
        user: of.user,
    };
    change::make(write, moment, what).await
}

/// Every living session of a user, the newest first. Nobody else changes them until the transaction ends.
pub(crate) async fn lock_living(
    write: &Write,
    user: UserId,
    now: Time,
) -> Result<Vec<Session>, StoreError> {
    let found = alive(user, now)
        .order_by_desc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(write)
        .await?;
    found.into_iter().map(session).collect()
}

/// Up to `limit` living sessions of a user, the newest first, older than `before`.
pub(crate) async fn living(
    on: &impl ConnectionTrait,
    user: UserId,
    now: Time,
    before: Option<SessionId>,
    limit: u64,
) -> Result<Vec<Session>, StoreError> {
    let mut of = alive(user, now);
    if let Some(before) = before {
        of = of.filter(Column::Id.lt(before.uuid()));
    }
    let found = of.order_by_desc(Column::Id).limit(limit).all(on).await?;
    found.into_iter().map(session).collect()
}

fn alive(user: UserId, now: Time) -> sea_orm::Select<Entity> {
    Entity::find()
        .filter(Column::UserId.eq(user.uuid()))
        .filter(Column::EndedAt.is_null())
        .filter(Column::IdleEndsAt.gt(now.micros()))
}

/// Whether there are sessions whose time had come by an instant and that nobody ended.
pub(crate) async fn is_overdue(on: &impl ConnectionTrait, by: Time) -> Result<bool, StoreError> {
    Ok(past(by).one(on).await?.is_some())
}

/// Up to `limit` such sessions, the longest overdue first, which nobody else changes until the transaction ends. Those that somebody
/// works on just now are left for another time.
pub(crate) async fn lock_overdue(
    write: &Write,
    by: Time,
    limit: u64,
) -> Result<Vec<Session>, StoreError> {
    let found = past(by)
        .order_by_asc(Column::IdleEndsAt)
        .limit(limit)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .all(write)
        .await?;
    found.into_iter().map(session).collect()
}

fn past(by: Time) -> sea_orm::Select<Entity> {
    Entity::find()
        .filter(Column::EndedAt.is_null())
        .filter(Column::IdleEndsAt.lte(by.micros()))
}

/// Forgets sessions that ended before an instant.
pub(crate) async fn prune(write: &Write, before: Time) -> Result<u64, StoreError> {
    Ok(Entity::delete_many()
        .filter(Column::EndedAt.lt(before.micros()))
        .exec(write)
        .await?
        .rows_affected)
}

fn session(row: Model) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId::of(row.id),
        user: UserId::of(row.user_id),
        agent: row.agent,
        created_at: Time::from_micros(row.created_at),
        used_at: Time::from_micros(row.used_at),
        idle_ends_at: Time::from_micros(row.idle_ends_at),
        ends_at: Time::from_micros(row.ends_at),
        ended_at: row.ended_at.map(Time::from_micros),
        generation: u32::try_from(row.generation).map_err(|_| damaged("auth_session"))?,
        token_digest: digest(row.token_digest)?,
        parent_digest: row.parent_digest.map(digest).transpose()?,
    })
}

fn digest(bytes: Vec<u8>) -> Result<Digest, StoreError> {
    bytes.try_into().map_err(|_| damaged("auth_session"))
}

// A session of 30 days does not refresh two thousand million times.
fn signed(generation: u32) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}
