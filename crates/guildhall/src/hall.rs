//! One process: which services it is made of, how they are joined, in which order they begin and end.
//!
//! In reading order: this file; `parts` is what each service is built from, `ways` how they call each other, `watch` who says whether
//! the process can work.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use guildhall_gateway::{Gateway, Listener};
use guildhall_kernel::{Clock, Ids};
use guildhall_mesh::{
    Tasks,
    admin::{Admin, Readiness},
    telemetry,
};
use guildhall_store::FolderLock;
use svc_auth::Auth;
use svc_chat::Chat;
use tracing::info;

use crate::{doctor::machine::remedy, roles::Role, settings::Settings};

#[cfg(feature = "sabotage")]
mod fault;
mod parts;
mod watch;
mod ways;

use parts::Common;
use ways::Ways;

/// The databases in a data folder; those of entities are not there when PostgreSQL keeps them, that of messages not when a cluster does.
pub const FILES: [&str; 3] = ["auth.db", "chat.db", "timeline.db"];

/// How long what serves operators may take to end, after all the rest has.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the services may take to answer the gateway for the first time.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// A running process of a hall.
pub struct Hall {
    /// Where browsers and apps go, if it is a gateway.
    pub http: Option<SocketAddr>,
    /// Where other processes call its services, if they do.
    pub links: Option<SocketAddr>,
    /// Where operators go.
    pub admin: SocketAddr,
    readiness: Readiness,
    gateway: Option<Gateway>,
    auth: Option<Arc<Auth>>,
    chat: Option<Chat>,
    // They stop in this order: what people and other processes hold on to, what answers them, what operators look at.
    edge: Tasks,
    inner: Tasks,
    ops: Tasks,
    // Given back last; there where files are kept.
    _ours: Option<FolderLock>,
}

impl Hall {
    /// Builds every part that the roles ask for and joins them. Once it returns the process listens; a whole hall answers, too.
    ///
    /// # Errors
    /// A sentence that names the setting or the file at fault, and says what to do.
    pub async fn open(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> anyhow::Result<Self> {
        let roles = settings.roles()?;
        let (edge, inner, ops) = (Tasks::new(), Tasks::new(), Tasks::new());
        let keeps_files = settings.keeps_files()?;
        let ours = keeps_files.then(|| FolderLock::take(&settings.data));
        let ours = ours.transpose()?;
        let listener = if roles.has(Role::Gateway) {
            Some(Listener::bind(&settings.gateway).await?)
        } else {
            None
        };

        // What operators look at, from the first moment.
        let readiness = Readiness::new();
        let admin = admin(settings, &readiness, clock.clone(), &ops).await?;

        // What all services share.
        let common = Common::new(settings, clock, ids, &ops).await?;
        let mut ways = Ways::new(&settings.links, &roles, &common, &ops)?;

        // The services, each after those that it calls.
        let auth = if roles.has(Role::Auth) {
            let (auth, server) = common.auth(settings, &inner).await?;
            ways.add(Role::Auth, server);
            watch::auth(&readiness, auth).into()
        } else {
            None
        };
        let access = match &auth {
            Some(auth) => auth.access.clone(),
            None => common.access(settings, &roles, &inner, &mut ways)?,
        };
        let chat = if roles.has(Role::Chat) {
            let journal = auth.as_ref().map(|auth| auth.journal.clone());
            let chat = common.chat(settings, &inner, access.clone(), journal, &mut ways);
            let chat = chat.await?;
            ways.add(Role::Chat, chat.server.clone());
            watch::chat(&readiness, &chat);
            Some(chat)
        } else {
            None
        };
        let links = ways.serve(&edge).await?;
        let http = listener.as_ref().map(Listener::address);
        let gateway = match listener {
            Some(listener) => {
                let gateway = common.gateway(settings, &edge, access, &mut ways)?;
                gateway.serve(listener);
                watch::gateway(&readiness, &gateway);
                Some(gateway)
            }
            None => None,
        };

        // Services elsewhere may come later; until then the gateway says that it is not ready.
        if let (Some(gateway), true) = (&gateway, roles.are_all()) {
            await_ready(gateway).await?;
        }
        readiness.started();
        Ok(Self {
            http,
            links,
            admin,
            readiness,
            gateway,
            auth,
            chat,
            edge,
            inner,
            ops,
            _ours: ours,
        })
    }

    /// Says from now on that it is not ready, and goes on serving: for load balancers, the first step of a stop.
    pub fn drain(&self) {
        self.readiness.drain();
        if let Some(gateway) = &self.gateway {
            gateway.drain();
        }
    }

    /// Ends the process's work: takes on nothing new, lets calls and streams end within `grace`, cuts off what is left, closes the
    /// databases. Returns how many tasks were cut off.
    pub async fn stop(self, grace: Duration) -> usize {
        self.drain();
        let mut cut = self.edge.stop(grace).await;
        info!(cut, "nobody is served any more");
        cut += self.inner.stop(grace).await;
        if let Some(chat) = self.chat {
            chat.close().await;
        }
        if let Some(auth) = self.auth {
            auth.close().await;
        }
        self.ops.stop(LAST_WORDS).await;
        cut
    }
}

async fn admin(
    settings: &Settings,
    readiness: &Readiness,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let metrics = telemetry::metrics();
    metrics.keep(tasks);
    let admin = Admin {
        readiness: readiness.clone(),
        metrics,
    };
    let bound = admin.serve(settings.admin_listen, clock, tasks).await;
    bound.map_err(|error| {
        let address = settings.admin_listen;
        let remedy = remedy("admin_listen", error.kind());
        anyhow!("setting admin_listen: cannot listen on {address}: {error}; {remedy}")
    })
}

/// Waits until the gateway has heard from every service.
async fn await_ready(gateway: &Gateway) -> anyhow::Result<()> {
    let mut ready = gateway.ready();
    let heard = tokio::time::timeout(FIRST_ANSWER, ready.wait_for(|ready| *ready)).await;
    heard
        .context("the services do not answer the gateway")?
        .context("the gateway has stopped")?;
    Ok(())
}
