//! The public keys of access tokens, for whoever verifies them elsewhere.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use guildhall_kernel::Clock;
use guildhall_mesh::Call;
use guildhall_proto::auth::v1::{GetKeysRequest, access_service_client::AccessServiceClient};
use tokio::sync::Mutex;
use tonic::Status;

use crate::clients::Clients;

/// How long an answer of auth is good for. A dropped key is refused everywhere within a minute: this, and as long in caches outside.
const FRESH: Duration = Duration::from_secs(15);
/// How long auth may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys, asked of auth and kept for a moment.
pub(crate) struct PublicKeys {
    clients: Clients,
    clock: Arc<dyn Clock>,
    // Held while asking, so that a crowd asks once.
    kept: Mutex<Option<(Duration, Bytes)>>,
}

impl PublicKeys {
    pub(crate) fn new(clients: Clients, clock: Arc<dyn Clock>) -> Self {
        let kept = Mutex::new(None);
        Self {
            clients,
            clock,
            kept,
        }
    }

    /// A JSON Web Key Set.
    pub(crate) async fn text(&self) -> Result<Bytes, Status> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.uptime();
        if let Some((at, text)) = kept.as_ref()
            && now.saturating_sub(*at) < FRESH
        {
            return Ok(text.clone());
        }
        let link = self.clients.auth().as_service(&Call::own("keys", PATIENCE));
        let answer = AccessServiceClient::new(link)
            .get_keys(GetKeysRequest {})
            .await?;
        let text = Bytes::from(answer.into_inner().jwks);
        *kept = Some((now, text.clone()));
        Ok(text)
    }
}
