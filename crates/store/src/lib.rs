//! Opens databases and sees to it that they are written safely. Owns no tables but the outbox and its cursors.
//!
//! In reading order: [`home`] says where a service keeps its entities; [`lock`] keeps a second process out of the data folder;
//! [`sqlite`] opens a file and brings its tables up to date ([`migrate`]), [`postgres`] opens a schema; [`entities`] is the opened
//! database: many readers ([`Read`]), one helper for every write ([`Write`]); [`outbox`] keeps events in the transaction of their
//! change; [`error`] says what a failure means. [`engine_file`] opens a file for an engine that does without SeaORM.
//!
//! It knows no service, no bus and no transport.

pub mod engine_file;
pub mod entities;
pub mod error;
pub mod home;
pub mod inspect;
pub mod lock;
pub mod migrate;
pub mod outbox;
pub mod postgres;
mod read;
pub mod sqlite;
mod write;

pub use engine_file::{EngineFile, EngineFileError};
pub use entities::Entities;
pub use error::StoreError;
pub use home::Home;
pub use lock::FolderLock;
pub use read::Read;
pub use write::Write;
