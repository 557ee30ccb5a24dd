//! Values that cannot be wrong once built. [`names`] are what people call themselves; here is what the service keeps.

use guildhall_kernel::{Role, SessionId, SpaceId, Time, UserId};

mod names;

pub use names::{BadName, DisplayName, Email, Login, SpaceName, StatusText, Username, words};

/// A person, as any signed-in person may see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// The unique name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// What they are up to; may be empty.
    pub status_text: String,
}

/// One's own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The person as others see them.
    pub person: Person,
    /// The address, seen by nobody else.
    pub email: String,
    /// When the account was made.
    pub created_at: Time,
}

/// One signed-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, which also names the family of its refresh tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// What the device called itself; may be empty.
    pub agent: String,
    /// When it signed in.
    pub created_at: Time,
    /// When it last refreshed.
    pub used_at: Time,
    /// When it ends if it does not refresh before; never after `ends_at`.
    pub idle_ends_at: Time,
    /// When it ends in any case.
    pub ends_at: Time,
    /// When it was ended, before its time or because that had come.
    pub ended_at: Option<Time>,
    /// The number of its refresh token, from 1.
    pub generation: u32,
    /// The digest of that token.
    pub token_digest: Digest,
    /// The digest of the token before.
    pub parent_digest: Option<Digest>,
}

/// A SHA-256 digest of something secret.
pub type Digest = [u8; 32];

/// What a space is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpaceKind {
    /// A group with channels.
    Team = 1,
    /// A conversation of two or more fixed people.
    Direct = 2,
}

/// Where people belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Its id.
    pub id: SpaceId,
    /// What it is for.
    pub kind: SpaceKind,
    /// Its name; empty for direct conversations.
    pub name: String,
    /// When it was made.
    pub created_at: Time,
    /// When it was deleted.
    pub deleted_at: Option<Time>,
}

/// Somebody's place in a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Their role; the last one where they have left.
    pub role: Role,
    /// When they came.
    pub joined_at: Time,
    /// When they left.
    pub left_at: Option<Time>,
}

/// One person in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub person: Person,
    /// Their role.
    pub role: Role,
    /// When they came.
    pub joined_at: Time,
}

/// One numbered change of who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessChange {
    /// Counts the changes of the hall, from 1 without gaps.
    pub n: u64,
    /// When it took effect.
    pub at: Time,
    /// What changed.
    pub what: Changed,
}

/// What changed of who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Somebody came, left, or has another role.
    Member {
        /// The space.
        space: SpaceId,
        /// The person.
        person: Person,
        /// The new role; `None`: not a member any more.
        role: Option<Role>,
        /// Whether they were no member before.
        joined: bool,
    },
    /// A space and everybody's rights in it ended.
    SpaceDeleted(SpaceId),
    /// A session ended.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Whose it was.
        user: UserId,
    },
}

impl Session {
    /// Whether it may act at an instant.
    pub fn lives(&self, now: Time) -> bool {
        self.ended_at.is_none() && now < self.idle_ends_at
    }
}

impl SpaceKind {
    /// The number that the store keeps.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Reads that number; `None` where it is no kind.
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            1 => Some(Self::Team),
            2 => Some(Self::Direct),
            _ => None,
        }
    }
}

impl Space {
    /// Whether it is still there.
    pub fn lives(&self) -> bool {
        self.deleted_at.is_none()
    }
}

impl Membership {
    /// The role, where they have not left.
    pub fn present(&self) -> Option<Role> {
        self.left_at.is_none().then_some(self.role)
    }
}
