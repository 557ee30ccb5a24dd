//! What callers did and were told. Each caller writes its own.

use std::collections::BTreeMap;

use serde_json::Value;

/// A message as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) rev: u64,
    pub(crate) author: String,
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) deleted: bool,
}

impl Seen {
    /// Reads a message of the REST surface or of a live frame.
    pub(crate) fn of(message: &Value) -> Option<Self> {
        let text = |name: &str| message.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            id: text("id")?,
            seq: message.get("seq")?.as_u64()?,
            rev: message.get("rev")?.as_u64()?,
            author: text("authorId")?,
            key: text("key")?,
            text: text("text")?,
            deleted: message.get("deletedAt").is_some(),
        })
    }
}

/// What one caller knows about its own messages.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Every acknowledged answer to a post, by key: a repeat has to show the same message.
    pub(crate) posted: BTreeMap<String, Vec<Seen>>,
    /// Every acknowledged change, the newest last, by message id.
    pub(crate) changed: BTreeMap<String, Vec<Seen>>,
    /// Messages whose deletion was acknowledged.
    pub(crate) deleted: Vec<String>,
    /// Texts that an edit without an answer may have set, by message id.
    pub(crate) maybe_text: BTreeMap<String, Vec<String>>,
    /// Messages that a deletion without an answer may have emptied.
    pub(crate) maybe_deleted: Vec<String>,
    /// What the caller saw itself that may never be.
    pub(crate) wrong: Vec<String>,
}
