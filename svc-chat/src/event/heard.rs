//! Events of auth, as far as chat cares.

use guildhall_kernel::{SpaceId, Time, UserId};
use guildhall_mesh::Note;
use guildhall_proto::auth::v1::{AccessChange, AccessChanged, access_change::What};

/// A fact about a space that chat acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Somebody is new in a space.
    Joined {
        /// The space.
        space: SpaceId,
        /// Who.
        user: UserId,
        /// Since when.
        at: Time,
    },
    /// A space ended.
    SpaceDeleted {
        /// The space.
        space: SpaceId,
        /// When.
        at: Time,
    },
}

/// An event that is not what its subject says.
#[derive(Debug, thiserror::Error)]
pub enum BadNews {
    /// The bytes are no such message.
    #[error("the event cannot be decoded")]
    Damaged(#[from] prost::DecodeError),
    /// A field that must be set is not, or holds nonsense.
    #[error("the event lacks its {0}")]
    Lacks(&'static str),
}

/// What a note means to chat; `None` where it means nothing.
///
/// # Errors
/// [`BadNews`] for an event that no version of auth should have written.
pub fn news(note: &Note) -> Result<Option<News>, BadNews> {
    let Some(changed) = note.read::<AccessChanged>() else {
        return Ok(None);
    };
    let change = changed?.change.ok_or(BadNews::Lacks("change"))?;
    let at = instant(&change).unwrap_or(note.at);
    match change.what {
        Some(What::MemberChanged(member)) if member.joined => {
            let user = member.user.ok_or(BadNews::Lacks("user"))?;
            Ok(Some(News::Joined {
                space: space(&member.space_id)?,
                user: UserId::parse(&user.id).map_err(|_| BadNews::Lacks("user id"))?,
                at,
            }))
        }
        Some(What::SpaceDeleted(gone)) => Ok(Some(News::SpaceDeleted {
            space: space(&gone.space_id)?,
            at,
        })),
        Some(What::MemberChanged(_) | What::SessionEnded(_)) | None => Ok(None),
    }
}

fn space(id: &str) -> Result<SpaceId, BadNews> {
    SpaceId::parse(id).map_err(|_| BadNews::Lacks("space id"))
}

fn instant(change: &AccessChange) -> Option<Time> {
    let at = change.at.as_ref()?;
    Time::from_parts(at.seconds, at.nanos)
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::EventId;
    use guildhall_proto::auth::v1::{MemberChanged, SessionEnded, SpaceDeleted, User};
    use prost_types::Timestamp;

    use super::*;

    const SPACE: &str = "02020202-0202-0202-0202-020202020202";
    const USER: &str = "03030303-0303-0303-0303-030303030303";

    fn told(what: What) -> Note {
        let at = Some(Timestamp {
            seconds: 5,
            nanos: 0,
        });
        let change = AccessChange {
            n: 1,
            at,
            what: Some(what),
        };
        let event = AccessChanged {
            change: Some(change),
        };
        Note::of(
            EventId::from_bytes([1; 16]),
            Time::from_micros(9),
            SPACE,
            &event,
        )
    }

    fn member(user: &str, joined: bool) -> What {
        What::MemberChanged(MemberChanged {
            space_id: SPACE.into(),
            user: Some(User {
                id: user.into(),
                ..User::default()
            }),
            role: 2,
            n: 1,
            joined,
        })
    }

    #[test]
    fn who_joins_is_news_and_who_gets_another_role_is_not() {
        let joined = news(&told(member(USER, true))).expect("good");

        let (space, user) = (SpaceId::from_bytes([2; 16]), UserId::from_bytes([3; 16]));
        let at = Time::from_micros(5_000_000);
        assert_eq!(joined, Some(News::Joined { space, user, at }));
        assert_eq!(news(&told(member(USER, false))).expect("good"), None);
    }

    #[test]
    fn the_end_of_a_space_is_news_and_the_end_of_a_session_is_not() {
        let gone = news(&told(What::SpaceDeleted(SpaceDeleted {
            space_id: SPACE.into(),
        })));
        let ended = news(&told(What::SessionEnded(SessionEnded::default())));

        assert!(matches!(gone, Ok(Some(News::SpaceDeleted { .. }))));
        assert!(matches!(ended, Ok(None)));
    }

    #[test]
    fn an_event_that_says_nothing_is_refused() {
        assert!(matches!(
            news(&told(member("me", true))),
            Err(BadNews::Lacks("user id"))
        ));
        let mut damaged = told(member(USER, true));
        damaged.payload = vec![0xff].into();
        assert!(matches!(news(&damaged), Err(BadNews::Damaged(_))));
    }
}
