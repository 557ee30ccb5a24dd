//! Where chat keeps what it owns: channels as entities in `chat.db` or a schema of PostgreSQL, their logs in a timeline.
//!
//! [`Timeline`] is a trait because two engines keep its promises, and [`TimelineHome`] says which one; channels need none, one library covers both databases.

mod channels;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod cql;
pub(crate) mod home;
mod journal;
pub mod sqlite;
pub mod timeline;

pub use channels::{CameAt, ChannelStore, Created, Deleted, Updated};
pub use home::{OpenError, TimelineHome};
pub use journal::ChannelJournal;
pub use timeline::{Appended, Changed, Changes, History, Moved, Newest, Place, Timeline};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More is waiting than the store takes on. Nothing was changed.
    #[error("the store is busy")]
    Busy,
    /// The channel's numbers are used up. Nothing was changed.
    #[error("the channel is full")]
    Full,
    /// The store is closed, because the process stops. Nothing was changed.
    #[error("the store is closed")]
    Closed,
    /// The commit failed or its answer was lost: the change was made whole or not at all.
    #[error("it is unknown whether the change was made")]
    OutcomeUnknown(#[source] Cause),
    /// The disk is full or failing, or the file is damaged. Nothing was changed.
    #[error("the store cannot write or read")]
    Refused(#[source] Cause),
    /// A statement is wrong or a row holds what it must not: our fault.
    #[error("the store holds or was asked what it must not")]
    Broken(#[source] Cause),
}

impl From<guildhall_store::StoreError> for StoreError {
    fn from(error: guildhall_store::StoreError) -> Self {
        use guildhall_store::StoreError as Inner;
        match error {
            Inner::Busy => Self::Busy,
            Inner::OutcomeUnknown(_) => Self::OutcomeUnknown(error.into()),
            Inner::Full(_) | Inner::Damaged(_) | Inner::Io(_) | Inner::Unreachable { .. } => {
                Self::Refused(error.into())
            }
            Inner::Taken(_)
            | Inner::Statement(_)
            | Inner::Newer { .. }
            | Inner::Behind { .. }
            | Inner::Unfit { .. }
            | Inner::OldLibrary { .. }
            | Inner::Locked { .. }
            | Inner::Folder { .. } => Self::Broken(error.into()),
        }
    }
}

impl From<sea_orm::DbErr> for StoreError {
    fn from(error: sea_orm::DbErr) -> Self {
        guildhall_store::StoreError::from(error).into()
    }
}
