//! Events about channels and read marks.

use guildhall_kernel::{ChannelId, EventId, Time, UserId};
use guildhall_mesh::Note;
use guildhall_proto::chat::v1 as pb;

use crate::model::{Channel, Seq};

/// A channel was made.
pub fn channel_created(id: EventId, at: Time, channel: &Channel) -> Note {
    let channel_now = Some(channel.clone().into());
    Note::of(
        id,
        at,
        channel.space,
        &pb::ChannelCreated {
            channel: channel_now,
        },
    )
}

/// A channel's name or topic changed.
pub fn channel_updated(id: EventId, at: Time, channel: &Channel) -> Note {
    let channel_now = Some(channel.clone().into());
    Note::of(
        id,
        at,
        channel.space,
        &pb::ChannelUpdated {
            channel: channel_now,
        },
    )
}

/// A channel was deleted, by somebody or with its space.
pub fn channel_deleted(id: EventId, at: Time, channel: &Channel) -> Note {
    let channel_was = Some(channel.clone().into());
    Note::of(
        id,
        at,
        channel.space,
        &pb::ChannelDeleted {
            channel: channel_was,
        },
    )
}

/// Somebody read on.
pub fn read_moved(
    id: EventId,
    at: Time,
    channel: ChannelId,
    user: UserId,
    (from, to): (Seq, Seq),
) -> Note {
    let moved = pb::ReadMoved {
        channel_id: channel.to_string(),
        user_id: user.to_string(),
        from_seq: from.0,
        to_seq: to.0,
    };
    Note::of(id, at, channel, &moved)
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::SpaceId;

    use super::*;
    use crate::model::ChannelKind;

    #[test]
    fn events_of_a_channel_go_to_its_space_and_read_marks_to_the_channel() {
        let (id, at) = (EventId::from_bytes([9; 16]), Time::from_micros(7));
        let channel = Channel {
            id: ChannelId::from_bytes([1; 16]),
            space: SpaceId::from_bytes([2; 16]),
            kind: ChannelKind::Text,
            name: "general".into(),
            topic: String::new(),
            created_at: at,
            people: Vec::new(),
            deleted_at: None,
        };

        let made = channel_created(id, at, &channel);
        let read = read_moved(
            id,
            at,
            channel.id,
            UserId::from_bytes([3; 16]),
            (Seq(1), Seq(2)),
        );

        assert_eq!(
            &*made.subject,
            "guildhall.chat.v1.02020202-0202-0202-0202-020202020202.ChannelCreated"
        );
        assert_eq!(
            &*read.subject,
            "guildhall.chat.v1.01010101-0101-0101-0101-010101010101.ReadMoved"
        );
        let told = made
            .read::<pb::ChannelCreated>()
            .expect("this event")
            .expect("decodes");
        assert_eq!(told.channel.expect("is there").name, "general");
    }
}
