//! Messages in the bytes of each wire.

use anyhow::Context as _;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use prost_reflect::DynamicMessage;
use serde_json::Value;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{answer::Answer, stream::Frames};

/// The server frame in an answer of the live feed, as JSON.
pub(crate) fn frame(answer: &DynamicMessage) -> anyhow::Result<Result<Value, Answer>> {
    let mut json = serde_json::to_value(answer)?;
    Ok(Ok(json
        .get_mut("frame")
        .context("no frame in the answer")?
        .take()))
}

/// The data of server-sent events.
pub(crate) fn events(bytes: impl Stream<Item = anyhow::Result<Bytes>> + Send + 'static) -> Frames {
    let lines = stream::try_unfold(
        (bytes.boxed(), BytesMut::new()),
        |(mut bytes, mut held)| async move {
            loop {
                if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                    let line = held.split_to(end);
                    held.advance(1);
                    return Ok(Some((line.freeze(), (bytes, held))));
                }
                match bytes.next().await {
                    Some(more) => held.put(more?),
                    None => return Ok(None),
                }
            }
        },
    );
    lines
        .try_filter_map(|line: Bytes| async move {
            let data = line.strip_prefix(b"data:");
            Ok::<_, anyhow::Error>(data.map(serde_json::from_slice).transpose()?.map(Ok))
        })
        .boxed()
}

/// The messages of a grpc-web body; its trailers are the last, as a status.
pub(crate) fn web_frames(
    bytes: impl Stream<Item = anyhow::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = anyhow::Result<Result<Bytes, Status>>> + Send {
    const PREFIX: usize = 5;
    stream::try_unfold(
        (bytes.boxed(), BytesMut::new()),
        |(mut bytes, mut held)| async move {
            loop {
                if held.len() >= PREFIX {
                    let length = u32::from_be_bytes([held[1], held[2], held[3], held[4]]) as usize;
                    if held.len() >= PREFIX + length {
                        let is_trailers = held[0] & 0x80 != 0;
                        let frame = held.split_to(PREFIX + length).freeze().slice(PREFIX..);
                        let frame = if is_trailers {
                            Err(trailers(&frame)?)
                        } else {
                            Ok(frame)
                        };
                        return Ok(Some((frame, (bytes, held))));
                    }
                }
                match bytes.next().await {
                    Some(more) => held.put(more?),
                    None => return Ok(None),
                }
            }
        },
    )
}

fn trailers(text: &[u8]) -> anyhow::Result<Status> {
    let mut headers = reqwest::header::HeaderMap::new();
    for line in std::str::from_utf8(text)?.lines() {
        if let Some((name, value)) = line.split_once(':') {
            let name: reqwest::header::HeaderName = name.trim().parse()?;
            headers.insert(name, value.trim().parse()?);
        }
    }
    Status::from_header_map(&headers).context("trailers without a status")
}

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
