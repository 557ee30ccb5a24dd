//! What a call sends, kept so that it can be sent again.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use guildhall_kernel::Kind;
use guildhall_proto::options::v1::Place;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tokio::time::Instant;
use tonic::{Status, body::Body};

use super::{super::timeout_of, now};
use crate::{
    Call, Reason,
    guard::{LARGEST, LONGEST, parse_timeout},
    rules::{Caller, Rule, Rules},
    status::refusal,
};

/// The prefix of a gRPC message: one byte for compression, four for the length.
const PREFIX: usize = 5;
/// How much of the time that is left is kept for the way back: a twentieth, at most this.
const WAY_BACK: Duration = Duration::from_millis(50);
/// Headers about the connection that a call came by, or about the body that it came in: a gateway passes calls on as they came.
const OF_ANOTHER_WAY: [HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
/// The header that says how much time there is.
const TIMEOUT: &str = "grpc-timeout";

/// A call to another process.
pub(super) struct Asked {
    uri: Uri,
    headers: HeaderMap,
    body: Whole,
    /// The channel that it is about.
    pub(super) channel: Option<String>,
    /// Whether it may be repeated without a second effect.
    pub(super) retry_safe: bool,
    /// Whether its answer is one message.
    pub(super) answers_once: bool,
    /// When its answer is worth nothing any more.
    pub(super) deadline: Instant,
}

enum Whole {
    Message(Bytes),
    /// A stream of messages goes only once.
    Stream(Option<Body>),
}

/// When the answer to a request is worth nothing any more.
pub(super) fn deadline(request: &Request<Body>) -> Instant {
    if let Some(call) = request.extensions().get::<Call>() {
        return call.deadline;
    }
    let wished = request.headers().get(TIMEOUT);
    let wished = wished.and_then(|value| parse_timeout(value.to_str().ok()?));
    now() + wished.unwrap_or(LONGEST).min(LONGEST)
}

impl Asked {
    /// Reads a request: whole, where it is one message.
    pub(super) async fn read(
        request: Request<Body>,
        to: &str,
        rules: &Rules,
        deadline: Instant,
    ) -> Result<Self, Status> {
        let (mut parts, body) = request.into_parts();
        for name in OF_ANOTHER_WAY {
            parts.headers.remove(name);
        }
        let trailers = HeaderValue::from_static("trailers");
        parts.headers.insert(header::TE, trailers);
        let rule = rules.at(parts.uri.path());
        let path = parts.uri.path_and_query().cloned();
        let uri = Uri::builder()
            .scheme("https")
            .authority(to)
            .path_and_query(path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")))
            .build()
            .map_err(|_| Status::internal("the path of the call is none"))?;
        let body = match rule {
            Some(rule) if !rule.client_streaming => Whole::Message(collect(body).await?),
            _ => Whole::Stream(Some(body)),
        };
        let channel = match (rule, &body) {
            (Some(rule), Whole::Message(frame)) => channel(rule, frame),
            _ => None,
        };
        Ok(Self {
            uri,
            headers: parts.headers,
            body,
            channel,
            retry_safe: rule.is_some_and(|rule| rule.retry_safe && !rule.client_streaming),
            answers_once: rule.is_some_and(|rule| !rule.server_streaming),
            deadline,
        })
    }

    /// The request to send now; `None` where it cannot be sent once more. What is left of the time is said in it.
    pub(super) fn request(&mut self) -> Option<Request<Body>> {
        let body = match &mut self.body {
            Whole::Message(frame) => Body::new(Full::new(frame.clone())),
            Whole::Stream(body) => body.take()?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let left = self.deadline.saturating_duration_since(now());
        let given = left.saturating_sub((left / 20).min(WAY_BACK));
        request.headers_mut().insert(TIMEOUT, timeout_of(given));
        Some(request)
    }

    /// Whether it can be sent once more.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.body, Whole::Message(_))
    }
}

async fn collect(body: Body) -> Result<Bytes, Status> {
    let collected = Limited::new(body, LARGEST + PREFIX).collect().await;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let detail = format!("the request is larger than {LARGEST} bytes");
            refusal(Kind::Exhausted, Reason::TooLarge, &detail, &[], None)
        } else {
            Status::cancelled("the request ended early")
        }
    })?;
    Ok(collected.to_bytes())
}

/// The id of the channel that a request is about, if its rule says that it is about one. The service judges whether it is any good.
fn channel(rule: &Rule, frame: &Bytes) -> Option<String> {
    let Caller::InSpace {
        field,
        place: Place::Channel,
        ..
    } = &rule.who
    else {
        return None;
    };
    let mut message = frame.get(PREFIX..)?;
    let mut found = None;
    while message.has_remaining() {
        let (number, wire) = decode_key(&mut message).ok()?;
        if number != field.number() || wire != WireType::LengthDelimited {
            skip_field(wire, number, &mut message, DecodeContext::default()).ok()?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
        // Of a field that stands there twice, the last one counts.
        found = std::str::from_utf8(message.get(..length)?).ok();
        message.advance(length);
    }
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use guildhall_proto::chat::v1::PostMessageRequest;
    use prost::Message as _;

    use super::*;

    fn frame(message: &[u8]) -> Bytes {
        let mut frame = vec![0; PREFIX];
        frame.extend_from_slice(message);
        frame.into()
    }

    #[test]
    fn the_channel_is_read_from_the_bytes_of_a_request_and_broken_ones_name_none() {
        let rules = Rules::of(guildhall_proto::pool()).expect("rules");
        let rule = rules.at("/guildhall.chat.v1.MessageService/PostMessage");
        let rule = rule.expect("is there");
        let request = PostMessageRequest {
            channel_id: "c-1".into(),
            text: "hello".into(),
            key: "k".into(),
        };
        let bytes = request.encode_to_vec();

        assert_eq!(channel(rule, &frame(&bytes)).as_deref(), Some("c-1"));
        for end in 0..bytes.len() {
            let _ = channel(rule, &frame(&bytes[..end]));
        }
        assert_eq!(channel(rule, &frame(&[0xff; 20])), None);
        let elsewhere = rules.at("/guildhall.auth.v1.SessionService/CreateSession");
        assert!(elsewhere.is_none_or(|rule| channel(rule, &frame(&bytes)).is_none()));
    }
}
