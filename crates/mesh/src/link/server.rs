//! How other processes reach the services of this one: over TLS, each by the name that its certificate proves.
//!
//! What may happen to a connection is bounded: the time of its handshake, how many there are, streams, resets, age. `door` decides
//! which calls are let in.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use guildhall_kernel::Clock;
use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, warn};

use super::{
    HEAD,
    exec::Spawner,
    held::Held,
    identity::Identity,
    names,
    settings::{LinkSettings, bad},
};
use crate::{Peer, config::BadSettings, guard::Guarded, tasks::Tasks};

mod door;

use door::Door;

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Calls of one connection that are answered at the same time. More than a process takes on, so that it says no, not the connection.
const STREAMS: u32 = 1_024;
/// Streams that the client has reset before we took them up; more end the connection.
const RESETS_PENDING: usize = 20;
/// Streams that we reset for the client's mistakes; more end the connection.
const RESETS_LOCAL: usize = 256;
/// How often a client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when the system gives no more sockets.
const BREATH: Duration = Duration::from_millis(100);
/// How often a connection that shall end is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a connection without calls may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A service that other processes may call.
pub struct Served {
    /// Its name: "chat", of the package `guildhall.chat.v1`.
    pub name: &'static str,
    /// The services that may call it.
    pub callers: &'static [&'static str],
    /// What answers.
    pub server: Guarded,
}

/// Lets other processes call these services at the address of the settings, until the tasks stop; then lets their calls end. Returns
/// the address that was bound.
///
/// # Errors
/// [`BadSettings`] where the address cannot be had, or the certificate is not for these services.
pub async fn serve_links(
    settings: &LinkSettings,
    identity: Identity,
    served: Vec<Served>,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<SocketAddr, BadSettings> {
    for service in &served {
        identity.must_name(service.name)?;
    }
    let address = settings.listening()?;
    let refused = |why| {
        let wrong =
            format!("cannot listen on {address}: {why}; choose another port, or 0 for a free one");
        bad("listen", wrong)
    };
    let socket = TcpListener::bind(address).await.map_err(refused)?;
    let bound = socket.local_addr().map_err(refused)?;
    let port = Arc::new(Port {
        identity,
        door: Door::new(served, settings.calls),
        places: Arc::new(Semaphore::new(settings.connections)),
        age: Duration::from_secs(settings.age_seconds),
        clock,
        tasks: tasks.clone(),
    });
    tasks.spawn("links", async move { port.accept(&socket).await });
    Ok(bound)
}

/// What all connections share.
struct Port {
    identity: Identity,
    door: Door,
    places: Arc<Semaphore>,
    age: Duration,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

impl Port {
    async fn accept(self: Arc<Self>, socket: &TcpListener) {
        let mut count = 0_u32;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.tasks.stopping() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, from)) => {
                    let Ok(place) = self.places.clone().try_acquire_owned() else {
                        turned_away("full");
                        continue;
                    };
                    count = count.wrapping_add(1);
                    let port = self.clone();
                    self.tasks.spawn("link from", async move {
                        port.meet(socket, from, count, place).await;
                    });
                }
                Err(error) => {
                    warn!(%error, "no link can be taken");
                    sleep(BREATH).await;
                }
            }
        }
    }

    /// Shakes hands, then answers calls.
    async fn meet(&self, socket: TcpStream, from: SocketAddr, count: u32, _: OwnedSemaphorePermit) {
        // Answers are sent at once. A socket that cannot is served all the same.
        let _ = socket.set_nodelay(true);
        let acceptor = TlsAcceptor::from(self.identity.server());
        let stream = match timeout(HANDSHAKE, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                turned_away("handshake");
                warn!(%from, %error, "a link was refused: its client is none of ours");
                return;
            }
            // Somebody who looked whether the port is open, and left.
            Ok(Err(error)) => return debug!(%from, %error, "no handshake"),
            Err(_) => return turned_away("slow"),
        };
        let Some(peer) = peer(&stream) else {
            turned_away("nameless");
            return warn!(%from, "a link was refused: its certificate names no service");
        };
        gauge!("guildhall_link_connections").increment(1.0);
        Box::pin(self.talk(stream, from, &peer, count)).await;
        gauge!("guildhall_link_connections").decrement(1.0);
    }

    async fn talk(&self, stream: TlsStream<TcpStream>, from: SocketAddr, peer: &Peer, count: u32) {
        let at_work = Arc::new(AtomicUsize::new(0));
        let service = service_fn(|request: Request<Incoming>| {
            let call = AtWork::begin(&at_work);
            let answer = self.door.answer(peer.clone(), request);
            async move {
                let answer = answer.await;
                Ok::<_, Infallible>(answer.map(|body| Held::new(body, call)))
            }
        });
        let talk = http(&self.tasks).serve_connection(TokioIo::new(stream), service);
        let mut talk = pin!(talk);
        let left = self.clock.uptime() + self.spread_age(count);
        let mut leaving_since = None;
        loop {
            let now = self.clock.uptime();
            let wait = match leaving_since {
                None => left.saturating_sub(now),
                // A client that is gone, or frozen, does not hold us up.
                Some(since)
                    if at_work.load(Ordering::Acquire) == 0
                        && now.saturating_sub(since) >= GOODBYE =>
                {
                    return;
                }
                Some(_) => LOOK,
            };
            tokio::select! {
                biased;
                done = talk.as_mut() => {
                    if let Err(error) = done {
                        debug!(%from, %error, "a link ended");
                    }
                    return;
                }
                () = self.tasks.stopping(), if leaving_since.is_none() => {}
                () = sleep(wait) => if leaving_since.is_some() { continue },
            }
            talk.as_mut().graceful_shutdown();
            leaving_since = Some(self.clock.uptime());
        }
    }

    /// The age of a connection, 90 to 110 parts of a hundred, so that those which came together do not leave together.
    fn spread_age(&self, count: u32) -> Duration {
        // Steps of the golden ratio spread evenly, wherever one begins.
        let part = (f64::from(count) * 0.618_033_988_75).fract();
        self.age.mul_f64(0.9 + 0.2 * part)
    }
}

/// A call that is being answered.
struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Who the client is, by its certificate, which the handshake has judged.
fn peer(stream: &TlsStream<TcpStream>) -> Option<Peer> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let names = names::services(certificate);
    (!names.is_empty()).then(|| Peer::certified(names))
}

fn turned_away(why: &'static str) {
    counter!("guildhall_link_connections_refused_total", "why" => why).increment(1);
}

fn http(tasks: &Tasks) -> http2::Builder<Spawner> {
    let mut http = http2::Builder::new(Spawner(tasks.clone()));
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS_PENDING)
        .max_local_error_reset_streams(RESETS_LOCAL)
        .max_header_list_size(HEAD)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    http
}
