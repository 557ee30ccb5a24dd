//! Values that cannot be wrong once built.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::{ChannelId, Key, Time, UserId};

mod channel;
mod direct;

pub use channel::{
    BadName, BadTopic, Channel, ChannelChange, ChannelKind, ChannelState, Name, NewChannel, Topic,
};
pub use direct::{BadPeople, People};

/// The number of a message among its channel's messages, from 1 without gaps; 0 stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u32);

/// The number of a change among its channel's changes, from 1 without gaps; 0 stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rev(pub u32);

/// How far a channel's log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The number of the newest message.
    pub seq: Seq,
    /// The number of the newest change.
    pub rev: Rev,
}

/// How far somebody has read in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The last message read; 0 where there is none.
    pub seq: Seq,
    /// When they last read on; `None` where they never did.
    pub read_at: Option<Time>,
}

/// Names the store that counts: new when it was made or restored from a backup. Positions of another epoch mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Epoch(pub Box<str>);

/// A message's name: channel and seq in 27 letters. Opaque to clients, found without an index by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The channel it stands in.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: Seq,
}

/// The text is no message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message id")]
pub struct BadMessageId;

/// What somebody says: 1 to 16,000 characters, not all blank, no NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Box<str>);

/// The text cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Nothing but blanks.
    #[error("must say something")]
    Blank,
    /// More than [`Text::LONGEST`].
    #[error("must be at most 16,000 characters")]
    TooLong,
    /// Holds a NUL, which not every store can keep.
    #[error("must not hold a NUL character")]
    Nul,
}

/// A message to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Who writes.
    pub author: UserId,
    /// What they say.
    pub text: Text,
    /// What they call this post.
    pub key: Key,
    /// When.
    pub at: Time,
}

/// What a client asks to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Where.
    pub channel: ChannelId,
    /// What it says.
    pub text: Text,
    /// What the client calls this post.
    pub key: Key,
}

/// A message in its present state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its name.
    pub id: MessageId,
    /// The number of its last change.
    pub rev: Rev,
    /// Who wrote it.
    pub author: UserId,
    /// What it says; empty once deleted.
    pub text: String,
    /// What its author called the post.
    pub key: Key,
    /// When it was posted.
    pub posted_at: Time,
    /// When it was last edited.
    pub edited_at: Option<Time>,
    /// When it was deleted.
    pub deleted_at: Option<Time>,
}

impl Seq {
    /// The next number; `None` once the channel is full.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl Rev {
    /// The next number; `None` once the channel is full.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl Head {
    /// How many messages stand above a mark.
    pub fn unread_above(self, mark: Seq) -> u32 {
        self.seq.0.saturating_sub(mark.0)
    }
}

impl MessageId {
    /// Reads the 27 letters.
    ///
    /// # Errors
    /// [`BadMessageId`] for everything else.
    pub fn parse(text: &str) -> Result<Self, BadMessageId> {
        let bytes: [u8; 20] = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(BadMessageId)?;
        let (channel, seq) = bytes.split_first_chunk::<16>().ok_or(BadMessageId)?;
        let seq: [u8; 4] = seq.try_into().map_err(|_| BadMessageId)?;
        Ok(Self {
            channel: ChannelId::from_bytes(*channel),
            seq: Seq(u32::from_be_bytes(seq)),
        })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(self.channel.bytes());
        bytes[16..].copy_from_slice(&self.seq.0.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for MessageId {
    type Err = BadMessageId;

    fn from_str(text: &str) -> Result<Self, BadMessageId> {
        Self::parse(text)
    }
}

impl Text {
    /// The longest text, in characters.
    pub const LONGEST: usize = 16_000;

    /// Takes a client's text as it is.
    ///
    /// # Errors
    /// [`BadText`] says what is wrong with it.
    pub fn parse(text: String) -> Result<Self, BadText> {
        if text.contains('\0') {
            return Err(BadText::Nul);
        }
        // Characters are at most four bytes, so short texts need no count.
        if text.len() > Self::LONGEST && text.chars().count() > Self::LONGEST {
            return Err(BadText::TooLong);
        }
        if text
            .chars()
            .all(|letter| letter <= ' ' || letter == '\u{7f}')
        {
            return Err(BadText::Blank);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_survives_its_letters() {
        let id = MessageId {
            channel: ChannelId::from_bytes([7; 16]),
            seq: Seq(0x0102_0304),
        };

        assert_eq!(id.to_string().len(), 27);
        assert_eq!(MessageId::parse(&id.to_string()), Ok(id));
        for text in ["", "AAAA", &"!".repeat(27), &"A".repeat(28)] {
            assert_eq!(MessageId::parse(text), Err(BadMessageId), "{text}");
        }
    }

    #[test]
    fn a_text_says_something_and_not_too_much() {
        assert!(Text::parse("ü".repeat(16_000)).is_ok());
        assert_eq!(Text::parse("ü".repeat(16_001)), Err(BadText::TooLong));
        assert_eq!(Text::parse(" \n\t".into()), Err(BadText::Blank));
        assert_eq!(Text::parse("a\0b".into()), Err(BadText::Nul));
    }
}
