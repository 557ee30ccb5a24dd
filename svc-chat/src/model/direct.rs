//! Who is in a direct conversation, and the ids that follow from it.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{Context, SHA256};
use guildhall_kernel::{ChannelId, SpaceId, UserId};
use uuid::{Builder, Uuid};

/// The people of a direct conversation: 2 to 21, in the order of their ids, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People(Vec<UserId>);

/// These people have no direct conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPeople {
    /// Nobody but the caller.
    #[error("must name somebody else")]
    Alone,
    /// More than [`People::MOST`].
    #[error("must name at most 20 others")]
    TooMany,
}

impl People {
    /// How many people one conversation has at most.
    pub const MOST: usize = 21;

    /// The opener and the others, of whom any may be named twice or be the opener.
    ///
    /// # Errors
    /// [`BadPeople`] where that is too few or too many.
    pub fn of(opener: UserId, others: &[UserId]) -> Result<Self, BadPeople> {
        let all: BTreeSet<_> = others.iter().copied().chain([opener]).collect();
        match all.len() {
            0 | 1 => Err(BadPeople::Alone),
            2..=Self::MOST => Ok(Self(all.into_iter().collect())),
            _ => Err(BadPeople::TooMany),
        }
    }

    /// Everybody, in the order of their ids.
    pub fn all(&self) -> &[UserId] {
        &self.0
    }

    /// The id of their space: the same whoever opens it.
    pub fn space(&self) -> SpaceId {
        SpaceId::of(self.derive("guildhall direct space"))
    }

    /// The id of their channel.
    pub fn channel(&self) -> ChannelId {
        ChannelId::of(self.derive("guildhall direct channel"))
    }

    fn derive(&self, what: &str) -> Uuid {
        let mut hash = Context::new(&SHA256);
        hash.update(what.as_bytes());
        for user in &self.0 {
            hash.update(user.bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u128) -> UserId {
        UserId::of(Uuid::from_u128(n))
    }

    #[test]
    fn the_same_people_have_the_same_ids_whoever_names_them() {
        let one = People::of(user(1), &[user(3), user(2), user(3)]).expect("people");
        let two = People::of(user(2), &[user(1), user(2), user(3)]).expect("people");
        let fewer = People::of(user(1), &[user(2)]).expect("people");

        assert_eq!((one.space(), one.channel()), (two.space(), two.channel()));
        assert_ne!(one.space(), fewer.space());
        assert_ne!(one.space().uuid(), one.channel().uuid());
        assert_eq!(one.space().uuid().get_version_num(), 8);
    }

    /// The ids stand in every database: a release that derives others would open a second conversation.
    #[test]
    fn the_ids_of_known_people_never_change() {
        let people = People::of(user(1), &[user(2)]).expect("people");

        assert_eq!(
            people.space().to_string(),
            "99f02a30-9e39-810a-8f3f-229b71b1e826"
        );
        assert_eq!(
            people.channel().to_string(),
            "61cc3eb1-75ec-8383-a958-1f901b4f9f03"
        );
    }

    #[test]
    fn a_conversation_has_two_to_twenty_one_people() {
        let many: Vec<_> = (2..=22).map(user).collect();

        assert_eq!(People::of(user(1), &[user(1)]), Err(BadPeople::Alone));
        assert!(People::of(user(1), &many[..20]).is_ok());
        assert_eq!(People::of(user(1), &many), Err(BadPeople::TooMany));
    }
}
