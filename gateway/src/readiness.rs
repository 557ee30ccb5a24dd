//! Whether the hall can serve: the services behind the gateway answer, and it is not about to stop.

use std::{sync::Arc, time::Duration};

use guildhall_mesh::{Call, Link, Tasks};
use guildhall_proto::{
    auth::v1::{GetKeysRequest, access_service_client::AccessServiceClient},
    chat::v1::{ListHeadsRequest, feed_service_client::FeedServiceClient},
};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{info, warn};

use crate::{clients::Links, target::Rpcs};

/// How often the services are asked.
const EVERY: Duration = Duration::from_secs(2);
/// How soon they are asked again when one did not answer: at first, doubled up to the longest. Asking costs them and the links something.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the services, tells `grpc.health`, and says the sum.
pub(crate) struct Readiness {
    links: Links,
    health: HealthReporter,
    /// The public services by name.
    services: Vec<String>,
    ready: watch::Sender<bool>,
    draining: Arc<Notify>,
}

/// What is heard of it.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) ready: watch::Receiver<bool>,
    /// Ends readiness for good.
    pub(crate) draining: Arc<Notify>,
}

impl Readiness {
    pub(crate) fn new(links: Links, health: HealthReporter, rpcs: &Rpcs) -> Self {
        Self {
            links,
            health,
            services: rpcs.services(),
            ready: watch::Sender::new(false),
            draining: Arc::default(),
        }
    }

    /// Asks until the soft stop.
    pub(crate) fn watch(self, tasks: &Tasks) -> Ready {
        let ready = Ready {
            ready: self.ready.subscribe(),
            draining: self.draining.clone(),
        };
        let own = tasks.clone();
        tasks.spawn("readiness", async move {
            let mut before = None;
            let mut again = AGAIN.0;
            while !own.is_stopping() {
                let now = self.ask().await;
                if before != Some(now) {
                    self.tell(now).await;
                    before = Some(now);
                }
                let pause = if now == (true, true) { EVERY } else { again };
                again = if now == (true, true) {
                    AGAIN.0
                } else {
                    (again * 2).min(AGAIN.1)
                };
                tokio::select! {
                    () = own.stopping() => {}
                    () = self.draining.notified() => break,
                    () = sleep(pause) => {}
                }
            }
            info!("not ready any more: stopping");
            self.tell((false, false)).await;
        });
        ready
    }

    /// Whether auth and chat answer.
    async fn ask(&self) -> (bool, bool) {
        let call = Call::own("readiness", PATIENCE);
        let auth = async {
            let mut client = AccessServiceClient::new(self.links.auth.as_service(&call));
            client.get_keys(GetKeysRequest {}).await.is_ok()
        };
        let chat = async {
            let mut client = FeedServiceClient::<Link>::new(self.links.chat.as_service(&call));
            client.list_heads(ListHeadsRequest::default()).await.is_ok()
        };
        tokio::join!(within(auth), within(chat))
    }

    async fn tell(&self, (auth, chat): (bool, bool)) {
        let both = auth && chat;
        for service in &self.services {
            let up = match service.split('.').nth(1) {
                Some("auth") => auth,
                Some("chat") => chat,
                _ => both,
            };
            self.health.set_service_status(service, status(up)).await;
        }
        self.health.set_service_status("", status(both)).await;
        if self.ready.send_replace(both) && !both {
            warn!(auth, chat, "not ready");
        }
    }
}

async fn within(answer: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or(false)
}

fn status(up: bool) -> ServingStatus {
    if up {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}
