//! A gateway with nothing but the live feed, on a port of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use guildhall_gateway::live::{AllowOrigin, ByCookie, Live, LiveSettings, Parts};
use guildhall_kernel::{
    ChannelId, Clock, Role, SessionId, SpaceId, SystemClock, SystemIds, Time, UserId,
};
use guildhall_mesh::{
    Link, LocalBus, Tasks,
    access::{Access, AccessSettings},
    guard::Guard,
    rules::Rules,
};
use guildhall_proto::chat::v1::feed_service_server::FeedServiceServer;
use guildhall_transcode::{Options, Resume, Transcoder, service};
use http::{HeaderValue, header};
use tonic::service::Routes;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{
    authority::{Authority, NOW},
    chat::{Chat, Feed},
};

pub(crate) const SPACE: SpaceId = SpaceId::of(Uuid::from_u128(100));
pub(crate) const OTHER_SPACE: SpaceId = SpaceId::of(Uuid::from_u128(200));
pub(crate) const CHANNEL: ChannelId = ChannelId::of(Uuid::from_u128(101));
pub(crate) const SECOND: ChannelId = ChannelId::of(Uuid::from_u128(102));
pub(crate) const ALICE: UserId = UserId::of(Uuid::from_u128(1));
pub(crate) const BOB: UserId = UserId::of(Uuid::from_u128(2));
pub(crate) const STRANGER: UserId = UserId::of(Uuid::from_u128(9));

/// The session that every user has.
pub(crate) fn session_of(user: UserId) -> SessionId {
    SessionId::of(user.uuid())
}

/// The machine's clock, and what tests add to it.
pub(crate) struct Hands {
    clock: SystemClock,
    ahead: AtomicU64,
}

impl Hands {
    pub(crate) fn turn(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Time {
        Time::from_micros(NOW * 1_000_000).plus(self.uptime())
    }

    fn uptime(&self) -> Duration {
        self.clock.uptime() + Duration::from_secs(self.ahead.load(Ordering::SeqCst))
    }
}

pub(crate) struct Hall {
    pub(crate) chat: Arc<Chat>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) access: Access,
    pub(crate) clock: Arc<Hands>,
    pub(crate) tasks: Tasks,
    pub(crate) live: Live,
    pub(crate) address: std::net::SocketAddr,
}

/// A hall with Alice and Bob in one space, which has one channel.
pub(crate) async fn hall() -> Hall {
    hall_with(LiveSettings::default()).await
}

pub(crate) async fn hall_with(settings: LiveSettings) -> Hall {
    hall_on(LocalBus::new(), settings).await
}

/// One of several gateways that share a bus.
pub(crate) async fn hall_on(bus: LocalBus, settings: LiveSettings) -> Hall {
    let chat = Chat::new(bus.clone());
    let authority = Arc::new(Authority::new());
    let clock = Arc::new(Hands {
        clock: SystemClock::new(),
        ahead: AtomicU64::new(0),
    });
    let tasks = Tasks::new();
    let access = Access::new(authority.clone(), clock.clone(), &AccessSettings::default());
    authority.set_role(ALICE, SPACE, Some(Role::Owner));
    authority.set_role(BOB, SPACE, Some(Role::Member));
    access.catch_up().await.expect("the authority answers");
    access.keep(&tasks, Arc::new(bus.clone()));

    let feed = Routes::new(FeedServiceServer::new(Feed(chat.clone()))).prepare();
    let parts = Parts {
        bus: Arc::new(bus),
        access: access.clone(),
        chat: Link::local("gateway", feed),
        clock: clock.clone(),
        ids: Arc::new(SystemIds),
        tasks: tasks.clone(),
    };
    let live = Live::new(parts, &settings);
    // What listens must listen before the test tells anything.
    tokio::time::sleep(Duration::from_millis(20)).await;
    chat.open(CHANNEL, SPACE).await;

    let address = serve(&live, &access, clock.clone(), &tasks).await;
    Hall {
        chat,
        authority,
        access,
        clock,
        tasks,
        live,
        address,
    }
}

/// `/live`, the rpcs by gRPC, and the rest by the transcoder: as an edge would.
async fn serve(
    live: &Live,
    access: &Access,
    clock: Arc<Hands>,
    tasks: &Tasks,
) -> std::net::SocketAddr {
    let guard = Guard {
        rules: Arc::new(Rules::of(guildhall_proto::pool()).expect("good options")),
        access: access.clone(),
        places: live.places(),
        clock,
        ids: Arc::new(SystemIds),
    };
    let guarded = guard.before(Routes::new(live.server()));
    let options = Options {
        filter: Arc::new(|rpc| rpc.parent_service().full_name() == "guildhall.live.v1.LiveService"),
        resume: Arc::new(|rpc| {
            (rpc.name() == "Watch").then(|| Resume {
                request_field: "last_event_id".into(),
                response_field: "event_id".into(),
            })
        }),
        ..Options::default()
    };
    let transcoder = Transcoder::build(guildhall_proto::pool().clone(), options).expect("routes");
    let allow: AllowOrigin = Arc::new(|parts| {
        parts
            .headers
            .get(header::ORIGIN)
            .is_none_or(|origin| origin == "https://hall.example")
    });
    let rest = guarded.clone();
    let app = live
        .socket(allow)
        .layer(axum::middleware::map_request(by_cookie))
        .route_service(
            "/guildhall.live.v1.LiveService/{rpc}",
            guarded
                .map_request(|request: axum::extract::Request| request.map(tonic::body::Body::new)),
        )
        .fallback(async move |request| {
            transcoder
                .handle(request, service(rest.clone()))
                .await
                .map(axum::body::Body::new)
        });

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = tasks.soft_token();
    tasks.spawn("server", async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    address
}

/// What the edge does with the access cookie.
async fn by_cookie(mut request: axum::extract::Request) -> axum::extract::Request {
    let cookie = request
        .headers()
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok());
    if let Some(token) = cookie.and_then(|cookie| cookie.strip_prefix("access=")) {
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).expect("a header");
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        request.extensions_mut().insert(ByCookie);
    }
    request
}

impl Hall {
    /// A token of a user's session, good for 15 minutes.
    pub(crate) fn token(&self, user: UserId) -> String {
        self.authority.token(user, session_of(user), 900)
    }

    /// Changes a role, as auth does: in force before it answers.
    pub(crate) async fn set_role(&self, user: UserId, space: SpaceId, role: Option<Role>) {
        self.authority.set_role(user, space, role);
        self.access.catch_up().await.expect("the authority answers");
    }

    pub(crate) async fn log_out(&self, user: UserId) {
        self.authority.end(user, session_of(user));
        self.access.catch_up().await.expect("the authority answers");
    }
}
