//! What clients say: client frames, read and held against the rules of their fields.

use std::sync::LazyLock;

use bytes::Bytes;
use guildhall_mesh::guard::faults;
use guildhall_proto::live::v1::ClientFrame;
use prost::Message as _;
use prost_protovalidate::{Error as Invalid, Validator};
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};

use super::{error::LiveError, frame::descriptor};

/// The largest client frame, in bytes.
pub(crate) const LARGEST: usize = 64 << 10;

static FRAME: LazyLock<MessageDescriptor> =
    LazyLock::new(|| descriptor("guildhall.live.v1.ClientFrame"));

/// What was read: the frame, or the id of a frame that says nothing allowed and why.
pub(crate) type Heard = Result<ClientFrame, (u32, LiveError)>;

/// Reads the text form.
pub(crate) fn from_json(text: &str) -> Result<Heard, LiveError> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let frame =
        DynamicMessage::deserialize_with_options(FRAME.clone(), &mut deserializer, &options)
            .and_then(|frame| deserializer.end().map(|()| frame))
            .map_err(|error| LiveError::Unreadable(error.to_string()))?;
    let plain = frame
        .transcode_to::<ClientFrame>()
        .map_err(|error| LiveError::Unreadable(error.to_string()))?;
    Ok(checked(plain, &frame))
}

/// Reads the binary form.
pub(crate) fn from_proto(bytes: Bytes) -> Result<Heard, LiveError> {
    let plain = ClientFrame::decode(bytes)
        .map_err(|_| LiveError::Unreadable("it is no ClientFrame".into()))?;
    check(plain)
}

/// Checks a frame that was decoded elsewhere.
pub(crate) fn check(plain: ClientFrame) -> Result<Heard, LiveError> {
    let bytes = plain.encode_to_vec();
    let frame = DynamicMessage::decode(FRAME.clone(), bytes.as_slice())
        .map_err(|error| LiveError::Unreadable(error.to_string()))?;
    Ok(checked(plain, &frame))
}

fn checked(plain: ClientFrame, frame: &DynamicMessage) -> Heard {
    static RULES: LazyLock<Validator> = LazyLock::new(Validator::new);
    match RULES.validate(frame) {
        Ok(()) => Ok(plain),
        Err(Invalid::Validation(broken)) => {
            let faults = faults(&FRAME, &broken.into_violations());
            Err((plain.id, LiveError::BadFields(faults)))
        }
        Err(error) => {
            tracing::error!(%error, "the rules of client frames cannot be checked");
            Err((
                plain.id,
                LiveError::Unreadable("its rules cannot be checked".into()),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::Failure as _;
    use guildhall_proto::live::v1::{Subscribe, client_frame::Body};

    use super::*;

    #[test]
    fn both_forms_of_a_frame_say_the_same() {
        let text = r#"{"id":3,"subscribe":{"typingChannelIds":["01900000-0000-7000-8000-000000000001"],"seen":{"c":4}}}"#;

        let from_text = from_json(text).expect("is read").expect("is good");
        let from_bytes = from_proto(from_text.encode_to_vec().into()).expect("is read");

        assert!(matches!(&from_text.body, Some(Body::Subscribe(wish)) if wish.seen["c"] == 4));
        assert_eq!(from_bytes.expect("is good"), from_text);
    }

    #[test]
    fn what_cannot_be_read_is_no_frame() {
        for text in ["", "{", "[]", "{}x", r#"{"nonsense":1}"#, r#"{"id":"x"}"#] {
            assert!(
                matches!(from_json(text), Err(LiveError::Unreadable(_))),
                "{text}"
            );
        }
        assert!(matches!(
            from_proto(Bytes::from_static(b"\xff")),
            Err(LiveError::Unreadable(_))
        ));
    }

    #[test]
    fn a_broken_rule_names_its_field_and_its_frame() {
        let wish = Subscribe {
            space_ids: vec!["x".into()],
            ..Default::default()
        };
        let frame = ClientFrame {
            id: 7,
            body: Some(Body::Subscribe(wish)),
        };

        let (id, error) = check(frame).expect("is read").expect_err("is refused");

        assert_eq!(
            (id, error.faults()[0].field.as_str()),
            (7, "subscribe.space_ids[0]")
        );
    }
}
