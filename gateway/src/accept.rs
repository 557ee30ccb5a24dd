//! The public port: takes connections, bounds them, and hands their requests over.
//!
//! What a client may do to a connection is bounded in time and in number: the TLS handshake, each request's head, quiet time, answers
//! left unread, age, streams at once, resets. Read `room` for how many there are, `pulse` for what the watch sees, `io` and `body` for
//! how it sees it.

use std::{
    convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use axum::body::Body;
use guildhall_kernel::Clock;
use guildhall_mesh::{Tasks, config::BadSettings, reload::Reloading};
use http::{Request, Response, Version};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use metrics::{counter, gauge};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    config::{GatewaySettings, Timing},
    peer::{Proxies, Remote},
};

mod body;
mod io_watch;
mod pulse;
mod room;
mod tls;

use body::Outgoing;
use io_watch::Io;
use pulse::{Pulse, Verdict};
use room::{Full, Room};
use tls::Certificate;

/// Requests of one HTTP/2 connection that are answered at the same time.
const STREAMS: u32 = 128;
/// Streams that the client has reset before we took them up; more end the connection.
const RESETS_PENDING: usize = 20;
/// Streams that we reset for the client's mistakes; more end the connection.
const RESETS_LOCAL: usize = 256;
/// The largest head of a request, in bytes.
const HEAD: usize = 64 << 10;
/// The same for HTTP/2, in decoded bytes.
const HEAD_H2: u32 = 32 << 10;
/// What an HTTP/2 connection holds back for a client that does not make room, in bytes.
const SEND_BUFFER: usize = 128 << 10;
/// How often an HTTP/2 client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when the system gives no more sockets.
const BREATH: Duration = Duration::from_millis(100);
/// The shortest time between two looks at a connection.
const BLINK: Duration = Duration::from_millis(5);
/// What a plain connection hears that finds no seat.
const NO_SEAT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Answers requests, whichever connection they come by. The client's end is in the extensions, as `Remote`.
pub(crate) trait Answer: Clone + Send + Sync + 'static {
    /// Answers one request. Dropped when the client goes away.
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

/// A bound public port that takes no connections yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Reloading<Certificate>>,
    timing: Timing,
    room: Arc<Room>,
}

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// The system refuses.
    #[error(
        "setting gateway.listen: cannot listen on {address}: {cause}; choose another port, or 0 for a free one"
    )]
    Refused {
        /// Where.
        address: String,
        /// Why.
        cause: io::Error,
    },
}

impl Listener {
    /// Binds the port that the settings name and reads its certificate.
    ///
    /// # Errors
    /// [`ListenError`] names the setting at fault.
    pub async fn bind(settings: &GatewaySettings) -> Result<Self, ListenError> {
        let timing = settings.timing()?;
        settings.check_room()?;
        let proxies = Proxies::parse(&settings.trusted_proxies)?;
        let tls = tls::open(settings)?;
        let refused = |cause| ListenError::Refused {
            address: settings.listen.clone(),
            cause,
        };
        let socket = TcpListener::bind(&settings.listen).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        let most = settings.connections;
        let most_each = settings.connections_per_address;
        Ok(Self {
            socket,
            address,
            tls,
            timing,
            room: Room::new(most, most_each, proxies),
        })
    }

    /// Where it listens, with the port that the system chose if it was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes connections until the soft stop, then lets each finish what it has begun.
    pub(crate) fn serve(self, answer: impl Answer, tasks: &Tasks, clock: &Arc<dyn Clock>) {
        if let Some(certificate) = &self.tls {
            certificate.keep("gateway", clock.clone(), tasks);
        }
        let port = Arc::new(Port {
            tls: self.tls,
            timing: self.timing,
            http: http(tasks),
            answer,
            tasks: tasks.clone(),
            clock: clock.clone(),
        });
        let (socket, room) = (self.socket, self.room);
        let own = tasks.clone();
        tasks.spawn("listener", async move {
            let mut count = 0_u32;
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = own.stopping() => return,
                    accepted = socket.accept() => accepted,
                };
                match accepted {
                    Ok((socket, from)) => {
                        count = count.wrapping_add(1);
                        port.clone().welcome(socket, from, &room, count);
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        warn!(%error, "no connection can be taken");
                        sleep(BREATH).await;
                    }
                }
            }
        });
    }
}

/// What all connections share.
struct Port<A> {
    tls: Option<Reloading<Certificate>>,
    timing: Timing,
    http: auto::Builder<Spawner>,
    answer: A,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
}

impl<A: Answer> Port<A> {
    /// Gives a connection a seat and a task, or sends it away.
    fn welcome(self: Arc<Self>, socket: TcpStream, from: SocketAddr, room: &Arc<Room>, count: u32) {
        let seat = match room.enter(from.ip()) {
            Ok(seat) => seat,
            Err(full) => {
                let why = match full {
                    Full::All => "all",
                    Full::Address => "address",
                };
                counter!("guildhall_connections_refused_total", "why" => why).increment(1);
                if self.tls.is_none() {
                    // Best effort: the refusal is the closed connection, this is its reason.
                    let _ = socket.try_write(NO_SEAT);
                }
                return;
            }
        };
        gauge!("guildhall_connections").set(u32::try_from(room.count()).unwrap_or(u32::MAX));
        // Small frames are sent at once. A socket that cannot is served all the same.
        let _ = socket.set_nodelay(true);
        let pulse = Pulse::new(self.clock.clone());
        let io = Io::new(socket, pulse.clone(), self.timing.stall, seat);
        let tasks = self.tasks.clone();
        tasks.spawn("connection", async move {
            self.meet(io, from, pulse, count).await;
        });
    }

    /// Shakes hands, then talks HTTP.
    async fn meet(&self, io: Io, address: SocketAddr, pulse: Arc<Pulse>, count: u32) {
        let Some(tls) = &self.tls else {
            pulse.begin(false);
            let remote = Remote {
                address,
                tls: false,
            };
            return Box::pin(self.talk(io, remote, &pulse, count)).await;
        };
        let acceptor = tls.current().acceptor();
        match timeout(self.timing.handshake, acceptor.accept(io)).await {
            Ok(Ok(stream)) => {
                pulse.begin(stream.get_ref().1.alpn_protocol() == Some(b"h2"));
                let remote = Remote { address, tls: true };
                Box::pin(self.talk(stream, remote, &pulse, count)).await;
            }
            Ok(Err(error)) => debug!(%address, %error, "TLS handshake refused"),
            Err(_) => cut("handshake", Remote { address, tls: true }),
        }
    }

    /// Serves the requests of one connection and watches over it.
    async fn talk<I>(&self, io: I, remote: Remote, pulse: &Arc<Pulse>, count: u32)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request: Request<Incoming>| {
            let answering = pulse.open(request.version() == Version::HTTP_2);
            request.extensions_mut().insert(remote);
            let answer = self.answer.clone();
            async move {
                let response = answer.answer(request.map(Body::new)).await;
                Ok::<_, Infallible>(response.map(|body| Outgoing::new(body, answering)))
            }
        });
        let mut talk = pin!(
            self.http
                .serve_connection_with_upgrades(TokioIo::new(io), service)
        );
        let stop = self.tasks.soft_token();
        let began = self.clock.uptime();
        let age = self.spread_age(count);
        let mut leaving = false;

        loop {
            let mut look = match pulse.verdict(&self.timing) {
                Verdict::Fine(look) => look,
                Verdict::Cut(why) => return cut(why, remote),
                Verdict::Idle if leaving => return,
                Verdict::Idle => {
                    talk.as_mut().graceful_shutdown();
                    leaving = true;
                    self.timing.handshake
                }
            };
            let old = self.clock.uptime().saturating_sub(began);
            if old >= age + self.timing.grace {
                return cut("age", remote);
            }
            if old >= age && !leaving {
                talk.as_mut().graceful_shutdown();
                leaving = true;
            }
            let due = if old < age {
                age
            } else {
                age + self.timing.grace
            };
            look = look.min(due.saturating_sub(old)).max(BLINK);
            tokio::select! {
                biased;
                done = talk.as_mut() => {
                    if let Err(error) = done {
                        debug!(address = %remote.address, %error, "connection ended");
                    }
                    return;
                }
                () = stop.cancelled(), if !leaving => {
                    talk.as_mut().graceful_shutdown();
                    leaving = true;
                }
                () = sleep(look) => {}
            }
        }
    }

    /// The age of a connection, 90 to 110 parts of a hundred, so that those which came together do not leave together.
    fn spread_age(&self, count: u32) -> Duration {
        // Steps of the golden ratio spread evenly, wherever one begins.
        let part = (f64::from(count) * 0.618_033_988_75).fract();
        self.timing.age.mul_f64(0.9 + 0.2 * part)
    }
}

fn cut(why: &'static str, remote: Remote) {
    counter!("guildhall_connections_cut_total", "why" => why).increment(1);
    debug!(address = %remote.address, why, "connection cut");
}

/// HTTP/1.1 and HTTP/2 with every limit said: libraries leave some of them off.
fn http(tasks: &Tasks) -> auto::Builder<Spawner> {
    let mut http = auto::Builder::new(Spawner(tasks.clone()));
    // The watch has its own eye on heads: hyper's timer would end quiet connections too.
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEAD);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS_PENDING)
        .max_local_error_reset_streams(RESETS_LOCAL)
        .max_header_list_size(HEAD_H2)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    http
}

/// Whether an error of accept(2) says something about one connection only, which is gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Runs the streams of HTTP/2 connections as tasks of ours.
#[derive(Clone)]
struct Spawner(Tasks);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn("stream", stream);
    }
}
