//! One process: which services it is made of, how they are joined, in which order they begin and end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use guildhall_gateway::{Gateway, Listener};
use guildhall_kernel::{Clock, Ids};
use guildhall_mesh::{
    Bus, Feed, Link, LocalBus, NatsBus, Tasks,
    access::Access,
    admin::{Admin, Readiness},
    guard::{Guard, Guarded},
    rules::Rules,
    telemetry,
};
use guildhall_store::FolderLock;
use svc_auth::Auth;
use svc_chat::Chat;
use tracing::info;

use crate::{doctor::machine::remedy, settings::Settings};

#[cfg(feature = "sabotage")]
mod fault;

/// The databases in a data folder; those of entities are not there when PostgreSQL keeps them.
pub const FILES: [&str; 3] = ["auth.db", "chat.db", "timeline.db"];

/// How long what serves operators may take to end, after all the rest has.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the services may take to answer the gateway for the first time.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// A running hall.
pub struct Hall {
    /// Where browsers and apps go.
    pub http: SocketAddr,
    /// Where operators go.
    pub admin: SocketAddr,
    /// Which service was given a link to which.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "held against the architecture by a test")
    )]
    links: Vec<(&'static str, &'static str)>,
    readiness: Readiness,
    gateway: Gateway,
    auth: Arc<Auth>,
    chat: Chat,
    // They stop in this order: what people hold on to, what answers them, what operators look at.
    edge: Tasks,
    inner: Tasks,
    ops: Tasks,
    // Given back last.
    _ours: FolderLock,
}

impl Hall {
    /// Builds every part and joins them. Once it returns the hall answers.
    ///
    /// # Errors
    /// A sentence that names the setting or the file at fault, and says what to do.
    pub async fn open(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> anyhow::Result<Self> {
        let (edge, inner, ops) = (Tasks::new(), Tasks::new(), Tasks::new());
        // Messages stand there also when PostgreSQL keeps the entities.
        let ours = FolderLock::take(&settings.data)?;
        let listener = Listener::bind(&settings.gateway).await?;
        let http = listener.address();

        // What operators look at, from the first moment.
        let readiness = Readiness::new();
        let admin = admin(settings, &readiness, clock.clone(), &ops).await?;

        // What all services share.
        let rules =
            Rules::of(guildhall_proto::pool()).context("the protos break their own rules")?;
        let nats = nats(settings, clock.clone(), &ops).await?;
        let common = Common {
            rules: Arc::new(rules),
            bus: bus(nats.as_ref()),
            nats,
            clock,
            ids,
        };

        // The services, each after those that it calls.
        let mut links = Links::default();
        let (auth, auth_server) = common.auth(settings, &inner).await?;
        links.add("auth", auth_server);
        let chat = common.chat(settings, &inner, &auth, &mut links).await?;
        links.add("chat", chat.server.clone());
        let auth = Arc::new(auth);
        let gateway = common.gateway(settings, &edge, auth.access.clone(), &mut links)?;
        gateway.serve(listener);
        watch(&readiness, &auth, &chat, &gateway);
        await_ready(&gateway).await?;

        readiness.started();
        Ok(Self {
            http,
            admin,
            links: links.handed,
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

    /// Ends the hall: takes on nothing new, lets calls and streams end within `grace`, cuts off what is left, closes the databases.
    /// Returns how many tasks were cut off.
    pub async fn stop(self, grace: Duration) -> usize {
        self.readiness.drain();
        self.gateway.drain();
        let mut cut = self.edge.stop(grace).await;
        info!(cut, "the gateway is closed");
        cut += self.inner.stop(grace).await;
        self.chat.close().await;
        self.auth.close().await;
        self.ops.stop(LAST_WORDS).await;
        cut
    }
}

/// What every service of a process is given.
struct Common {
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    bus: Arc<dyn Bus>,
    /// The same where it is NATS.
    nats: Option<NatsBus>,
}

impl Common {
    async fn auth(&self, settings: &Settings, tasks: &Tasks) -> anyhow::Result<(Auth, Guarded)> {
        let parts = svc_auth::Parts {
            home: settings.home(svc_auth::NAME)?,
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: tasks.clone(),
            bus: self.bus.clone(),
        };
        let auth = svc_auth::build(&settings.auth, &settings.access, parts).await?;
        let guard = Guard {
            rules: self.rules.clone(),
            access: auth.access.clone(),
            places: auth.places.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
        };
        let server = guard.before(auth.routes.clone());
        Ok((auth, server))
    }

    async fn chat(
        &self,
        settings: &Settings,
        tasks: &Tasks,
        auth: &Auth,
        links: &mut Links,
    ) -> anyhow::Result<Chat> {
        #[cfg(not(feature = "sabotage"))]
        let (timeline, journal) = (settings.timelines(), auth.journal.clone());
        // A proof takes a guard away, to see itself go red.
        #[cfg(feature = "sabotage")]
        let (timeline, journal) = (
            fault::timelines(settings.timelines()),
            fault::heard(auth.journal.clone()),
        );
        let auth_events = match &self.nats {
            None => Feed::of_journal(journal),
            Some(bus) => Feed::of_stream(bus.clone(), svc_chat::spaces::HEARD),
        };
        let parts = svc_chat::Parts {
            home: settings.home(svc_chat::NAME)?,
            timeline,
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: tasks.clone(),
            bus: self.bus.clone(),
            access: auth.access.clone(),
            rules: self.rules.clone(),
            auth: links.between("chat", "auth")?,
            auth_events,
        };
        svc_chat::build(&settings.chat, parts).await
    }

    fn gateway(
        &self,
        settings: &Settings,
        tasks: &Tasks,
        access: Access,
        links: &mut Links,
    ) -> anyhow::Result<Gateway> {
        let parts = guildhall_gateway::Parts {
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: tasks.clone(),
            access,
            bus: self.bus.clone(),
            links: guildhall_gateway::Links {
                auth: links.between("gateway", "auth")?,
                chat: links.between("gateway", "chat")?,
            },
        };
        guildhall_gateway::build(&settings.gateway, &settings.limits, &settings.live, parts)
    }
}

/// NATS, where events travel by it. Its tasks end after those of everybody who sends.
async fn nats(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> anyhow::Result<Option<NatsBus>> {
    if settings.nats.is_local() {
        return Ok(None);
    }
    Ok(Some(NatsBus::open(&settings.nats, clock, tasks).await?))
}

/// How events travel.
fn bus(nats: Option<&NatsBus>) -> Arc<dyn Bus> {
    match nats {
        None => Arc::new(LocalBus::new()),
        Some(bus) => Arc::new(bus.clone()),
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

fn watch(readiness: &Readiness, auth: &Arc<Auth>, chat: &Chat, gateway: &Gateway) {
    let auth = auth.clone();
    readiness.check("auth", move || {
        let auth = auth.clone();
        async move {
            let is_ready = auth.is_ready().await;
            is_ready
                .then_some(())
                .ok_or_else(|| "its database does not answer".to_owned())
        }
    });
    let chat = chat.clone();
    readiness.check("chat", move || {
        let chat = chat.clone();
        async move { chat.ready().await }
    });
    let ready = gateway.ready();
    readiness.check("gateway", move || {
        let is_ready = *ready.borrow();
        let told = is_ready
            .then_some(())
            .ok_or_else(|| "a service does not answer it".to_owned());
        std::future::ready(told)
    });
}

/// The services of this process, and who was given a way to call whom.
#[derive(Default)]
struct Links {
    servers: Vec<(&'static str, Guarded)>,
    handed: Vec<(&'static str, &'static str)>,
}

impl Links {
    fn add(&mut self, name: &'static str, server: Guarded) {
        self.servers.push((name, server));
    }

    fn between(&mut self, from: &'static str, to: &'static str) -> anyhow::Result<Link> {
        let server = self.servers.iter().find(|(name, _)| *name == to);
        let (_, server) =
            server.with_context(|| format!("{from} calls {to}, which is not there yet"))?;
        self.handed.push((from, to));
        Ok(Link::local(from, server.clone()))
    }
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::SystemClock;
    use guildhall_kernel::SystemIds;

    use super::*;

    /// Who may call whom, as ARCHITECTURE.md has it: a service that is not here calls nobody.
    const MAY_CALL: [(&str, &str); 3] =
        [("chat", "auth"), ("gateway", "auth"), ("gateway", "chat")];

    #[tokio::test]
    async fn services_are_given_the_links_that_the_architecture_names_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut settings = Settings {
            admin_listen: free,
            data: folder.path().join("data"),
            ..Settings::default()
        };
        settings.gateway.listen = free.to_string();

        let hall = Hall::open(&settings, Arc::new(SystemClock::new()), Arc::new(SystemIds)).await;
        let hall = hall.expect("opens");
        let mut links = hall.links.clone();
        links.sort_unstable();

        assert_eq!(links, MAY_CALL);
        assert_eq!(hall.stop(Duration::from_secs(5)).await, 0);
    }
}
