//! Proto to model and back; the only file that knows both vocabularies.

use guildhall_kernel::{ChannelId, Key, Page, SpaceId, Time, UserId};
use guildhall_mesh::Caller;
use guildhall_proto::chat::v1 as pb;
use prost_types::Timestamp;

use crate::{
    channels::Wanted,
    error::ChatError,
    feed::ChannelHead,
    messages::{Place, Position},
    model::{
        Channel, ChannelChange, ChannelKind, ChannelState, Epoch, Head, Message, MessageId, Name,
        NewMessage, Rev, Seq, Text, Topic,
    },
};

type Parsed<T> = Result<T, ChatError>;

// What comes in. The layer before has checked the rules of the fields that the proto states; here they become types.

pub(super) fn channel_id(text: &str) -> Parsed<ChannelId> {
    ChannelId::parse(text).map_err(|wrong| ChatError::field("channel_id", wrong))
}

pub(super) fn space_id(text: &str) -> Parsed<SpaceId> {
    SpaceId::parse(text).map_err(|wrong| ChatError::field("space_id", wrong))
}

pub(super) fn message_id(text: &str) -> Parsed<MessageId> {
    MessageId::parse(text).map_err(|wrong| ChatError::field("message_id", wrong))
}

pub(super) fn text(text: String) -> Parsed<Text> {
    Text::parse(text).map_err(|wrong| ChatError::field("text", wrong))
}

pub(super) fn page(size: u32, token: &str) -> Parsed<Page> {
    Page::parse(size, token).map_err(|wrong| ChatError::field("page_token", wrong))
}

/// How many items: `usual` where nobody says, never more than `most`.
pub(super) fn limit(asked: u32, usual: usize, most: usize) -> usize {
    match usize::try_from(asked).unwrap_or(most) {
        0 => usual,
        asked => asked.min(most),
    }
}

/// The user where one is named.
pub(super) fn reader(text: &str) -> Parsed<Option<UserId>> {
    let parsed = (!text.is_empty()).then(|| UserId::parse(text)).transpose();
    parsed.map_err(|wrong| ChatError::field("user_id", wrong))
}

/// The people named in a repeated field; `me` is the caller.
pub(super) fn people(field: &str, texts: &[String], caller: &Caller) -> Parsed<Vec<UserId>> {
    each(field, texts, |text| UserId::named(text, caller.user))
}

/// Reads each text of a repeated field.
pub(super) fn each<T, E: std::fmt::Display>(
    field: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Parsed<Vec<T>> {
    let one = |(n, text): (usize, &String)| {
        parse(text).map_err(|wrong| ChatError::field(format!("{field}[{n}]"), wrong))
    };
    texts.iter().enumerate().map(one).collect()
}

pub(super) fn kinds(numbers: &[i32]) -> Parsed<Vec<ChannelKind>> {
    let one = |(n, number): (usize, &i32)| {
        ChannelKind::from_number(*number)
            .ok_or_else(|| ChatError::field(format!("kinds[{n}]"), "not a kind of channel"))
    };
    numbers.iter().enumerate().map(one).collect()
}

impl TryFrom<pb::CreateChannelRequest> for Wanted {
    type Error = ChatError;

    fn try_from(request: pb::CreateChannelRequest) -> Parsed<Self> {
        Ok(Self {
            space: space_id(&request.space_id)?,
            name: name(&request.name)?,
            topic: topic(&request.topic)?,
            key: key(&request.key)?,
        })
    }
}

impl TryFrom<&pb::UpdateChannelRequest> for ChannelChange {
    type Error = ChatError;

    fn try_from(request: &pb::UpdateChannelRequest) -> Parsed<Self> {
        Ok(Self {
            name: request.name.as_deref().map(name).transpose()?,
            topic: request.topic.as_deref().map(topic).transpose()?,
        })
    }
}

impl TryFrom<pb::PostMessageRequest> for NewMessage {
    type Error = ChatError;

    fn try_from(request: pb::PostMessageRequest) -> Parsed<Self> {
        Ok(Self {
            channel: channel_id(&request.channel_id)?,
            key: key(&request.key)?,
            text: text(request.text)?,
        })
    }
}

/// Which part of a channel's log is meant.
pub(super) fn place(channel: ChannelId, request: &pb::ListMessagesRequest) -> Parsed<Place> {
    use pb::list_messages_request::Place as Asked;

    Ok(match &request.place {
        None => Place::Newest,
        Some(Asked::Before(id)) => Place::Before(seq_in(channel, "before", id)?),
        Some(Asked::After(id)) => Place::After(seq_in(channel, "after", id)?),
        Some(Asked::Around(id)) => Place::Around(seq_in(channel, "around", id)?),
        Some(Asked::BeforeTime(at)) => Place::BeforeTime(
            instant(at).ok_or_else(|| ChatError::field("before_time", "not an instant"))?,
        ),
    })
}

pub(super) fn position(rev: u32, epoch: String) -> Position {
    let epoch = (!epoch.is_empty()).then(|| Epoch(epoch.into()));
    Position {
        rev: Rev(rev),
        epoch,
    }
}

fn seq_in(channel: ChannelId, field: &str, id: &str) -> Parsed<Seq> {
    let id = MessageId::parse(id).map_err(|wrong| ChatError::field(field, wrong))?;
    if id.channel != channel {
        return Err(ChatError::field(field, "not a message of this channel"));
    }
    Ok(id.seq)
}

fn name(text: &str) -> Parsed<Name> {
    Name::parse(text).map_err(|wrong| ChatError::field("name", wrong))
}

fn topic(text: &str) -> Parsed<Topic> {
    Topic::parse(text).map_err(|wrong| ChatError::field("topic", wrong))
}

fn key(text: &str) -> Parsed<Key> {
    Key::parse(text).map_err(|wrong| ChatError::field("key", wrong))
}

fn instant(at: &Timestamp) -> Option<Time> {
    (0..1_000_000_000)
        .contains(&at.nanos)
        .then(|| Time::from_parts(at.seconds, at.nanos))
        .flatten()
}

// What goes out.

pub(super) fn head(head: Head, epoch: &Epoch) -> pb::Head {
    pb::Head {
        seq: head.seq.0,
        rev: head.rev.0,
        epoch: epoch.0.to_string(),
    }
}

pub(super) fn state(state: ChannelState, epoch: &Epoch) -> pb::ChannelState {
    pb::ChannelState {
        head: Some(head(state.head, epoch)),
        read_seq: state.read.seq.0,
        read_at: state.read.read_at.map(timestamp),
        unread_count: state.unread(),
        last_message: state.newest.map(Into::into),
        channel: Some(state.channel.into()),
    }
}

pub(super) fn channel_head(one: ChannelHead, epoch: &Epoch) -> pb::ChannelHead {
    pb::ChannelHead {
        channel: Some(one.channel.into()),
        head: Some(head(one.head, epoch)),
        read_seq: one.read.0,
        updated_at: one.updated_at.map(timestamp),
    }
}

impl From<Channel> for pb::Channel {
    fn from(channel: Channel) -> Self {
        let kind = match channel.kind {
            ChannelKind::Direct => pb::ChannelKind::Direct,
            ChannelKind::Text => pb::ChannelKind::Text,
        };
        Self {
            id: channel.id.to_string(),
            space_id: channel.space.to_string(),
            kind: kind.into(),
            name: channel.name,
            topic: channel.topic,
            created_at: Some(timestamp(channel.created_at)),
            user_ids: channel.people.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<Message> for pb::Message {
    fn from(message: Message) -> Self {
        Self {
            id: message.id.to_string(),
            channel_id: message.id.channel.to_string(),
            seq: message.id.seq.0,
            rev: message.rev.0,
            kind: pb::MessageKind::Text.into(),
            author_id: message.author.to_string(),
            text: message.text,
            key: message.key.as_str().to_owned(),
            created_at: Some(timestamp(message.posted_at)),
            edited_at: message.edited_at.map(timestamp),
            deleted_at: message.deleted_at.map(timestamp),
        }
    }
}

fn timestamp(at: Time) -> Timestamp {
    Timestamp {
        seconds: at.seconds(),
        nanos: at.nanos(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_of_the_channel_asked_about() {
        let (here, there) = (
            ChannelId::from_bytes([1; 16]),
            ChannelId::from_bytes([2; 16]),
        );
        let asked = |id: MessageId| pb::ListMessagesRequest {
            place: Some(pb::list_messages_request::Place::Around(id.to_string())),
            ..Default::default()
        };

        let own = place(
            here,
            &asked(MessageId {
                channel: here,
                seq: Seq(3),
            }),
        );
        let other = place(
            here,
            &asked(MessageId {
                channel: there,
                seq: Seq(3),
            }),
        );

        assert_eq!(own.expect("good"), Place::Around(Seq(3)));
        let ChatError::Fields(faults) = other.expect_err("of another channel") else {
            panic!("a field is at fault");
        };
        assert_eq!(faults[0].field, "around");
    }

    #[test]
    fn an_instant_is_one_that_can_be() {
        let at = |seconds, nanos| instant(&Timestamp { seconds, nanos });

        assert_eq!(at(1, 5_000), Some(Time::from_micros(1_000_005)));
        assert_eq!(at(1, -1), None);
        assert_eq!(at(1, 1_000_000_000), None);
        assert_eq!(at(i64::MAX, 0), None);
    }

    #[test]
    fn a_fault_in_a_list_names_its_place() {
        let texts = [
            "01900000-0000-7000-8000-000000000001".to_owned(),
            "me".to_owned(),
        ];

        let Err(ChatError::Fields(faults)) = each("user_ids", &texts, UserId::parse) else {
            panic!("the second is none");
        };

        assert_eq!(faults[0].field, "user_ids[1]");
    }

    #[test]
    fn a_limit_has_a_usual_value_and_an_end() {
        assert_eq!(
            [0, 7, 1_000].map(|asked| limit(asked, 50, 100)),
            [50, 7, 100]
        );
    }
}
