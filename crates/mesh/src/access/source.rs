//! What the authority is asked.

use async_trait::async_trait;
use guildhall_kernel::{SessionId, SpaceId, UserId};
use guildhall_proto::auth::v1::AccessChange;
use tonic::Status;

use super::Seat;

/// Where the truth about rights is asked: a link to `svc-auth`, or inside it its own store.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The public keys as a JSON Web Key Set.
    async fn keys(&self) -> Result<String, Status>;
    /// Whether a session of this user may act, and the number of the last change that the answer reflects.
    async fn session(&self, user: UserId, session: SessionId) -> Result<(bool, u64), Status>;
    /// The seat of a user in a living space, and the number of the last change that the answer reflects.
    async fn seat(&self, user: UserId, space: SpaceId) -> Result<(Option<Seat>, u64), Status>;
    /// All seats of a user, and the number of the last change that the answer reflects.
    async fn seats(&self, user: UserId) -> Result<(Vec<(SpaceId, Seat)>, u64), Status>;
    /// The changes after a number, in order.
    async fn changes(&self, after: u64, limit: u32) -> Result<Changes, Status>;
}

/// Changes of rights, in order.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<AccessChange>,
    /// The number of the last one there is.
    pub head: u64,
    /// Whether some after the asked number are no longer kept.
    pub reset: bool,
}
