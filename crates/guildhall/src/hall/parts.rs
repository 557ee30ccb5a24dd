//! What the services of a process are built from, service by service.

use std::sync::Arc;

use anyhow::Context as _;
use guildhall_gateway::Gateway;
use guildhall_kernel::{Clock, Ids};
use guildhall_mesh::{
    Bus, Feed, LocalBus, NatsBus, Tasks,
    access::{Access, LinkSource},
    guard::{Guard, Guarded},
    outbox::Journal,
    rules::Rules,
};
use svc_auth::Auth;
use svc_chat::Chat;

#[cfg(feature = "sabotage")]
use super::fault;
use super::ways::Ways;
use crate::{
    roles::{Role, Roles},
    settings::Settings,
};

/// What every service of a process is given.
pub(super) struct Common {
    pub(super) rules: Arc<Rules>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) bus: Arc<dyn Bus>,
    /// The same where it is NATS.
    pub(super) nats: Option<NatsBus>,
}

impl Common {
    /// `ops` run the bus: they end after everybody who sends.
    pub(super) async fn new(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        ops: &Tasks,
    ) -> anyhow::Result<Self> {
        let rules =
            Rules::of(guildhall_proto::pool()).context("the protos break their own rules")?;
        let nats = if settings.nats.is_local() {
            None
        } else {
            Some(NatsBus::open(&settings.nats, clock.clone(), ops).await?)
        };
        let bus: Arc<dyn Bus> = match &nats {
            None => Arc::new(LocalBus::new()),
            Some(nats) => Arc::new(nats.clone()),
        };
        Ok(Self {
            rules: Arc::new(rules),
            clock,
            ids,
            bus,
            nats,
        })
    }

    /// svc-auth, and it behind its guard.
    pub(super) async fn auth(
        &self,
        settings: &Settings,
        tasks: &Tasks,
    ) -> anyhow::Result<(Auth, Guarded)> {
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

    /// What a process knows of rights that has no svc-auth in it: what it asks one for.
    pub(super) fn access(
        &self,
        settings: &Settings,
        roles: &Roles,
        tasks: &Tasks,
        ways: &mut Ways,
    ) -> anyhow::Result<Access> {
        let asks = roles.iter().next().context("a process has a role")?;
        let source = LinkSource::new(ways.between(asks, Role::Auth)?);
        let access = Access::new(Arc::new(source), self.clock.clone(), &settings.access);
        access.keep(tasks, self.bus.clone());
        Ok(access)
    }

    /// svc-chat. `journal` is auth's outbox, where auth is in this process.
    pub(super) async fn chat(
        &self,
        settings: &Settings,
        tasks: &Tasks,
        access: Access,
        journal: Option<Arc<dyn Journal>>,
        ways: &mut Ways,
    ) -> anyhow::Result<Chat> {
        let timeline = settings.timelines();
        // A proof takes a guard away, to see itself go red.
        #[cfg(feature = "sabotage")]
        let (timeline, journal) = (fault::timelines(timeline), journal.map(fault::heard));
        let auth_events = match (&self.nats, journal) {
            (Some(nats), _) => Feed::of_stream(nats.clone(), svc_chat::spaces::HEARD),
            (None, Some(journal)) => Feed::of_journal(journal),
            (None, None) => anyhow::bail!("setting nats.servers: auth's events come by NATS only"),
        };
        let parts = svc_chat::Parts {
            home: settings.home(svc_chat::NAME)?,
            timeline,
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: tasks.clone(),
            bus: self.bus.clone(),
            access,
            rules: self.rules.clone(),
            auth: ways.between(Role::Chat, Role::Auth)?,
            auth_events,
        };
        svc_chat::build(&settings.chat, parts).await
    }

    /// The gateway, without a port yet.
    pub(super) fn gateway(
        &self,
        settings: &Settings,
        tasks: &Tasks,
        access: Access,
        ways: &mut Ways,
    ) -> anyhow::Result<Gateway> {
        let parts = guildhall_gateway::Parts {
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tasks: tasks.clone(),
            access,
            bus: self.bus.clone(),
            links: guildhall_gateway::Links {
                auth: ways.between(Role::Gateway, Role::Auth)?,
                chat: ways.between(Role::Gateway, Role::Chat)?,
            },
        };
        guildhall_gateway::build(&settings.gateway, &settings.limits, &settings.live, parts)
    }
}
