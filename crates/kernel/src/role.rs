//! The ladder of rights in a space.

/// A role in a space. Ordered: each may what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Reads and posts.
    Guest = 1,
    /// Also creates channels.
    Member = 2,
    /// Also adds and removes people, edits what others made.
    Moderator = 3,
    /// Everything.
    Owner = 4,
}

impl Role {
    /// The number that stores and protos use.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Reads that number; `None` where it is no role.
    pub const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Guest,
            2 => Self::Member,
            3 => Self::Moderator,
            4 => Self::Owner,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_a_ladder() {
        assert!(
            Role::Guest < Role::Member
                && Role::Member < Role::Moderator
                && Role::Moderator < Role::Owner
        );
        assert!(
            (1..=4).all(|n| Role::from_number(n).is_some_and(|role| i32::from(role.number()) == n))
        );
        assert_eq!(Role::from_number(0), None);
    }
}
