//! What chat tells and what it hears: model to event and back, pure. Subjects come from the schema.

mod channel;
mod heard;
mod message;

pub use channel::{channel_created, channel_deleted, channel_updated, read_moved};
pub use heard::{BadNews, News, news};
pub use message::{deleted, edited, posted};
