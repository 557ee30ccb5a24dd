//! Events about messages. A timeline builds them with the change and keeps them until they are told.

use aws_lc_rs::digest;
use guildhall_kernel::{EventId, Time};
use guildhall_mesh::Note;
use guildhall_proto::chat::v1 as pb;
use uuid::Uuid;

use crate::model::{Epoch, Message};

/// A message was posted.
pub fn posted(epoch: &Epoch, message: &Message) -> Note {
    let posted = pb::MessagePosted {
        message: Some(message.clone().into()),
    };
    note(epoch, message, message.posted_at, &posted)
}

/// A message was edited.
pub fn edited(epoch: &Epoch, message: &Message) -> Note {
    let edited = pb::MessageEdited {
        message: Some(message.clone().into()),
    };
    note(
        epoch,
        message,
        message.edited_at.unwrap_or(message.posted_at),
        &edited,
    )
}

/// A message was deleted.
pub fn deleted(epoch: &Epoch, message: &Message) -> Note {
    let deleted = pb::MessageDeleted {
        message: Some(message.clone().into()),
    };
    note(
        epoch,
        message,
        message.deleted_at.unwrap_or(message.posted_at),
        &deleted,
    )
}

fn note<M: prost::Message + prost::Name>(
    epoch: &Epoch,
    message: &Message,
    at: Time,
    event: &M,
) -> Note {
    Note::of(change_id(epoch, message), at, message.id.channel, event)
}

/// Names a change by what it is: epoch, channel and rev. So a repeat carries the same id, and what a restored store tells under a
/// number given once before carries another.
fn change_id(epoch: &Epoch, message: &Message) -> EventId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(message.id.channel.bytes());
    hash.update(&message.rev.0.to_be_bytes());
    hash.update(epoch.0.as_bytes());
    let hash = hash.finish();
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    EventId::of(Uuid::new_v8(first))
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::{ChannelId, Key, UserId};

    use super::*;
    use crate::model::{MessageId, Rev, Seq};

    fn message() -> Message {
        Message {
            id: MessageId {
                channel: ChannelId::from_bytes([1; 16]),
                seq: Seq(2),
            },
            rev: Rev(3),
            author: UserId::from_bytes([4; 16]),
            text: "hello".into(),
            key: Key::parse("k").expect("a key"),
            posted_at: Time::from_micros(5),
            edited_at: Some(Time::from_micros(6)),
            deleted_at: Some(Time::from_micros(7)),
        }
    }

    #[test]
    fn an_event_says_what_happened_in_which_channel_and_when() {
        let epoch = Epoch("e".into());

        let notes = [posted, edited, deleted].map(|event| event(&epoch, &message()));

        let names = notes.each_ref().map(Note::event);
        assert_eq!(names, ["MessagePosted", "MessageEdited", "MessageDeleted"]);
        assert_eq!(notes.each_ref().map(|note| note.at.micros()), [5, 6, 7]);
        let told = notes[0]
            .read::<pb::MessagePosted>()
            .expect("this event")
            .expect("decodes");
        assert_eq!(told.message, Some(message().into()));
        assert_eq!(
            &*notes[0].subject,
            "guildhall.chat.v1.01010101-0101-0101-0101-010101010101.MessagePosted"
        );
    }

    #[test]
    fn a_change_has_one_id_and_no_other_change_has_it() {
        let epoch = Epoch("e".into());
        let (first, mut next, mut elsewhere) = (message(), message(), message());
        next.rev = Rev(4);
        elsewhere.id.channel = ChannelId::from_bytes([2; 16]);

        let id = posted(&epoch, &first).id;

        assert_eq!(id.uuid().get_version_num(), 8);
        assert_eq!(posted(&epoch, &first).id, id);
        assert_ne!(posted(&epoch, &next).id, id);
        assert_ne!(posted(&epoch, &elsewhere).id, id);
        assert_ne!(posted(&Epoch("f".into()), &first).id, id);
    }
}
