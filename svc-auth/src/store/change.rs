//! The numbered changes of who may do what, and the events of everything that others hear of.
//!
//! One row counts. It is written first in each transaction that changes rights, so transactions take their numbers in the order of
//! their commits, on any engine, and no reader ever sees a gap that is filled later.

use guildhall_kernel::{EventId, Role, SessionId, SpaceId, Time, UserId};
use guildhall_mesh::Note;
use guildhall_store::{
    StoreError, Write,
    outbox::{self, Event},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    Moment, account, damaged,
    entity::{
        change::{ActiveModel, Column, Entity, Model},
        count,
    },
};
use crate::{
    event,
    model::{AccessChange, Changed, Person},
};

/// The id of the row that counts.
const ONE: i16 = 1;

const MEMBER: i16 = 1;
const SPACE_DELETED: i16 = 2;
const SESSION_ENDED: i16 = 3;

/// Changes after a number.
pub(crate) struct Changes {
    pub(crate) list: Vec<AccessChange>,
    pub(crate) head: u64,
    pub(crate) reset: bool,
}

/// Numbers a change of rights, keeps it, and owes its event.
pub(crate) async fn make(
    write: &Write,
    moment: Moment<'_>,
    what: Changed,
) -> Result<(), StoreError> {
    let n = next(write).await?;
    let change = AccessChange {
        n,
        at: moment.at,
        what,
    };
    Entity::insert(row(&change))
        .exec_without_returning(write)
        .await?;
    tell(
        write,
        event::access_changed(EventId::of(moment.ids.uuid()), &change),
    );
    Ok(())
}

/// Owes an event.
pub(crate) fn tell(write: &Write, note: Note) {
    let event = Event {
        id: note.id,
        subject: note.subject.to_string(),
        payload: note.payload.into(),
        at: note.at,
    };
    outbox::append(write, event);
}

/// The number of the last change.
pub(crate) async fn head(on: &impl ConnectionTrait) -> Result<u64, StoreError> {
    let count = count::Entity::find_by_id(ONE).one(on).await?;
    unsigned(count.ok_or_else(|| damaged("access_count"))?.n)
}

/// Up to `limit` changes after a number.
pub(crate) async fn after(
    on: &impl ConnectionTrait,
    after: u64,
    limit: u64,
) -> Result<Changes, StoreError> {
    let head = head(on).await?;
    if after >= head {
        // Above the head: numbers of a database that was replaced by an older one.
        return Ok(Changes {
            list: Vec::new(),
            head,
            reset: after > head,
        });
    }
    let rows = Entity::find()
        .filter(Column::N.gt(i64::try_from(after).unwrap_or(i64::MAX)))
        .order_by_asc(Column::N)
        .limit(limit)
        .all(on)
        .await?;
    // Changes are forgotten from the oldest on, so a gap can only stand at the beginning.
    let first = rows.first().map(|row| unsigned(row.n)).transpose()?;
    if first != Some(after + 1) {
        return Ok(Changes {
            list: Vec::new(),
            head,
            reset: true,
        });
    }
    let ids: Vec<UserId> = rows
        .iter()
        .filter_map(|row| row.user_id)
        .map(UserId::of)
        .collect();
    let people = account::people(on, &ids).await?;
    let changes = rows.into_iter().map(|row| {
        let person = row.user_id.and_then(|id| people.get(&UserId::of(id)));
        change(&row, person.cloned()).ok_or_else(|| damaged("access_change"))
    });
    let list: Vec<_> = changes.collect::<Result<_, _>>()?;
    // What came after the head was read is a part of the answer, too.
    let head = list.last().map_or(head, |last| Ord::max(last.n, head));
    Ok(Changes {
        list,
        head,
        reset: false,
    })
}

/// Forgets changes up to the last one from before an instant. By number, so that no gap comes between.
pub(crate) async fn prune(write: &Write, before: Time) -> Result<u64, StoreError> {
    let last = Entity::find()
        .filter(Column::At.lt(before.micros()))
        .order_by_desc(Column::N)
        .one(write)
        .await?;
    let Some(last) = last else {
        return Ok(0);
    };
    let old = Entity::delete_many().filter(Column::N.lte(last.n));
    Ok(old.exec(write).await?.rows_affected)
}

async fn next(write: &Write) -> Result<u64, StoreError> {
    let counted = count::Entity::update_many()
        .col_expr(count::Column::N, Expr::col(count::Column::N).add(1))
        .filter(count::Column::Id.eq(ONE))
        .exec_with_returning(write)
        .await?;
    unsigned(counted.first().ok_or_else(|| damaged("access_count"))?.n)
}

fn row(change: &AccessChange) -> ActiveModel {
    let mut row = ActiveModel {
        n: Set(i64::try_from(change.n).unwrap_or(i64::MAX)),
        at: Set(change.at.micros()),
        kind: Set(MEMBER),
        space_id: Set(None),
        user_id: Set(None),
        session_id: Set(None),
        role: Set(None),
        joined: Set(false),
    };
    match &change.what {
        Changed::Member {
            space,
            person,
            role,
            joined,
        } => {
            row.space_id = Set(Some(space.uuid()));
            row.user_id = Set(Some(person.id.uuid()));
            row.role = Set(role.map(|role| role.number().into()));
            row.joined = Set(*joined);
        }
        Changed::SpaceDeleted(space) => {
            row.kind = Set(SPACE_DELETED);
            row.space_id = Set(Some(space.uuid()));
        }
        Changed::SessionEnded { session, user } => {
            row.kind = Set(SESSION_ENDED);
            row.session_id = Set(Some(session.uuid()));
            row.user_id = Set(Some(user.uuid()));
        }
    }
    row
}

fn change(row: &Model, person: Option<Person>) -> Option<AccessChange> {
    let what = match row.kind {
        MEMBER => Changed::Member {
            space: SpaceId::of(row.space_id?),
            person: person?,
            role: row.role.and_then(|number| Role::from_number(number.into())),
            joined: row.joined,
        },
        SPACE_DELETED => Changed::SpaceDeleted(SpaceId::of(row.space_id?)),
        SESSION_ENDED => Changed::SessionEnded {
            session: SessionId::of(row.session_id?),
            user: UserId::of(row.user_id?),
        },
        _ => return None,
    };
    Some(AccessChange {
        n: u64::try_from(row.n).ok()?,
        at: Time::from_micros(row.at),
        what,
    })
}

fn unsigned(n: i64) -> Result<u64, StoreError> {
    u64::try_from(n).map_err(|_| damaged("access_count"))
}
