//! Two ends of one bus, and notes to send.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::{EventId, SystemClock, Time};
use guildhall_mesh::{
    Bus, Heard, LocalBus, NatsBus, Note, Tasks,
    bus::{Listener, NatsSettings},
};
use guildhall_testkit::infra;
use uuid::Uuid;

/// Longer than anything takes that will happen at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Notes sent here are heard there.
pub(crate) struct Stage {
    pub(crate) here: Arc<dyn Bus>,
    pub(crate) there: Arc<dyn Bus>,
    /// How long a note that was taken may be under way.
    pub(crate) way: Duration,
    /// Hold what runs.
    pub(crate) tasks: [Tasks; 2],
}

/// Both ends in one process.
pub(crate) fn local() -> Stage {
    let bus = Arc::new(LocalBus::new());
    Stage {
        here: bus.clone(),
        there: bus,
        way: Duration::ZERO,
        tasks: [Tasks::new(), Tasks::new()],
    }
}

/// Each end with a connection of its own, in a namespace of its own.
pub(crate) async fn nats() -> Option<Stage> {
    let server = infra::nats().await?;
    let settings = settings(&server.url);
    let tasks = [Tasks::new(), Tasks::new()];
    Some(Stage {
        here: Arc::new(open(&settings, &tasks[0]).await),
        there: Arc::new(open(&settings, &tasks[1]).await),
        way: Duration::from_millis(300),
        tasks,
    })
}

/// One server, a namespace that no other test has, a short deadline.
pub(crate) fn settings(url: &str) -> NatsSettings {
    NatsSettings {
        servers: vec![url.to_owned()],
        namespace: infra::fresh("bus"),
        replicas: 1,
        send_seconds: 2,
        ..NatsSettings::default()
    }
}

pub(crate) async fn open(settings: &NatsSettings, tasks: &Tasks) -> NatsBus {
    let bus = NatsBus::open(settings, Arc::new(SystemClock::new()), tasks).await;
    bus.expect("the servers are as asked")
}

impl Stage {
    pub(crate) async fn listen(&self, pattern: &str, room: usize) -> Listener {
        self.there.listen(pattern, room).await.expect("listens")
    }

    pub(crate) async fn send(&self, note: Note) {
        self.here.send(note).await.expect("takes it");
    }

    /// Waits until everything that was taken has arrived.
    pub(crate) async fn arrived(&self) {
        tokio::time::sleep(self.way).await;
    }
}

/// A note of chat about `scope`; `n` is its payload.
pub(crate) fn note(scope: &str, event: &str, n: u32) -> Note {
    #[expect(
        clippy::disallowed_methods,
        reason = "servers know ids of earlier runs again"
    )]
    let id = Uuid::now_v7();
    Note {
        id: EventId::of(id),
        subject: format!("guildhall.chat.v1.{scope}.{event}").into(),
        payload: n.to_be_bytes().to_vec().into(),
        at: now(),
    }
}

fn now() -> Time {
    use guildhall_kernel::Clock as _;
    SystemClock::new().now()
}

/// What a note says.
pub(crate) fn number(note: &Note) -> u32 {
    u32::from_be_bytes(note.payload.as_ref().try_into().expect("four bytes"))
}

/// The next thing heard.
pub(crate) async fn heard(listener: &mut Listener) -> Option<Heard> {
    let next = tokio::time::timeout(PATIENCE, listener.next()).await;
    next.expect("something is heard")
}

/// The next `many` notes, as numbers.
pub(crate) async fn numbers(listener: &mut Listener, many: usize) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(many);
    for _ in 0..many {
        match heard(listener).await {
            Some(Heard::Note(note)) => numbers.push(number(&note)),
            other => panic!("a note after {numbers:?}, not {other:?}"),
        }
    }
    numbers
}
