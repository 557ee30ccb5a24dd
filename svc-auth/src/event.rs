//! What others hear of: past-tense facts, built from the model. Subjects come from the schema.

use guildhall_kernel::{EventId, Time};
use guildhall_mesh::Note;
use guildhall_proto::auth::v1 as pb;

use crate::model::{AccessChange, Changed, Person, Space};

/// Who may do what has changed. Told under the space, else the user.
pub(crate) fn access_changed(id: EventId, change: &AccessChange) -> Note {
    let event = pb::AccessChanged {
        change: Some(change.clone().into()),
    };
    match &change.what {
        Changed::Member { space, .. } | Changed::SpaceDeleted(space) => {
            Note::of(id, change.at, space, &event)
        }
        Changed::SessionEnded { user, .. } => Note::of(id, change.at, user, &event),
    }
}

/// A space was made or renamed.
pub(crate) fn space_changed(id: EventId, at: Time, space: &Space) -> Note {
    let event = pb::SpaceChanged {
        space: Some(space.clone().into()),
    };
    Note::of(id, at, space.id, &event)
}

/// A person changed name or status.
pub(crate) fn user_changed(id: EventId, at: Time, person: &Person) -> Note {
    let event = pb::UserChanged {
        user: Some(person.clone().into()),
    };
    Note::of(id, at, person.id, &event)
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::{Role, SpaceId, UserId};

    use super::*;

    #[test]
    fn a_change_in_a_space_is_told_under_the_space() {
        let space = SpaceId::from_bytes([1; 16]);
        let person = Person {
            id: UserId::from_bytes([2; 16]),
            username: "bob".into(),
            display_name: "Bob".into(),
            status_text: String::new(),
        };
        let what = Changed::Member {
            space,
            person,
            role: Some(Role::Guest),
            joined: true,
        };
        let change = AccessChange {
            n: 7,
            at: Time::from_micros(1),
            what,
        };

        let note = access_changed(EventId::from_bytes([3; 16]), &change);

        assert_eq!(
            &*note.subject,
            format!("guildhall.auth.v1.{space}.AccessChanged")
        );
        let told: pb::AccessChanged = note.read().expect("this event").expect("decodes");
        assert_eq!(told.change.map(|change| change.n), Some(7));
    }
}
