//! One process behind one address: its connection, made when it is needed, and one call over it.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use guildhall_kernel::Clock;
use http::{Request, Response, header, response::Parts};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, Connection, SendRequest},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;

use super::{
    super::{HEAD, exec::Spawner, held::Held, identity::Identity},
    dice::Dice,
    vitals::{Trial, Vitals},
};
use crate::tasks::Tasks;

/// How long a connection may take until calls can be sent.
const CONNECT: Duration = Duration::from_secs(2);
/// How often the other end is asked whether it is there, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// The largest answer that is taken, in bytes, with its frame.
const LARGEST_ANSWER: usize = (4 << 20) + 5;
/// How often a connection that shall end looks whether it still has calls.
const LOOK: Duration = Duration::from_millis(50);
/// The header, or trailer, that says how a call ended.
const STATUS: &str = "grpc-status";
/// Every certificate of ours is good for any host name; something has to stand here.
const HOST: &str = "guildhall";

/// What all endpoints of a link share.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) identity: Identity,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dice: Arc<Dice>,
    pub(super) tasks: Tasks,
}

/// One process that can be asked.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) vitals: Arc<Vitals>,
    way: Way,
    // Whoever needs a connection first begins it; the others wait for the same. Never held across an await.
    line: Mutex<Option<Line>>,
}

type Line = Shared<BoxFuture<'static, Result<SendRequest<Body>, Arc<str>>>>;

/// Why a call to an endpoint came to nothing.
pub(super) enum Failure {
    /// It never left.
    Unsent,
    /// The connection broke, or the stream was reset: nobody knows what became of the call.
    Broken,
    /// It did not answer in its share of the time.
    Slow,
    /// It answered that it cannot now; and whether it said when to try again.
    Unavailable(Box<Response<Body>>, bool),
    /// No other endpoint would do better.
    Final(Box<Status>),
}

impl Endpoint {
    pub(super) fn new(way: &Way, address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            address,
            vitals: Vitals::new(way, address),
            way: way.clone(),
            line: Mutex::default(),
        })
    }

    /// Sends a call and waits for its answer: all of it where it is one message (`whole`), else its beginning. Dropped after `until`
    /// this counts as a failure of the endpoint.
    pub(super) async fn ask(
        self: &Arc<Self>,
        request: Request<Body>,
        whole: bool,
        until: Instant,
    ) -> Result<Response<Body>, Failure> {
        let place = self.vitals.enter().ok_or(Failure::Unsent)?;
        let trial = Trial::new(self.vitals.clone(), until);
        let mut line = match self.line().await {
            Ok(line) => line,
            Err(why) => {
                trial.gone(&why);
                return Err(Failure::Unsent);
            }
        };
        let answer = match line.try_send_request(request).await {
            Ok(answer) => as_if_local(answer),
            Err(mut error) => {
                if error.take_message().is_some() {
                    // The other end has said goodbye meanwhile.
                    trial.void();
                    return Err(Failure::Unsent);
                }
                trial.failed(&told(error.error()));
                return Err(Failure::Broken);
            }
        };
        // An answer that begins with its status is refused: there is no more of it.
        if !whole && !answer.headers().contains_key(STATUS) {
            trial.answered();
            // The endpoint lives at least as long as its calls do.
            let kept = (place, self.clone());
            let broken = |_: hyper::Error| Status::unavailable("the answer broke off");
            return Ok(answer.map(|body| Body::new(Held::new(body.map_err(broken), kept))));
        }
        collect(answer, trial).await
    }

    fn line(&self) -> Line {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = &*line {
            let is_good = match line.peek() {
                None => true,
                Some(Ok(send)) => !send.is_closed(),
                Some(Err(_)) => false,
            };
            if is_good {
                return line.clone();
            }
        }
        let connecting = connect(self.way.clone(), self.address, self.vitals.clone());
        // A task, so that a caller who loses interest does not take it from the others.
        let connecting = self.way.tasks.spawn("link to", connecting);
        let new = async move {
            match connecting.await {
                Ok(Some(connected)) => connected,
                Ok(None) | Err(_) => Err(Arc::from("this process is stopping")),
            }
        };
        let new = new.boxed().shared();
        *line = Some(new.clone());
        new
    }
}

/// Takes away what belongs to the hop: whoever passes the answer on writes it in another form.
fn as_if_local(mut answer: Response<Incoming>) -> Response<Incoming> {
    for name in [header::CONTENT_LENGTH, header::DATE] {
        answer.headers_mut().remove(name);
    }
    answer
}

async fn collect(answer: Response<Incoming>, trial: Trial) -> Result<Response<Body>, Failure> {
    let (head, body) = answer.into_parts();
    let body = match Limited::new(body, LARGEST_ANSWER).collect().await {
        Ok(body) => body,
        Err(error) if error.is::<LengthLimitError>() => {
            trial.answered();
            let detail = "the answer of another service is too large";
            return Err(Failure::Final(Box::new(Status::internal(detail))));
        }
        Err(error) => {
            trial.failed(&told(error.as_ref()));
            return Err(Failure::Broken);
        }
    };
    let unavailable = unavailable(&head, &body);
    let answer = Response::from_parts(head, Body::new(body));
    let Some(status) = unavailable else {
        trial.answered();
        return Ok(answer);
    };
    trial.failed(status.message());
    let says_when = status.get_details_retry_info().is_some();
    Err(Failure::Unavailable(Box::new(answer), says_when))
}

/// The status of an answer that says UNAVAILABLE: in its head, or after its body.
fn unavailable(head: &Parts, body: &Collected<bytes::Bytes>) -> Option<Status> {
    let status = Status::from_header_map(&head.headers)
        .or_else(|| Status::from_header_map(body.trailers()?))?;
    (status.code() == Code::Unavailable).then_some(status)
}

async fn connect(
    way: Way,
    address: SocketAddr,
    vitals: Arc<Vitals>,
) -> Result<SendRequest<Body>, Arc<str>> {
    let connected = timeout(CONNECT, greet(&way, address)).await;
    let connected = connected.unwrap_or_else(|_| Err(Arc::from("it takes no connection in time")));
    let (send, connection) = connected?;
    let own = way.tasks.clone();
    way.tasks.spawn("link to", drive(connection, vitals, own));
    Ok(send)
}

type Drive = Connection<TokioIo<TlsStream<TcpStream>>, Body, Spawner>;

async fn greet(way: &Way, address: SocketAddr) -> Result<(SendRequest<Body>, Drive), Arc<str>> {
    let socket = TcpStream::connect(address)
        .await
        .map_err(|error| told(&error))?;
    // Calls are sent at once. A socket that cannot is used all the same.
    let _ = socket.set_nodelay(true);
    let tls = way.identity.client(way.to).map_err(|error| told(&error))?;
    let host = ServerName::try_from(HOST).map_err(|error| told(&error))?;
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(host, socket)
        .await;
    let stream = stream.map_err(|error| told(&error))?;
    let mut http = http2::Builder::new(Spawner(way.tasks.clone()));
    http.timer(TokioTimer::new())
        .max_header_list_size(HEAD)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .keep_alive_while_idle(true);
    let shaken = http.handshake(TokioIo::new(stream)).await;
    shaken.map_err(|error| told(&error))
}

/// Moves a connection until it ends, or until nobody needs it once this process stops.
async fn drive(connection: Drive, vitals: Arc<Vitals>, tasks: Tasks) {
    let needless = async {
        tasks.stopping().await;
        loop {
            sleep(LOOK).await;
            if vitals.at_work() == 0 {
                return;
            }
        }
    };
    let needless = pin!(needless);
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                vitals.gone(&told(&error));
            }
        }
        () = needless => {}
    }
}

/// An error with what caused it.
fn told(error: &dyn std::error::Error) -> Arc<str> {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.into()
}
