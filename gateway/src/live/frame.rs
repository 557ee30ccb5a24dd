//! What readers get: server frames, each encoded once per wire format and shared by all of its readers.

use std::sync::{Arc, LazyLock, OnceLock};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use guildhall_kernel::{ChannelId, UserId};
use guildhall_proto::{
    auth::v1 as auth,
    chat::v1 as chat,
    error::v1::Problem,
    live::v1::{self as pb, server_frame::Body},
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};

/// One server frame.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The channel that it is about.
    pub(crate) channel: Option<ChannelId>,
    /// The number of the change; 0 outside the log.
    pub(crate) rev: u32,
    /// The change that it follows.
    pub(crate) after_rev: u32,
    /// Under which key a newer one takes its place; `None`: it may not be dropped.
    pub(crate) shed: Option<Shed>,
    /// Whether a reader may come back from here: a change, or the heads themselves.
    pub(crate) is_mark: bool,
    proto: Bytes,
    // Printed by the first reader that wants text, read by all others.
    json: OnceLock<Utf8Bytes>,
}

/// Which frames replace one another. They are the ones that a full queue loses first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// Somebody types in a channel.
    Typing(ChannelId, UserId),
    /// How somebody is there.
    Presence(UserId),
}

impl Frame {
    /// A message as a change of its channel's log.
    pub(crate) fn message(channel: ChannelId, after_rev: u32, message: chat::Message) -> Arc<Self> {
        let rev = message.rev;
        Self::logged(channel, rev, after_rev, Some(Body::Message(message)))
    }

    /// Nothing but the position: the changes up to `rev` left no message of their own to show.
    pub(crate) fn passed(channel: ChannelId, rev: u32, after_rev: u32) -> Arc<Self> {
        Self::logged(channel, rev, after_rev, None)
    }

    /// State of one channel, outside the log.
    pub(crate) fn about(channel: ChannelId, body: Body) -> Arc<Self> {
        Self::logged(channel, 0, 0, Some(body))
    }

    /// The channel is not the reader's any more.
    pub(crate) fn gone(channel: ChannelId) -> Arc<Self> {
        Self::about(channel, Body::Gone(pb::Gone {}))
    }

    /// The reader is too far back in the channel.
    pub(crate) fn reset(channel: ChannelId, head: chat::Head) -> Arc<Self> {
        Self::about(channel, Body::Reset(pb::Reset { head: Some(head) }))
    }

    /// A frame about no one channel.
    pub(crate) fn general(body: Body) -> Arc<Self> {
        Self::seal(None, None, 0, 0, Some(body))
    }

    /// The stream lives. One for the whole process.
    pub(crate) fn heartbeat() -> Arc<Self> {
        static HEARTBEAT: LazyLock<Arc<Frame>> =
            LazyLock::new(|| Frame::general(Body::Heartbeat(pb::Heartbeat {})));
        HEARTBEAT.clone()
    }

    /// The answer to a client frame.
    pub(crate) fn done(id: u32, problem: Option<Problem>) -> Arc<Self> {
        Self::general(Body::Done(pb::Done { id, problem }))
    }

    /// Somebody came, left, or has another role.
    pub(crate) fn member(changed: auth::MemberChanged) -> Arc<Self> {
        Self::general(Body::MemberChanged(changed))
    }

    /// Somebody types.
    pub(crate) fn typing(channel: ChannelId, user: UserId) -> Arc<Self> {
        let body = Body::Typing(pb::Typing {
            channel_id: channel.to_string(),
            user_id: user.to_string(),
        });
        Self::seal(
            Some(channel),
            Some(Shed::Typing(channel, user)),
            0,
            0,
            Some(body),
        )
    }

    /// How somebody is there.
    pub(crate) fn presence(user: UserId, state: pb::PresenceState) -> Arc<Self> {
        let body = Body::Presence(pb::Presence {
            user_id: user.to_string(),
            state: state.into(),
        });
        Self::seal(None, Some(Shed::Presence(user)), 0, 0, Some(body))
    }

    fn logged(channel: ChannelId, rev: u32, after_rev: u32, body: Option<Body>) -> Arc<Self> {
        Self::seal(Some(channel), None, rev, after_rev, body)
    }

    fn seal(
        channel: Option<ChannelId>,
        shed: Option<Shed>,
        rev: u32,
        after_rev: u32,
        body: Option<Body>,
    ) -> Arc<Self> {
        let is_mark = rev != 0 || matches!(body, Some(Body::Ready(_)));
        let frame = pb::ServerFrame {
            channel_id: channel.map(|id| id.to_string()).unwrap_or_default(),
            rev,
            after_rev,
            body,
        };
        Arc::new(Self {
            channel,
            rev,
            after_rev,
            shed,
            is_mark,
            proto: frame.encode_to_vec().into(),
            json: OnceLock::new(),
        })
    }

    /// Whether it is a change of a channel's log.
    pub(crate) fn is_logged(&self) -> bool {
        self.rev != 0
    }

    /// Its size as a queue counts it, in bytes of its binary form.
    pub(crate) fn size(&self) -> usize {
        self.proto.len()
    }

    /// The binary form.
    pub(crate) fn proto(&self) -> Bytes {
        self.proto.clone()
    }

    /// The text form: canonical proto JSON with defaults printed, in one line.
    pub(crate) fn json(&self) -> Utf8Bytes {
        self.json.get_or_init(|| print(&self.proto).into()).clone()
    }
}

fn print(proto: &Bytes) -> String {
    static FRAME: LazyLock<MessageDescriptor> =
        LazyLock::new(|| descriptor("guildhall.live.v1.ServerFrame"));
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut text = Vec::with_capacity(2 * proto.len() + 64);
    let printed = DynamicMessage::decode(FRAME.clone(), proto.clone())
        .map_err(|error| error.to_string())
        .and_then(|frame| {
            frame
                .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
                .map_err(|error| error.to_string())
        });
    if let Err(error) = printed {
        // Only a time that no calendar holds has no text; its reader learns of the hole by the next frame.
        tracing::error!(error, "a frame has no JSON form");
        text = b"{}".to_vec();
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The descriptor of a message of ours.
pub(crate) fn descriptor(name: &str) -> MessageDescriptor {
    guildhall_proto::pool()
        .get_message_by_name(name)
        .expect("the descriptors of this build hold its messages")
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::ChannelId;

    use super::*;

    #[test]
    fn a_frame_is_printed_once_and_with_its_defaults() {
        let channel = ChannelId::from_bytes([7; 16]);
        let message = chat::Message {
            seq: 1,
            rev: 3,
            text: "hi".into(),
            ..Default::default()
        };

        let frame = Frame::message(channel, 2, message);

        let text = frame.json();
        assert!(
            text.contains("\"afterRev\":2") && text.contains("\"authorId\":\"\""),
            "{text}"
        );
        assert_eq!(
            Bytes::from(text).as_ptr(),
            Bytes::from(frame.json()).as_ptr()
        );
        assert_eq!(frame.proto().as_ptr(), frame.proto().as_ptr());
    }

    #[test]
    fn a_frame_without_a_body_still_moves_the_position() {
        let frame = Frame::passed(ChannelId::from_bytes([7; 16]), 9, 4);

        let read = pb::ServerFrame::decode(frame.proto()).expect("decodes");

        assert_eq!((read.rev, read.after_rev, read.body), (9, 4, None));
    }
}
