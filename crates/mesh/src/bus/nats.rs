//! The bus between processes, over NATS.
//!
//! A note goes to a JetStream stream, which keeps it for days, knows it again for minutes and says it on under `rt.`; there listeners
//! hear it, through plain subscriptions. Services that must not miss an event follow the stream itself ([`feed`](crate::feed)).
//!
//! In reading order: `settings`; this file; `wire` is a note on its way, `streams` where it is kept, `line` the connection, `follow`
//! reading a stream from a remembered place. No other part of Guildhall speaks to NATS.

use std::{
    error::Error,
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use async_nats::{
    Client, Subscriber,
    connection::State as Connection,
    jetstream::{
        Context,
        context::{ContextBuilder, PublishErrorKind},
        stream::LastRawMessageErrorKind,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use guildhall_kernel::Clock;
use metrics::counter;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::{Bus, BusError, Lag, Listener, Note, Overheard};
use crate::{config::BadSettings, tasks::Tasks};

mod follow;
mod line;
mod settings;
mod streams;
mod wire;

pub use settings::NatsSettings;

use line::{Keeper, Line, State, round_trip};
use streams::Streams;
use wire::Names;

/// How many scopes are sent for at once. Two that share a place wait for each other.
const PLACES: usize = 256;
/// How long to wait for the servers at start before going on without them.
const FIRST: Duration = Duration::from_secs(5);
/// A note so close to being dropped by age that its absence means nothing.
const NEARLY_OLD: Duration = Duration::from_secs(600);

/// The bus cannot be opened as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum NatsFault {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// The servers are not as they must be.
    #[error("setting nats.servers: {0}")]
    Server(String),
}

/// Why no note passes.
#[derive(Debug)]
enum Trouble {
    /// It passes by itself.
    Away(String),
    /// Somebody has to mend it.
    Wrong(String),
}

/// The bus over the servers of one NATS cluster. Clones are the same; it is closed when the last one is dropped, and when its tasks
/// stop.
#[derive(Clone)]
pub struct NatsBus {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    jetstream: Context,
    names: Names,
    streams: Arc<Streams>,
    line: Arc<Line>,
    // Held by whoever waits for the acknowledgement of a note of one of the scopes that share the place, so that the next one of the
    // scope comes after it. Senders queue up in their order, each within its own deadline.
    places: Vec<Mutex<()>>,
    hasher: RandomState,
    patience: Duration,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    end: CancellationToken,
    _closed_with_the_last: DropGuard,
}

impl NatsBus {
    /// Connects, makes the streams that are missing and compares those that are there. Where the servers cannot be reached within 5 s it
    /// goes on without them: notes stay in their outboxes until they come.
    ///
    /// `tasks` are the bus's own: they stop after those of everybody who sends.
    ///
    /// # Errors
    /// [`NatsFault`] where a setting is wrong, a server too old or a stream not as asked.
    pub async fn open(
        settings: &NatsSettings,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<Self, NatsFault> {
        settings.check()?;
        let (patience, line) = (settings.patience(), Line::new());
        let told = line.clone();
        let options = settings.options().await?.event_callback(move |event| {
            told.happened(&event);
            std::future::ready(())
        });
        let client = options.connect(settings.servers.as_slice()).await;
        let client = client.map_err(|error| NatsFault::Server(error.to_string()))?;
        let jetstream = ContextBuilder::new()
            .timeout(patience)
            .ack_timeout(patience)
            .max_ack_inflight(2 * PLACES)
            .build(client.clone());

        let names = Names::new(&settings.namespace);
        let end = tasks.soft_token().child_token();
        let inner = Inner {
            client,
            jetstream,
            streams: Arc::new(Streams::new(&names, settings.replicas)),
            names,
            line,
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            patience,
            clock,
            tasks: tasks.clone(),
            _closed_with_the_last: end.clone().drop_guard(),
            end,
        };
        let keeper = Keeper {
            client: inner.client.clone(),
            jetstream: inner.jetstream.clone(),
            streams: inner.streams.clone(),
            line: inner.line.clone(),
            any_server: settings.allow_old_server,
            patience,
        };
        tasks.spawn("bus line", keeper.keep(inner.end.clone()));
        inner.first_look().await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn send(&self, note: Note) -> Result<(), BusError> {
        let sent = tokio::time::timeout(self.inner.patience, self.inner.publish(&note)).await;
        let sent = sent.unwrap_or_else(|late| Err(BusError::Unreachable(late.into())));
        if sent.is_err() {
            counter!("guildhall_bus_unsent_total").increment(1);
        }
        sent
    }

    async fn listen(&self, pattern: &str, room: usize) -> Result<Listener, BusError> {
        self.inner.is_open()?;
        let subject = self.inner.names.said_on(pattern);
        self.inner.subscribe(subject, Names::read, room).await
    }

    async fn whisper(&self, topic: &str, words: Bytes) -> Result<(), BusError> {
        self.inner.is_connected()?;
        let subject = self.inner.names.in_passing(topic);
        match self.inner.client.publish(subject, words).now_or_never() {
            Some(Err(error)) => Err(BusError::Unreachable(error.into())),
            // Or too much was to be sent already: who would wait for a whisper?
            Some(Ok(())) | None => Ok(()),
        }
    }

    async fn overhear(&self, pattern: &str, room: usize) -> Result<Overheard, BusError> {
        self.inner.is_connected()?;
        let subject = self.inner.names.in_passing(pattern);
        let listener = self.inner.subscribe(subject, Names::overhear, room).await?;
        Ok(Overheard(listener))
    }

    fn is_reachable(&self) -> Result<(), String> {
        self.inner.line.trouble().map_or(Ok(()), Err)
    }

    async fn remembers(&self, note: &Note) -> Result<bool, BusError> {
        self.inner.is_open()?;
        let Some(stream) = self.inner.streams.of(&note.subject) else {
            return Ok(true);
        };
        let age = self.inner.clock.now().since(note.at);
        if age + NEARLY_OLD >= stream.keeps() {
            return Ok(true);
        }
        let subject = self.inner.names.sent(&note.subject);
        let kept = self.inner.jetstream.get_stream_no_info(stream.name()).await;
        let kept = kept.map_err(|error| BusError::Unreachable(error.into()))?;
        match kept.get_last_raw_message_by_subject(&subject).await {
            Ok(last) => Ok(wire::at(&last.headers).is_some_and(|at| at >= note.at)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(BusError::Unreachable(error.into())),
        }
    }

    fn is_followed(&self) -> bool {
        true
    }

    fn forgot(&self) -> watch::Receiver<u64> {
        self.inner.line.forgot()
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus")
            .field("line", &self.inner.line)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Waits until notes pass, or until it is known why they never will.
    async fn first_look(&self) -> Result<(), NatsFault> {
        let mut state = self.line.state();
        let seen = state.wait_for(|state| !matches!(state, State::Away(_)));
        if let Ok(Ok(state)) = tokio::time::timeout(FIRST, seen).await {
            return match &*state {
                State::Wrong(why) => Err(NatsFault::Server(why.clone())),
                State::Open | State::Away(_) => Ok(()),
            };
        }
        let why = self.line.trouble().unwrap_or_default();
        warn!(
            why,
            "the servers of nats.servers are not there yet; events wait in their outboxes"
        );
        Ok(())
    }

    /// Sends a note and waits until it is kept.
    async fn publish(&self, note: &Note) -> Result<(), BusError> {
        self.is_open()?;
        let _turn = self.place_of(&note.subject).lock().await;
        // It may have closed meanwhile; the client would keep the note and send it long after its sender gave up.
        self.is_open()?;

        let (subject, message) = self.names.write(note);
        let kept = async { self.jetstream.send_publish(subject, message).await?.await }.await;
        match kept {
            Ok(kept) => {
                if !kept.duplicate && self.streams.kept(&kept.stream, kept.sequence) {
                    self.line.doubt();
                }
                Ok(())
            }
            Err(error) => {
                let refused = error.kind() == PublishErrorKind::MaxPayloadExceeded
                    || self.streams.of(&note.subject).is_none();
                if error.kind() == PublishErrorKind::StreamNotFound {
                    self.line.doubt();
                }
                let wrap = if refused {
                    BusError::Refused
                } else {
                    BusError::Unreachable
                };
                Err(wrap(error.into()))
            }
        }
    }

    /// Hears messages, each as `read` reads it, from when it returns.
    async fn subscribe(
        &self,
        subject: String,
        read: Read,
        room: usize,
    ) -> Result<Listener, BusError> {
        // Taken before: a connection that breaks from here on is a loss to this listener too.
        let losses = self.line.losses();
        let heard = self.client.subscribe(subject).await;
        let heard = heard.map_err(|error| BusError::Unreachable(error.into()))?;
        round_trip(&self.client, self.patience)
            .await
            .map_err(unreachable)?;

        let (queue, receiver) = mpsc::channel(room);
        let lag = Arc::<Lag>::default();
        let pump = Pump {
            heard,
            read,
            names: self.names.clone(),
            queue,
            lag: lag.clone(),
            losses,
            end: self.end.clone(),
        };
        self.tasks.spawn("bus listener", pump.run());
        // The pump ends when the receiver is dropped.
        Ok(Listener {
            queue: receiver,
            lag,
            _end: Box::new(()),
        })
    }

    fn is_open(&self) -> Result<(), BusError> {
        self.is_connected()?;
        match self.line.trouble() {
            Some(why) => Err(BusError::Unreachable(why.into())),
            None => Ok(()),
        }
    }

    /// Enough for what no stream keeps.
    fn is_connected(&self) -> Result<(), BusError> {
        if self.end.is_cancelled() {
            return Err(BusError::Closed);
        }
        if self.client.connection_state() != Connection::Connected {
            return Err(BusError::Unreachable("the connection broke".into()));
        }
        Ok(())
    }

    /// Where the notes of a scope wait for each other: what is about one channel keeps its order over all kinds of events.
    fn place_of(&self, subject: &str) -> &Mutex<()> {
        let scope = subject.rsplit_once('.').map_or(subject, |(scope, _)| scope);
        let places = u64::try_from(self.places.len()).unwrap_or(1);
        let at = usize::try_from(self.hasher.hash_one(scope) % places).unwrap_or(0);
        &self.places[at]
    }
}

/// How a message is read; `None` for what is not ours.
type Read = fn(&Names, &async_nats::Message) -> Option<Note>;

/// Carries what a subscription hears into the queue of its listener.
struct Pump {
    heard: Subscriber,
    read: Read,
    names: Names,
    queue: mpsc::Sender<Note>,
    lag: Arc<Lag>,
    losses: watch::Receiver<u64>,
    end: CancellationToken,
}

impl Pump {
    async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.end.cancelled() => return,
                () = self.queue.closed() => return,
                Ok(()) = self.losses.changed() => self.lag.lose(),
                message = self.heard.next() => match message {
                    Some(message) => self.pass(&message),
                    None => return,
                },
            }
        }
    }

    fn pass(&self, message: &async_nats::Message) {
        let Some(note) = (self.read)(&self.names, message) else {
            warn!(subject = %message.subject, "not a note");
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(note) {
            counter!("guildhall_bus_lagged_total").increment(1);
            self.lag.lose();
        }
    }
}

fn unreachable(trouble: Trouble) -> BusError {
    let (Trouble::Away(why) | Trouble::Wrong(why)) = trouble;
    BusError::Unreachable(Box::<dyn Error + Send + Sync>::from(why))
}
