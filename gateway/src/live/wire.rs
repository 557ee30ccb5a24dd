//! Frames on gRPC: messages with a server frame in them, put together from bytes that were encoded once.

use std::marker::PhantomData;

use bytes::{BufMut as _, Bytes};
use prost::{Message, encoding::encode_varint};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstCodec;

/// Tags of `frame = 1` and `event_id = 2`, in `OpenResponse` and `WatchResponse` alike.
const FRAME: u8 = 1 << 3 | 2;
const EVENT_ID: u8 = 2 << 3 | 2;
/// An idle stream keeps little; what is ready together goes out together.
const BUFFERS: (usize, usize) = (512, 32 << 10);

/// A message with a frame in it.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The frame's binary form.
    pub(crate) frame: Bytes,
    /// The id of its event.
    pub(crate) event: Option<String>,
}

/// Sends [`Carried`] and reads `D`.
#[derive(Debug)]
pub(crate) struct Carrier<D>(PhantomData<D>);

impl<D> Carrier<D> {
    /// The codec.
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D: Message + Default + Send + 'static> Codec for Carrier<D> {
    type Encode = Carried;
    type Decode = D;
    type Encoder = CarriedEncoder;
    type Decoder = <ProstCodec<D, D> as Codec>::Decoder;

    fn encoder(&mut self) -> CarriedEncoder {
        CarriedEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<D, D>::raw_decoder(BufferSettings::new(BUFFERS.0, BUFFERS.1))
    }
}

/// Writes [`Carried`].
#[derive(Debug)]
pub(crate) struct CarriedEncoder;

impl Encoder for CarriedEncoder {
    type Item = Carried;
    type Error = Status;

    fn encode(&mut self, item: Carried, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let event = item.event.unwrap_or_default();
        into.reserve(item.frame.len() + event.len() + 16);
        put(into, FRAME, &item.frame);
        if !event.is_empty() {
            put(into, EVENT_ID, event.as_bytes());
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFERS.0, BUFFERS.1)
    }
}

fn put(into: &mut EncodeBuf<'_>, tag: u8, bytes: &[u8]) {
    into.put_u8(tag);
    encode_varint(bytes.len() as u64, into);
    into.put_slice(bytes);
}
