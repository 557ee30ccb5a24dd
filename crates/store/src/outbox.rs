//! Events kept in the transaction of their change, numbered in the order of commits, and how far each reader has come.
//!
//! A service lists [`CreateOutbox`] and [`CountOutbox`] among its migrations, calls [`append`] inside [`Entities::write`], and serves
//! its journal from the rest.
//!
//! Readers go by a cursor, so a number must never appear below one that was seen. A sequence of the database does not promise that:
//! it gives numbers when they are asked for, and transactions commit in another order. So one row counts. Raising it locks it until
//! the commit, and that is done last, when all other work of the transaction is over: whoever has the next number commits next.

use std::time::Duration;

use guildhall_kernel::{EventId, Time};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use uuid::Uuid;

use crate::{Entities, StoreError, Write};

mod create;

pub use create::{CountOutbox, CreateOutbox};

/// How long an event is kept at least, for readers that come back late.
pub const KEPT: Duration = Duration::from_hours(7 * 24);
/// The id of the row that counts.
const ONE: i16 = 1;
/// How many events are written by one statement.
const TOGETHER: usize = 500;

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Names it; a repeat carries the same.
    pub id: EventId,
    /// Where it is told.
    pub subject: String,
    /// What is told.
    pub payload: Vec<u8>,
    /// When it became a fact.
    pub at: Time,
}

/// Adds an event to those that are kept with the change, in this order. An event whose id is there already fails the transaction with
/// [`StoreError::Taken`].
pub fn append(write: &Write, event: Event) {
    write.owe(event);
}

/// Keeps the events of a transaction under the next numbers, as the last thing before its commit. Returns the last number; 0: no event.
pub(crate) async fn keep(write: &Write, events: Vec<Event>) -> Result<u64, StoreError> {
    let Ok(count @ 1..) = i64::try_from(events.len()) else {
        return Ok(0);
    };
    let counted = head::Entity::update_many()
        .col_expr(head::Column::N, Expr::col(head::Column::N).add(count))
        .filter(head::Column::Id.eq(ONE))
        .exec_with_returning(write)
        .await?;
    let Some(head::Model { n: last, .. }) = counted.into_iter().next() else {
        return Err(DbErr::RecordNotFound("the count of the outbox".to_owned()).into());
    };
    let mut rows = (last - count + 1..).zip(events).map(row);
    loop {
        let some: Vec<_> = rows.by_ref().take(TOGETHER).collect();
        if some.is_empty() {
            return Ok(unsigned(last));
        }
        event::Entity::insert_many(some)
            .exec_without_returning(write)
            .await?;
    }
}

fn row((number, event): (i64, Event)) -> event::ActiveModel {
    event::ActiveModel {
        seq: Set(number),
        event_id: Set(event.id.uuid()),
        subject: Set(event.subject),
        payload: Set(event.payload),
        at: Set(event.at.micros()),
    }
}

/// Up to `limit` events above number `after`, in order. Numbers rise; gaps mean nothing.
///
/// # Errors
/// The database's.
pub async fn read(
    entities: &Entities,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Event)>, StoreError> {
    let rows = event::Entity::find()
        .filter(event::Column::Seq.gt(signed(after)))
        .order_by_asc(event::Column::Seq)
        .limit(u64::try_from(limit).unwrap_or(u64::MAX))
        .all(entities.read())
        .await?;
    Ok(rows.into_iter().map(numbered).collect())
}

/// The last number that a reader has finished with; 0 for a new one.
///
/// # Errors
/// The database's.
pub async fn cursor(entities: &Entities, reader: &str) -> Result<u64, StoreError> {
    let row = consumer_cursor::Entity::find_by_id(reader)
        .one(entities.read())
        .await?;
    Ok(row.map_or(0, |row| unsigned(row.last_seq)))
}

/// Every reader that has a cursor, and its last number.
///
/// # Errors
/// The database's.
pub async fn readers(entities: &Entities) -> Result<Vec<(String, u64)>, StoreError> {
    let rows = consumer_cursor::Entity::find().all(entities.read()).await?;
    let readers = rows
        .into_iter()
        .map(|row| (row.name, unsigned(row.last_seq)));
    Ok(readers.collect())
}

/// Forgets how far a reader has come, so that nothing is kept for it any more. If it comes back it begins anew.
///
/// # Errors
/// The database's.
pub async fn leave(entities: &Entities, reader: &str) -> Result<(), StoreError> {
    let name = reader.to_owned();
    entities
        .write(async move |write: &Write| {
            let gone = consumer_cursor::Entity::delete_by_id(name)
                .exec(write)
                .await;
            gone.map(drop).map_err(StoreError::from)
        })
        .await
}

/// Moves a reader's cursor up, never down.
///
/// # Errors
/// The database's.
pub async fn advance(entities: &Entities, reader: &str, to: u64) -> Result<(), StoreError> {
    entities
        .write(async |write: &Write| advance_in(write, reader, to).await)
        .await
}

/// Moves a reader's cursor up in the transaction of the effect, which makes the effect happen once.
///
/// # Errors
/// The database's.
pub async fn advance_in(write: &Write, reader: &str, to: u64) -> Result<(), StoreError> {
    use consumer_cursor::{ActiveModel, Column, Entity};

    let row = ActiveModel {
        name: Set(reader.to_owned()),
        last_seq: Set(signed(to)),
    };
    let up = OnConflict::column(Column::Name)
        .update_column(Column::LastSeq)
        .action_and_where(Expr::col((Entity, Column::LastSeq)).lt(signed(to)))
        .to_owned();
    Entity::insert(row)
        .on_conflict(up)
        .exec_without_returning(write)
        .await?;
    Ok(())
}

/// Forgets events that are older than [`KEPT`] and that every known reader has finished with. Returns how many.
///
/// # Errors
/// The database's.
pub async fn prune(entities: &Entities, now: Time) -> Result<u64, StoreError> {
    let slowest = consumer_cursor::Entity::find()
        .order_by_asc(consumer_cursor::Column::LastSeq)
        .one(entities.read())
        .await?;
    // Without readers nobody has finished with anything.
    let Some(slowest) = slowest else {
        return Ok(0);
    };
    let old = now.minus(KEPT).micros();
    entities
        .write(async |write: &Write| {
            Ok(event::Entity::delete_many()
                .filter(event::Column::Seq.lte(slowest.last_seq))
                .filter(event::Column::At.lt(old))
                .exec(write)
                .await
                .map_err(StoreError::from)?
                .rows_affected)
        })
        .await
}

fn numbered(row: event::Model) -> (u64, Event) {
    let event = Event {
        id: EventId::of(row.event_id),
        subject: row.subject,
        payload: row.payload,
        at: Time::from_micros(row.at),
    };
    (unsigned(row.seq), event)
}

// The numbers are the database's, which counts from 1 up and has no unsigned ones.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

mod event {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        #[sea_orm(unique)]
        pub event_id: super::Uuid,
        pub subject: String,
        pub payload: Vec<u8>,
        pub at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod consumer_cursor {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "consumer_cursor")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub last_seq: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod head {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox_head")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i16,
        pub n: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
