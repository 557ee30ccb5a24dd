//! A chat service with everything around it, and people who use it.

use std::sync::Arc;

use guildhall_kernel::{Role, SpaceId, UserId};
use guildhall_mesh::{
    Feed, Link, Reason, Tasks,
    guard::{Guarded, SpacesOnly},
};
use guildhall_proto::{
    auth::v1::{
        AccessChange, MemberChanged, SpaceDeleted, User, access_change::What,
        access_service_server::AccessServiceServer,
    },
    chat::v1::{self as pb, feed_service_client::FeedServiceClient},
};
use guildhall_testkit::{Person, World};
use svc_chat::{
    Chat, Parts,
    config::ChatSettings,
    store::{TimelineHome, sqlite::Options},
};
use tonic::{Status, service::Routes};
use tonic_types::StatusExt as _;

use crate::engine::{Place, place};

mod auth;
mod bus;
mod events;
mod someone;

pub(crate) use auth::FakeAuth;
pub(crate) use bus::FrailBus;
pub(crate) use events::AuthEvents;
pub(crate) use someone::Someone;

/// A hall with nothing but chat in it. `svc-auth` is played by memory.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) bus: FrailBus,
    pub(crate) auth: FakeAuth,
    pub(crate) events: Arc<AuthEvents>,
    pub(crate) chat: Chat,
    place: Place,
    tasks: Tasks,
}

pub(crate) async fn house() -> House {
    let world = World::new();
    let bus = FrailBus::over(world.bus.clone());
    let auth = FakeAuth::new(world.rights.clone());
    let events = Arc::new(AuthEvents::new());
    let place = place(world.dir.path().join("chat.db"));
    svc_chat::migrate(&place.home).await.expect("migrates");
    Stopped {
        place,
        world,
        bus,
        auth,
        events,
    }
    .start()
    .await
}

impl House {
    /// Stops chat.
    pub(crate) async fn stop(self) -> Stopped {
        let cut = self.tasks.stop(std::time::Duration::from_secs(5)).await;
        assert_eq!(cut, 0, "every task ends by itself");
        self.chat.close().await;
        let Self {
            place,
            world,
            bus,
            auth,
            events,
            ..
        } = self;
        Stopped {
            place,
            world,
            bus,
            auth,
            events,
        }
    }

    /// Somebody whom auth knows.
    pub(crate) fn person(&self) -> Someone {
        let person = self.world.person();
        self.auth.know(person.user);
        self.someone(person)
    }

    /// The same person on the link to the present process.
    pub(crate) fn someone(&self, person: Person) -> Someone {
        let link = person.over(&self.link("gateway"));
        Someone { person, link }
    }

    /// A team in which they have these roles.
    pub(crate) async fn team(&self, people: &[(&Someone, Role)]) -> SpaceId {
        let people: Vec<_> = people
            .iter()
            .map(|(one, role)| (&one.person, *role))
            .collect();
        let space = self.world.rights.space(&people);
        self.world.access.catch_up().await.expect("rights answer");
        space
    }

    /// Somebody comes into a space, is given another role there, or leaves; as auth tells it.
    pub(crate) async fn set_role(&self, one: &Someone, space: SpaceId, role: Option<Role>) {
        let person = one.user();
        set_role(&self.world, &self.events, person, space, role).await;
    }

    /// A space ends, as auth tells it.
    pub(crate) async fn delete_space(&self, space: SpaceId) {
        delete_space(&self.world, &self.events, space).await;
    }

    /// Sets the clock back, as an operator or a time server does.
    pub(crate) fn step_back(&self, by: std::time::Duration) {
        let now = self.world.clock().now();
        self.world.clock.set(now.minus(by));
    }

    /// Whether auth answers chat and its cache of rights.
    pub(crate) fn set_auth_away(&self, away: bool) {
        self.auth.set_away(away);
        self.world.rights.set_away(away);
    }

    /// Waits until chat has taken every event of auth.
    pub(crate) async fn follow(&self) {
        self.events.followed_by("chat").await;
    }

    pub(crate) fn link(&self, from: &'static str) -> Link {
        Link::local(from, self.server())
    }

    pub(crate) fn feed(&self) -> FeedServiceClient<Link> {
        FeedServiceClient::new(self.link("gateway"))
    }

    /// How far a channel and its reader have come, as the live feed asks for it.
    pub(crate) async fn head_for(&self, reader: &Someone, channel: &str) -> pb::ChannelHead {
        let request = pb::ListHeadsRequest {
            user_id: reader.user().to_string(),
            channel_ids: vec![channel.to_owned()],
            ..Default::default()
        };
        let heads = self.feed().list_heads(request).await.expect("lists");
        heads.into_inner().heads.pop().expect("the channel")
    }

    fn server(&self) -> Guarded {
        self.chat.server.clone()
    }
}

/// What is left of a house while chat is down.
pub(crate) struct Stopped {
    place: Place,
    pub(crate) world: World,
    pub(crate) bus: FrailBus,
    pub(crate) auth: FakeAuth,
    pub(crate) events: Arc<AuthEvents>,
}

impl Stopped {
    pub(crate) async fn start(self) -> House {
        let Self {
            place,
            world,
            bus,
            auth,
            events,
        } = self;
        let tasks = Tasks::new();
        let rpcs = Routes::new(AccessServiceServer::new(auth.clone()));
        let guard = world.guard(Arc::new(SpacesOnly));
        let parts = Parts {
            home: place.home.clone(),
            timeline: TimelineHome::File {
                path: world.dir.path().join("timeline.db"),
                options: Options::default(),
            },
            clock: world.clock(),
            ids: world.ids(),
            tasks: tasks.clone(),
            bus: Arc::new(bus.clone()),
            access: world.access.clone(),
            rules: guard.rules.clone(),
            auth: Link::local("chat", guard.before(rpcs)),
            auth_events: Feed::of_journal(events.clone()),
        };
        let built = svc_chat::build(&ChatSettings::default(), parts).await;
        let chat = built.expect("chat starts");
        House {
            world,
            bus,
            auth,
            events,
            chat,
            place,
            tasks,
        }
    }

    pub(crate) async fn set_role(&self, user: UserId, space: SpaceId, role: Option<Role>) {
        set_role(&self.world, &self.events, user, space, role).await;
    }

    pub(crate) async fn delete_space(&self, space: SpaceId) {
        delete_space(&self.world, &self.events, space).await;
    }
}

async fn set_role(
    world: &World,
    events: &AuthEvents,
    user: UserId,
    space: SpaceId,
    role: Option<Role>,
) {
    let before = world.access.role(user, space).await.expect("rights answer");
    let joined = role.filter(|_| before.is_none());
    match joined {
        Some(role) => world.rights.let_in(user, space, role, world.clock().now()),
        None => world.rights.set_role(user, space, role),
    }
    world.access.catch_up().await.expect("rights answer");
    let member = MemberChanged {
        space_id: space.to_string(),
        user: Some(User {
            id: user.to_string(),
            ..User::default()
        }),
        role: role.map_or(0, |role| i32::from(role.number())),
        n: 0,
        joined: joined.is_some(),
    };
    events.tell(world, space, change(What::MemberChanged(member)));
}

async fn delete_space(world: &World, events: &AuthEvents, space: SpaceId) {
    world.rights.delete_space(space);
    world.access.catch_up().await.expect("rights answer");
    let gone = SpaceDeleted {
        space_id: space.to_string(),
    };
    events.tell(world, space, change(What::SpaceDeleted(gone)));
}

fn change(what: What) -> AccessChange {
    AccessChange {
        n: 0,
        at: None,
        what: Some(what),
    }
}

/// Why a call was refused: the code, the reason and the fields at fault.
pub(crate) fn why<T: std::fmt::Debug>(
    refused: Result<T, Status>,
) -> (tonic::Code, Reason, Vec<String>) {
    let status = refused.expect_err("refused");
    let details = status.get_error_details();
    let faults = details
        .bad_request()
        .map(|bad| bad.field_violations.as_slice());
    let fields = faults
        .unwrap_or_default()
        .iter()
        .map(|fault| fault.field.clone());
    (
        status.code(),
        guildhall_mesh::status::reason(&status),
        fields.collect(),
    )
}

/// The reason alone.
pub(crate) fn reason<T: std::fmt::Debug>(refused: Result<T, Status>) -> Reason {
    why(refused).1
}
