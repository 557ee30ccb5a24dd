//! What gateways say of their people, as it is sent.

use bytes::Bytes;
use guildhall_kernel::UserId;

/// How somebody is there on one gateway: away where every stream says so; `None` without a stream.
pub(crate) type Here = Option<bool>;

/// What a gateway says of its people.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Said {
    /// Who says it.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) from: Bytes,
    /// How many changes it has said so far, this one included.
    #[prost(uint64, tag = "2")]
    pub(super) number: u64,
    /// Of whom. Nobody: a heartbeat, or the whole of an empty gateway.
    #[prost(message, repeated, tag = "3")]
    pub(super) people: Vec<Person>,
    /// Which page of the whole it is, from 1; 0 for a change.
    #[prost(uint32, tag = "4")]
    pub(super) page: u32,
    /// How many pages the whole has.
    #[prost(uint32, tag = "5")]
    pub(super) pages: u32,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Person {
    #[prost(bytes = "bytes", tag = "1")]
    user: Bytes,
    #[prost(bool, tag = "2")]
    here: bool,
    #[prost(bool, tag = "3")]
    away: bool,
}

impl Person {
    pub(super) fn of(user: UserId, here: Here) -> Self {
        Self {
            user: Bytes::copy_from_slice(user.bytes()),
            here: here.is_some(),
            away: here.unwrap_or_default(),
        }
    }

    pub(super) fn read(&self) -> Option<(UserId, Here)> {
        let user = UserId::from_bytes(self.user.as_ref().try_into().ok()?);
        Some((user, self.here.then_some(self.away)))
    }
}
