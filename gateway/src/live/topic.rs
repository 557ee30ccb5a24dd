//! One channel with readers: listens on the bus, makes one line without holes of what it hears, passes it on.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use guildhall_kernel::{ChannelId, SpaceId};
use guildhall_mesh::{Heard, Note, bus::Listener};
use guildhall_proto::{chat::v1 as chat, live::v1::server_frame::Body};
use metrics::counter;
use tokio::sync::{Notify, OnceCell};
use tonic::Status;
use tracing::{debug, warn};

use super::{
    chat::Page,
    desk::{Desk, Stale},
    frame::Frame,
    hub::Hub,
    log::{Log, Told},
    reader::Reader,
    tally::Tally,
};

/// How many events of one channel wait for us on the bus.
const WAITING: usize = 256;
/// How long to wait before chat is asked again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A channel that somebody reads, or did a moment ago.
#[derive(Debug)]
pub(crate) struct Topic {
    channel: ChannelId,
    // Locked while a frame is passed to the readers, whose desks are locked one after the other inside; never across an await.
    state: Mutex<State>,
    // Rung when changes are known that the bus did not tell, and when the topic was closed; only the pump waits.
    bell: Notify,
    listening: OnceCell<()>,
}

#[derive(Debug, Default)]
struct State {
    log: Log,
    /// What the numbers of the log are counted in.
    epoch: String,
    readers: Vec<Arc<Reader>>,
    /// Whether nobody read at the last look.
    idle: bool,
    closed: bool,
}

/// Why a reader was not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotJoined {
    /// The topic was closed, or has no head yet: open it again.
    Closed,
    /// The reader's rights changed meanwhile.
    Stale,
}

impl Topic {
    /// A topic that does not listen yet.
    pub(crate) fn new(channel: ChannelId) -> Arc<Self> {
        Arc::new(Self {
            channel,
            state: Mutex::default(),
            bell: Notify::new(),
            listening: OnceCell::new(),
        })
    }

    /// Listens from when it returns, once.
    pub(crate) async fn listen(self: &Arc<Self>, hub: &Arc<Hub>) -> Result<(), Status> {
        let listen = || async {
            let listener = self.listener(hub).await?;
            hub.tasks
                .spawn("live topic", self.clone().pump(hub.clone(), listener));
            Ok(())
        };
        self.listening.get_or_try_init(listen).await.copied()
    }

    async fn listener(&self, hub: &Hub) -> Result<Listener, Status> {
        let pattern = format!("guildhall.chat.v1.{}.*", self.channel);
        let listener = hub.bus.listen(&pattern, WAITING).await;
        listener.map_err(|error| Status::unavailable(error.to_string()))
    }

    /// Hears and fills until it is closed.
    async fn pump(self: Arc<Self>, hub: Arc<Hub>, mut listener: Listener) {
        while !self.state().closed {
            tokio::select! {
                () = hub.tasks.stopping() => return,
                () = self.bell.notified() => {}
                heard = listener.next() => match heard {
                    Some(Heard::Note(note)) => self.hear(&hub, &note),
                    Some(Heard::Lagged) => self.fill(&hub, true).await,
                    None => match self.listener(&hub).await {
                        Ok(again) => {
                            listener = again;
                            self.fill(&hub, true).await;
                        }
                        Err(_) => hub.rest(PAUSE.1).await,
                    },
                }
            }
            self.fill(&hub, false).await;
        }
    }

    /// Whether its head was read.
    pub(crate) fn has_begun(&self) -> bool {
        self.state().log.last().is_some()
    }

    /// Its head, read after listening began.
    pub(crate) fn begin(&self, head: &chat::Head) {
        let mut state = self.state();
        state.log.begin(head.rev);
        if state.epoch.is_empty() {
            state.epoch.clone_from(&head.epoch);
        }
        self.ring_if_behind(&state);
    }

    /// Its head, read in turn. Tells nobody where nothing was missed.
    pub(crate) fn compare(&self, head: &chat::Head) {
        let mut state = self.state();
        if state.epoch != head.epoch && state.log.last().is_some() {
            warn!(channel = %self.channel, "the store counts anew");
            self.restart(&mut state, head);
        }
        state.log.know(head.rev);
        self.ring_if_behind(&state);
    }

    /// Passes on what was held back.
    pub(crate) fn nudge(&self) {
        self.bell.notify_one();
    }

    /// Takes a reader on, who has all changes up to `at`.
    pub(crate) fn join(
        &self,
        reader: &Arc<Reader>,
        space: SpaceId,
        at: u32,
        rights: u64,
    ) -> Result<(), NotJoined> {
        let mut state = self.state();
        let Some(live) = state.log.last().filter(|_| !state.closed) else {
            return Err(NotJoined::Closed);
        };
        reader
            .at_desk(|desk| desk.join(self.channel, space, at, live, rights))
            .map_err(|Stale| NotJoined::Stale)?;
        if !state
            .readers
            .iter()
            .any(|other| other.number == reader.number)
        {
            state.readers.push(reader.clone());
        }
        Ok(())
    }

    /// Lets a reader go.
    pub(crate) fn leave(&self, reader: &Reader) {
        let mut state = self.state();
        if let Some(at) = state
            .readers
            .iter()
            .position(|other| other.number == reader.number)
        {
            state.readers.swap_remove(at);
        }
    }

    /// The channel is no more.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.closed = true;
        for reader in state.readers.drain(..) {
            reader.at_desk(|desk| {
                if desk.leave(self.channel) {
                    desk.answer(Frame::gone(self.channel));
                }
            });
        }
        self.bell.notify_one();
    }

    /// Closes it where nobody reads and nobody did at the last look.
    pub(crate) fn close_if_idle(&self) -> bool {
        let mut state = self.state();
        let idle = state.readers.is_empty();
        if idle && std::mem::replace(&mut state.idle, idle) {
            state.closed = true;
            self.bell.notify_one();
        }
        state.idle = idle;
        state.closed
    }

    /// Offers a frame to each reader.
    pub(crate) fn tell(&self, act: impl Fn(&Reader, &mut Desk, &mut Tally)) -> Tally {
        let mut tally = Tally::default();
        for reader in &self.state().readers {
            reader.offer(&mut tally, |desk, tally| act(reader, desk, tally));
        }
        tally
    }

    fn hear(&self, hub: &Hub, note: &Note) {
        let message = if let Some(posted) = note.read::<chat::MessagePosted>() {
            posted.map(|event| event.message)
        } else if let Some(edited) = note.read::<chat::MessageEdited>() {
            edited.map(|event| event.message)
        } else if let Some(deleted) = note.read::<chat::MessageDeleted>() {
            deleted.map(|event| event.message)
        } else if let Some(moved) = note.read::<chat::ReadMoved>() {
            moved.map(|event| {
                if hub.is_open() {
                    let frame = Frame::about(self.channel, Body::ReadMoved(event));
                    let about = |_: &Reader, desk: &mut Desk, tally: &mut Tally| {
                        desk.offer_about(self.channel, &frame, tally);
                    };
                    self.tell(about).count();
                }
                None
            })
        } else {
            return;
        };
        match message {
            Ok(Some(message)) => self.pass_on(hub, message).count(),
            Ok(None) => {}
            Err(error) => warn!(%error, subject = %note.subject, "an event cannot be read"),
        }
    }

    fn pass_on(&self, hub: &Hub, message: chat::Message) -> Tally {
        let mut state = self.state();
        match state.log.hear(message.rev, hub.is_open()) {
            Told::Next => {
                let frame = Frame::message(self.channel, message.rev - 1, message);
                self.spread(&state, &[frame])
            }
            Told::Old | Told::Hole | Told::Early => Tally::default(),
        }
    }

    fn spread(&self, state: &State, frames: &[Arc<Frame>]) -> Tally {
        let mut tally = Tally::default();
        for frame in frames {
            for reader in &state.readers {
                let change = |desk: &mut Desk, tally: &mut Tally| {
                    desk.offer_change(self.channel, frame, tally);
                };
                reader.offer(&mut tally, change);
            }
        }
        tally
    }

    /// Reads what is missing from chat until nothing is. `anyway`: also where nothing is known to be.
    async fn fill(&self, hub: &Hub, anyway: bool) {
        let mut look = anyway;
        let mut pause = PAUSE.0;
        while hub.is_open() && !hub.tasks.is_stopping() && (look || self.lacks()) {
            match self.fill_once(hub).await {
                Ok(()) => look = false,
                Err(error) => {
                    debug!(%error, channel = %self.channel, "changes cannot be read");
                    hub.rest(pause).await;
                    pause = (2 * pause).min(PAUSE.1);
                }
            }
        }
    }

    async fn fill_once(&self, hub: &Hub) -> Result<(), Status> {
        let (after, epoch) = {
            let state = self.state();
            let Some(last) = state.log.last() else {
                return Ok(());
            };
            if state.closed {
                return Ok(());
            }
            (last, state.epoch.clone())
        };
        match hub.chat.changes(self.channel, after, &epoch).await? {
            Page::Changes {
                frames,
                through,
                head,
            } => {
                let mut state = self.state();
                state.log.know(head.rev);
                if through <= after && state.log.lacks() {
                    return Err(Status::unavailable("chat knows less than the bus told"));
                }
                if !frames.is_empty() {
                    counter!("guildhall_live_holes_filled_total").increment(1);
                }
                self.spread(&state, &frames).count();
                state.log.filled(through);
            }
            Page::TooFar => {
                let found = hub.chat.heads(None, &[], &[self.channel]).await?;
                match found.first() {
                    Some(opened) => self.restart(&mut self.state(), &opened.head),
                    None => hub.end_channel(self.channel),
                }
            }
            Page::Missing => hub.end_channel(self.channel),
        }
        Ok(())
    }

    fn restart(&self, state: &mut State, head: &chat::Head) {
        state.log.restart(head.rev);
        state.epoch.clone_from(&head.epoch);
        for reader in &state.readers {
            reader.at_desk(|desk| desk.reset(self.channel, head.clone()));
        }
    }

    fn lacks(&self) -> bool {
        let state = self.state();
        !state.closed && state.log.lacks()
    }

    fn ring_if_behind(&self, state: &State) {
        if state.log.lacks() {
            self.bell.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
