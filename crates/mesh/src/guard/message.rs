//! One request message, read whole, so that its rules can be checked and its place found before the handler sees it.

use bytes::Bytes;
use guildhall_kernel::{FieldFault, Kind};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use prost_protovalidate::{Error as Invalid, Validator};
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _};
use tonic::{Status, body::Body};

use super::faults;
use crate::{Reason, status::refusal};

/// The prefix of a gRPC message: one byte for compression, four for the length.
const PREFIX: usize = 5;

/// A request message and its frame.
pub(super) struct Received {
    frame: Bytes,
    message: DynamicMessage,
}

impl Received {
    /// Reads exactly one message of at most `largest` bytes.
    pub(super) async fn read(
        body: Body,
        input: &MessageDescriptor,
        largest: usize,
    ) -> Result<Self, Status> {
        let limited = Limited::new(body, largest + PREFIX);
        let collected = limited.collect().await.map_err(|error| {
            if error.downcast_ref::<LengthLimitError>().is_some() {
                too_large(largest)
            } else {
                Status::cancelled("the request ended early")
            }
        })?;
        let frame = collected.to_bytes();
        let message = unframe(&frame, largest)?;
        let message = DynamicMessage::decode(input.clone(), message)
            .map_err(|_| bad("the request is not a message of this rpc"))?;
        Ok(Self { frame, message })
    }

    /// Checks the rules that the proto gives for the fields.
    pub(super) fn check(&self, validator: &Validator) -> Result<(), Status> {
        let violations = match validator.validate(&self.message) {
            Ok(()) => return Ok(()),
            Err(Invalid::Validation(error)) => error.into_violations(),
            Err(error) => {
                tracing::error!(%error, message = self.message.descriptor().full_name(), "rules cannot be checked");
                return Err(refusal(
                    Kind::Internal,
                    Reason::Unspecified,
                    "internal error",
                    &[],
                    None,
                ));
            }
        };
        let faults = faults(&self.message.descriptor(), &violations);
        Err(refusal(
            Kind::Invalid,
            Reason::BadField,
            "the request has bad fields",
            &faults,
            None,
        ))
    }

    /// The text of a top-level field.
    pub(super) fn text(&self, field: &FieldDescriptor) -> String {
        self.message
            .get_field(field)
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The request as it came.
    pub(super) fn into_body(self) -> Body {
        Body::new(Full::new(self.frame))
    }
}

fn unframe(frame: &Bytes, largest: usize) -> Result<Bytes, Status> {
    let Some((prefix, _)) = frame.split_first_chunk::<PREFIX>() else {
        return Err(bad("the request holds no message"));
    };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err(Status::unimplemented("compressed requests are not taken"));
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > largest {
        return Err(too_large(largest));
    }
    if frame.len() != PREFIX + length {
        return Err(bad("the request holds more or less than one message"));
    }
    Ok(frame.slice(PREFIX..))
}

fn bad(detail: &str) -> Status {
    refusal(
        Kind::Invalid,
        Reason::BadField,
        detail,
        &[FieldFault::new("", detail)],
        None,
    )
}

fn too_large(largest: usize) -> Status {
    let detail = format!("the request is larger than {largest} bytes");
    refusal(Kind::Exhausted, Reason::TooLarge, &detail, &[], None)
}
