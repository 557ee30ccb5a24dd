//! A grpc-web call by hand, as a browser's library makes it over HTTP/1.1.

use prost::Message;

use super::{Person, http};

/// What marks the frame of the trailers.
const TRAILERS: u8 = 0x80;

/// Calls; returns the message, or the gRPC status number.
pub async fn call<Q: Message, A: Message + Default>(
    who: &Person,
    rpc: &str,
    request: &Q,
) -> Result<A, i32> {
    let message = request.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a small message");
    let body = [&[0][..], &length.to_be_bytes()[..], &message[..]].concat();
    let answer = http()
        .post(format!("http://{}/{rpc}", who.at))
        .bearer_auth(&who.token)
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body(body)
        .send()
        .await
        .expect("answers");
    assert_eq!(answer.status(), 200);
    // Where there is no message the status stands in the headers.
    let early = answer
        .headers()
        .get("grpc-status")
        .and_then(|status| status.to_str().ok()?.parse().ok());
    let bytes = answer.bytes().await.expect("a body");

    let (mut message, mut status) = (None, early);
    let mut rest = &bytes[..];
    while let Some((head, behind)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (frame, behind) = behind.split_at(length);
        rest = behind;
        if head[0] & TRAILERS == 0 {
            message = Some(A::decode(frame).expect("a message of this rpc"));
        } else {
            let text = String::from_utf8_lossy(frame).to_ascii_lowercase();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("grpc-status:"));
            status = line.and_then(|code| code.trim().parse().ok());
        }
    }
    match status.expect("a status") {
        0 => Ok(message.expect("a message beside its status")),
        refused => Err(refused),
    }
}
