//! Opens databases and sees to it that they are written safely. Owns no tables but the outbox and its cursors.
//!
//! In reading order: [`lock`] keeps a second process out of the data folder; [`sqlite`] opens a file and brings its tables up to
//! date ([`migrate`]); [`entities`] is the opened database: many readers, one writer, one helper for every write; [`outbox`] keeps
//! events in the transaction of their change; [`error`] says what a failure means. [`engine_file`] opens a file for an engine that does
//! without SeaORM.
//!
//! It knows no service, no bus and no transport.

pub mod engine_file;
pub mod entities;
pub mod error;
pub mod inspect;
pub mod lock;
pub mod migrate;
pub mod outbox;
pub mod sqlite;

pub use engine_file::{EngineFile, EngineFileError};
pub use entities::{Entities, Write};
pub use error::StoreError;
pub use lock::FolderLock;
