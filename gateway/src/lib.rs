//! The only thing a browser meets: one port with REST, gRPC, grpc-web, the live feed and the hall's own pages. It keeps nothing and
//! decides nothing about the hall's people or messages; it knows whose turn it is to answer.
//!
//! In the order of a request: [`accept`] takes the connection and bounds it; `edge` is the way of one request through everything else;
//! `peer` and `host` say whose it is and whom it takes us for, `wire` and `target` what it speaks and wants; `cors`, `limits` and `auth` let it in; `arrival` waits for its
//! body; `rest` and `rpc` hand it to a service over the links of `clients`; [`live`] and `start` are the gateway's own services, `tools`
//! those of gRPC itself, `pages`, `keys` and `openapi` the hall's site; `pack` and `headers` dress the answer. `readiness` knows whether
//! the services answer. [`config`] has the settings.

use std::sync::Arc;

use guildhall_kernel::{Clock, Ids};
use guildhall_mesh::{
    Bus, Link, Tasks,
    access::Access,
    guard::{Guard, LARGEST},
    rules::Rules,
};
use guildhall_proto::live::v1::start_service_server::StartServiceServer;
use tokio::sync::{Semaphore, watch};
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

pub mod accept;
mod arrival;
mod auth;
mod clients;
pub mod config;
mod cors;
mod edge;
mod headers;
mod host;
mod keys;
mod limits;
pub mod live;
mod openapi;
mod pack;
mod pages;
mod peer;
pub mod presence_view;
mod readiness;
mod rest;
mod rpc;
mod start;
mod target;
mod tools;
mod wire;

pub use accept::{ListenError, Listener};
pub use clients::Links;
pub use config::{GatewaySettings, LimitSettings};
pub use live::LiveSettings;

use arrival::Arrivals;
use auth::{Auth, origin::Origins};
use clients::Clients;
use edge::{Edge, EdgeParts};
use keys::PublicKeys;
use limits::Limits;
use live::Live;
use pages::Site;
use peer::Proxies;
use readiness::{Readiness, Ready};
use rpc::Passage;
use start::Start;
use target::Rpcs;

/// What the gateway is given.
pub struct Parts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of requests.
    pub ids: Arc<dyn Ids>,
    /// Runs its tasks, and ends them.
    pub tasks: Tasks,
    /// Who is who in this process.
    pub access: Access,
    /// Brings the events.
    pub bus: Arc<dyn Bus>,
    /// To the services; links from `gateway`.
    pub links: Links,
}

/// A gateway that is ready to be given a port.
pub struct Gateway {
    edge: Edge,
    ready: Ready,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
}

/// Builds the gateway and starts what listens in the background. No connection is taken yet.
///
/// # Errors
/// Settings that cannot be kept, by name; http rules that contradict one another.
pub fn build(
    settings: &GatewaySettings,
    limits: &LimitSettings,
    live: &LiveSettings,
    parts: Parts,
) -> anyhow::Result<Gateway> {
    let Parts {
        clock,
        ids,
        tasks,
        access,
        bus,
        links,
    } = parts;
    settings.check_room()?;
    let proxies = Proxies::parse(&settings.trusted_proxies)?;
    let origins = Origins::parse(&settings.public_origins, &settings.origins)?;

    // What there is to call.
    let pool = guildhall_proto::pool();
    let rules = Arc::new(Rules::of(pool)?);
    let rpcs = Rpcs::of(&rules);
    let transcoder = rest::transcoder(pool, &rules)?;

    // Our own services, behind the same guard as everybody's.
    let live_parts = live::Parts {
        bus,
        access: access.clone(),
        chat: links.chat.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        tasks: tasks.clone(),
    };
    let live = Live::new(live_parts, live);
    let start = Start::new(links.clone(), access.clone(), Arc::new(live.clone()));
    let guard = Guard {
        rules: rules.clone(),
        access: access.clone(),
        places: live.places(),
        clock: clock.clone(),
        ids: ids.clone(),
    };
    let own = Routes::new(live.server()).add_service(StartServiceServer::new(start));
    let own = Link::local("gateway", guard.before(own));

    // The ways to all of them.
    let health = HealthReporter::new();
    let ready = Readiness::new(links.clone(), health.clone(), &rpcs).watch(&tasks);
    let clients = Clients::new(links, own);
    let reflection = settings.reflection;
    let tools = tools::routes(reflection, health)?;
    let keys = PublicKeys::new(clients.clone(), clock.clone());
    let site = Site::new(transcoder.clone(), rules, keys);

    let edge = EdgeParts {
        clock: clock.clone(),
        ids,
        proxies,
        rpcs,
        limits: Limits::new(limits, &clock)?,
        // Which pages may open a socket, `auth` has asked by then.
        live: live.socket(Arc::new(|_| true)),
        auth: Auth { origins, access },
        arrivals: Arrivals::new(
            settings.bodies_mib.saturating_mul(LARGEST),
            settings.body_time()?,
        ),
        calls: Semaphore::new(settings.calls.min(Semaphore::MAX_PERMITS)),
        passage: Passage { clients, tools },
        transcoder,
        site,
    };
    let edge = Edge {
        parts: Arc::new(edge),
    };
    Ok(Gateway {
        edge,
        ready,
        tasks,
        clock,
    })
}

impl Gateway {
    /// Takes connections on a bound port from now until the soft stop, as many ports as one likes.
    pub fn serve(&self, listener: Listener) {
        listener.serve(self.edge.clone(), &self.tasks, &self.clock);
    }

    /// Whether the services behind it answer and nobody has called [`Gateway::drain`].
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.ready.clone()
    }

    /// Says from now on that it is not ready, and goes on serving: the first step of a stop, for load balancers.
    pub fn drain(&self) {
        self.ready.draining.notify_one();
    }
}

/// The API description (OpenAPI 3.1), as it is served at `/openapi.json`.
///
/// # Errors
/// Options or http rules of the protos that contradict one another.
pub fn openapi() -> anyhow::Result<serde_json::Value> {
    let pool = guildhall_proto::pool();
    let rules = Arc::new(Rules::of(pool)?);
    let transcoder = rest::transcoder(pool, &rules)?;
    Ok(openapi::document(&transcoder, &rules))
}
