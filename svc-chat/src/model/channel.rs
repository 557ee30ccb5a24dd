//! Channels.

use guildhall_kernel::{ChannelId, Key, SpaceId, Time, UserId, name::fold};

use super::{Head, Mark, Message};

/// What a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChannelKind {
    /// The one channel of a direct space.
    Direct = 1,
    /// A channel of a team.
    Text = 2,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// The space whose members may read it.
    pub space: SpaceId,
    /// What it is.
    pub kind: ChannelKind,
    /// Its name; empty for direct ones.
    pub name: String,
    /// What it is about.
    pub topic: String,
    /// When it was made.
    pub created_at: Time,
    /// Who is in a direct one, in the order of their ids; empty for others.
    pub people: Vec<UserId>,
    /// When it was deleted.
    pub deleted_at: Option<Time>,
}

/// A channel as one reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// The channel.
    pub channel: Channel,
    /// How far it has come.
    pub head: Head,
    /// How far the reader has read.
    pub read: Mark,
    /// The newest message; `None` in an empty channel.
    pub newest: Option<Message>,
}

/// A team channel to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Its id, should it be new.
    pub id: ChannelId,
    /// Where.
    pub space: SpaceId,
    /// Its name.
    pub name: Name,
    /// What it is about.
    pub topic: Topic,
    /// Who makes it.
    pub by: UserId,
    /// What they call this call.
    pub key: Key,
    /// When.
    pub at: Time,
}

/// What to change of a channel; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelChange {
    /// The new name.
    pub name: Option<Name>,
    /// The new topic; an empty one clears.
    pub topic: Option<Topic>,
}

/// A channel's name: 1 to 100 characters without control characters, with something to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    shown: String,
    key: String,
}

/// The text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing but white space.
    #[error("must not be blank")]
    Blank,
    /// More than [`Name::LONGEST`].
    #[error("must be at most 100 characters")]
    TooLong,
    /// Holds a control character.
    #[error("must not hold control characters")]
    Control,
}

/// What a channel is about: at most 500 characters, no NUL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topic(String);

/// The text is no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTopic {
    /// More than [`Topic::LONGEST`].
    #[error("must be at most 500 characters")]
    TooLong,
    /// Holds a NUL, which not every store can keep.
    #[error("must not hold a NUL character")]
    Nul,
}

impl ChannelKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Text];

    /// The number that stores and protos use.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Reads that number; `None` where it is no kind.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| i32::from(kind.number()) == number)
    }
}

impl ChannelState {
    /// How many messages the reader has not read.
    pub fn unread(&self) -> u32 {
        self.head.unread_above(self.read.seq)
    }

    /// When it last came to the fore: its newest message, else its making.
    pub fn active_at(&self) -> Time {
        self.newest
            .as_ref()
            .map_or(self.channel.created_at, |message| message.posted_at)
    }
}

impl Name {
    /// The longest name, in characters.
    pub const LONGEST: usize = 100;

    /// Takes a client's text, without its outer white space.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if text.chars().any(char::is_control) {
            return Err(BadName::Control);
        }
        let shown = text.trim();
        if shown.chars().count() > Self::LONGEST {
            return Err(BadName::TooLong);
        }
        // Some letters fold to nothing but white space, so the key is what must not be empty.
        let key = fold(shown);
        if key.is_empty() {
            return Err(BadName::Blank);
        }
        Ok(Self {
            shown: shown.to_owned(),
            key,
        })
    }

    /// The name in its spelling.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The same for every spelling of the name.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Topic {
    /// The longest topic, in characters.
    pub const LONGEST: usize = 500;

    /// Takes a client's text, without its outer white space.
    ///
    /// # Errors
    /// [`BadTopic`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadTopic> {
        if text.contains('\0') {
            return Err(BadTopic::Nul);
        }
        if text.chars().count() > Self::LONGEST {
            return Err(BadTopic::TooLong);
        }
        Ok(Self(text.trim().to_owned()))
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
    fn a_name_keeps_its_spelling_and_has_one_key() {
        let name = Name::parse("  Straße\u{3000}").expect("a name");

        assert_eq!(name.as_str(), "Straße");
        assert_eq!(name.key(), Name::parse("STRAßE").expect("a name").key());
    }

    #[test]
    fn a_name_shows_something_and_not_too_much() {
        assert!(Name::parse(&"ü".repeat(100)).is_ok());
        assert_eq!(Name::parse(&"ü".repeat(101)), Err(BadName::TooLong));
        assert_eq!(Name::parse(" \u{3000} "), Err(BadName::Blank));
        assert_eq!(Name::parse("a\u{85}b"), Err(BadName::Control));
    }

    #[test]
    fn a_topic_may_be_empty_and_has_an_end() {
        assert_eq!(Topic::parse("  ").expect("a topic").as_str(), "");
        assert_eq!(Topic::parse(&"ü".repeat(501)), Err(BadTopic::TooLong));
        assert_eq!(Topic::parse("a\0"), Err(BadTopic::Nul));
    }

    #[test]
    fn kinds_survive_their_numbers() {
        for kind in ChannelKind::ALL {
            assert_eq!(ChannelKind::from_number(kind.number().into()), Some(kind));
        }
        assert_eq!(ChannelKind::from_number(0), None);
    }
}
