//! What opening an app asks of the live part: who is there.

use async_trait::async_trait;
use guildhall_kernel::UserId;
use guildhall_proto::live::v1::PresenceState;

/// Knows who is there.
#[async_trait]
pub trait PresenceView: Send + Sync + 'static {
    /// How each of these people is there, as `reader` may see it: one for each, in their order. Who shares no space with the reader is
    /// shown as offline.
    async fn seen_by(&self, reader: UserId, users: &[UserId]) -> Vec<(UserId, PresenceState)>;
}
