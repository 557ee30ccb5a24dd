//! What svc-auth keeps: `auth.db`, or a schema of PostgreSQL. One library covers both, so there is no trait: functions by group of
//! tables, and one way to write.
//!
//! Functions that take a [`Write`] run inside a transaction that a use case opened with [`Store::write`]; the others read what is
//! committed.
//!
//! On PostgreSQL other processes write at the same time, so a transaction that judges what it reads and then changes it begins by
//! taking the row that all such transactions take: that of the space for everything about its members, that of the session or of the
//! account. Functions called `lock` do that. What has no row yet is kept apart by its key (of two the slower one runs anew and finds
//! it) or by [`Write::alone`].

use guildhall_kernel::{Ids, Time};
use guildhall_store::{Entities, Home, StoreError};
use sea_orm::DbErr;

use crate::{error::AuthError, migrations::Migrations};

pub(crate) mod account;
pub(crate) mod change;
mod entity;
pub(crate) mod journal;
pub(crate) mod key;
pub(crate) mod session;
pub(crate) mod space;

pub(crate) use guildhall_store::Write;

/// The opened database. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    entities: Entities,
}

/// When a change is made, and where its events get their ids.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) at: Time,
    pub(crate) ids: &'a dyn Ids,
}

impl Store {
    /// Opens the database.
    pub(crate) async fn open(home: &Home) -> Result<Self, StoreError> {
        let entities = home.open::<Migrations>().await?;
        Ok(Self { entities })
    }

    /// Runs `body` in one write transaction: kept and synced whole, or not at all. It may run more than once.
    pub(crate) async fn write<T, F>(&self, body: F) -> Result<T, AuthError>
    where
        F: AsyncFnOnce(&Write) -> Result<T, AuthError> + Clone,
    {
        self.entities.write(body).await
    }

    pub(crate) fn entities(&self) -> &Entities {
        &self.entities
    }

    pub(crate) async fn close(&self) {
        self.entities.close().await;
    }
}

/// A row holds what it must not.
fn damaged(table: &str) -> StoreError {
    StoreError::Statement(DbErr::Type(format!("a row of {table} is damaged")))
}
