//! The services of a hall in this process, on files, with somebody who is signed in.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use guildhall_kernel::{Clock, Ids, SystemClock, SystemIds};
use guildhall_mesh::{
    Bus, Call, Caller, Feed, Link, LocalBus, Tasks,
    access::AccessSettings,
    guard::{Guard, Guarded},
    rules::Rules,
};
use guildhall_proto::{
    auth::v1::{
        CreateSpaceRequest, RegisterRequest, SpaceKind,
        account_service_client::AccountServiceClient, space_service_client::SpaceServiceClient,
    },
    chat::v1::{CreateChannelRequest, channel_service_client::ChannelServiceClient},
};
use guildhall_store::Home;
use svc_auth::{Auth, config::AuthSettings};
use svc_chat::{
    Chat,
    config::ChatSettings,
    store::{TimelineHome, sqlite},
};

/// How long tasks may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// svc-auth and svc-chat, wired as in one process.
pub(super) struct House {
    /// svc-chat behind its guard: what all ways lead to.
    pub(super) server: Guarded,
    /// A channel of its only person.
    pub(super) channel: String,
    /// The options of the protos.
    pub(super) rules: Arc<Rules>,
    /// The present instant.
    pub(super) clock: Arc<dyn Clock>,
    /// New ids.
    pub(super) ids: Arc<dyn Ids>,
    /// What runs the ways.
    pub(super) tasks: Tasks,
    inner: Tasks,
    auth: Auth,
    chat: Chat,
    caller: Caller,
}

impl House {
    /// Opens both services on new files of a folder.
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (ids, bus): (Arc<dyn Ids>, Arc<dyn Bus>) =
            (Arc::new(SystemIds), Arc::new(LocalBus::new()));
        let rules = Rules::of(guildhall_proto::pool()).context("the protos")?;
        let (rules, inner) = (Arc::new(rules), Tasks::new());

        let parts = svc_auth::Parts {
            home: Home::File(folder.join("auth.db")),
            clock: clock.clone(),
            ids: ids.clone(),
            tasks: inner.clone(),
            bus: bus.clone(),
        };
        let auth =
            svc_auth::build(&AuthSettings::default(), &AccessSettings::default(), parts).await?;
        let guard = Guard {
            rules: rules.clone(),
            access: auth.access.clone(),
            places: auth.places.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let auth_server = guard.before(auth.routes.clone());

        let parts = svc_chat::Parts {
            home: Home::File(folder.join("chat.db")),
            timeline: TimelineHome::File {
                path: folder.join("timeline.db"),
                options: sqlite::Options::default(),
            },
            clock: clock.clone(),
            ids: ids.clone(),
            tasks: inner.clone(),
            bus,
            access: auth.access.clone(),
            rules: rules.clone(),
            auth: Link::local(svc_chat::NAME, auth_server.clone()),
            auth_events: Feed::of_journal(auth.journal.clone()),
        };
        let chat = svc_chat::build(&ChatSettings::default(), parts).await?;

        let caller = sign_in(&auth, &auth_server).await?;
        let channel = channel(&caller, &auth_server, &chat.server).await?;
        Ok(Self {
            server: chat.server.clone(),
            channel,
            rules,
            clock,
            ids,
            tasks: Tasks::new(),
            inner,
            auth,
            chat,
            caller,
        })
    }

    /// The house's person, with so much time for all of their calls.
    pub(super) fn caller(&self, time: Duration) -> Caller {
        Caller {
            call: Call::own("bench", time),
            ..self.caller.clone()
        }
    }

    /// Ends everything and closes the files.
    pub(super) async fn close(self) {
        self.tasks.stop(GRACE).await;
        self.inner.stop(GRACE).await;
        self.chat.close().await;
        self.auth.close().await;
    }
}

/// Registers somebody.
async fn sign_in(auth: &Auth, server: &Guarded) -> anyhow::Result<Caller> {
    let link = Link::local("gateway", server.clone());
    let register = RegisterRequest {
        username: "caller".into(),
        email: "caller@example.org".into(),
        password: "a quiet bench by the river".into(),
        ..RegisterRequest::default()
    };
    let registered = AccountServiceClient::new(link).register(register).await?;
    let token = registered.into_inner().access_token;
    let verified = auth.access.verify(&token).await;
    let verified = verified.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    Ok(Caller {
        user: verified.user,
        session: verified.session,
        expires_at: verified.expires_at,
        token: token.into(),
        standing: None,
        call: Call::own("bench", Duration::from_secs(30)),
    })
}

/// Makes a team and a channel in it; returns the channel's id.
async fn channel(caller: &Caller, auth: &Guarded, chat: &Guarded) -> anyhow::Result<String> {
    let to = |server: &Guarded| Link::local("gateway", server.clone()).on_behalf(caller);
    let team = CreateSpaceRequest {
        kind: SpaceKind::Team.into(),
        name: "bench".into(),
        key: "bench".into(),
        ..CreateSpaceRequest::default()
    };
    let team = SpaceServiceClient::new(to(auth)).create_space(team).await?;
    let space_id = team.into_inner().space.context("a space")?.id;
    let new = CreateChannelRequest {
        space_id,
        name: "load".into(),
        key: "load".into(),
        ..CreateChannelRequest::default()
    };
    let new = ChannelServiceClient::new(to(chat))
        .create_channel(new)
        .await?;
    Ok(new.into_inner().channel.context("a channel")?.id)
}
