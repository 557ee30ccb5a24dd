//! One type per kind of id, so that a user is never taken for a space.

use std::{fmt, hash, marker::PhantomData, str::FromStr};

use uuid::Uuid;

/// What an id is of.
pub trait Named: 'static {
    /// The kind in words, as it stands in errors: "user".
    const NAME: &'static str;
}

/// An id of kind `K`: a UUIDv7, or v8 where it is derived from what it names. A plain string on every wire.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

macro_rules! kinds {
    ($($(#[$doc:meta])* $alias:ident = $kind:ident, $name:literal;)*) => {$(
        #[doc = concat!("Marks ids of kind ", $name, ".")]
        pub enum $kind {}
        impl Named for $kind {
            const NAME: &'static str = $name;
        }
        $(#[$doc])*
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// A person.
    UserId = User, "user";
    /// A signed-in device.
    SessionId = Session, "session";
    /// Where people belong together.
    SpaceId = Space, "space";
    /// A log of messages.
    ChannelId = Channel, "channel";
    /// One told fact; listeners drop repeats by it.
    EventId = Event, "event";
}

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: a UUID is wanted")]
pub struct BadId {
    kind: &'static str,
}

impl<K: Named> Id<K> {
    /// Names an existing UUID.
    pub const fn of(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// Reads the hyphenated form of 36 characters, in any case; no other spelling.
    ///
    /// # Errors
    /// [`BadId`] for everything else.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        let uuid = (text.len() == 36)
            .then(|| Uuid::try_parse(text).ok())
            .flatten();
        uuid.map(Self::of).ok_or(BadId { kind: K::NAME })
    }

    /// The UUID itself.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// Its 16 bytes, the order of which is the order of ids.
    pub fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::of(Uuid::from_bytes(bytes))
    }
}

impl UserId {
    /// Reads a user id of a request, where `me` stands for who asks.
    ///
    /// # Errors
    /// [`BadId`] for what is neither.
    pub fn named(text: &str, me: Self) -> Result<Self, BadId> {
        if text == "me" {
            Ok(me)
        } else {
            Self::parse(text)
        }
    }
}

// Written out, because a derive would ask the same of `K`.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K: Named> FromStr for Id<K> {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = UserId::of(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));

        assert_eq!(UserId::parse(&id.to_string()), Ok(id));
        assert_eq!(UserId::parse(&id.to_string().to_uppercase()), Ok(id));
    }

    #[test]
    fn me_is_who_asks_and_any_other_id_is_read() {
        let (me, other) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));

        assert_eq!(UserId::named("me", me), Ok(me));
        assert_eq!(UserId::named(&other.to_string(), me), Ok(other));
        assert!(UserId::named("Me", me).is_err());
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        for text in [
            "",
            "me",
            "01900000000070008000000000000001",
            "{01900000-0000-7000-8000-000000000001}",
        ] {
            assert!(UserId::parse(text).is_err(), "{text}");
        }
    }
}
