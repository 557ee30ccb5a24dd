//! What a follower is promised, on each source of events.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use guildhall_mesh::{Bus as _, Feed, NatsBus, Note, Tasks, outbox::Follower};
use guildhall_testkit::infra;

use crate::{
    bus::stage::{self, PATIENCE, note, number},
    outbox::Rows,
};

/// Takes numbers; fails at one of them a few times.
#[derive(Clone, Default)]
pub(crate) struct Taker {
    taken: Arc<Mutex<Vec<u32>>>,
    /// At which number, and how many times more.
    stumbles: Arc<Mutex<Option<(u32, u32)>>>,
    slow: Option<Duration>,
    bell: Arc<tokio::sync::Notify>,
}

impl Taker {
    fn stumbling(at: u32, times: u32) -> Self {
        let taker = Self::default();
        *taker.stumbles.lock().expect("whole") = Some((at, times));
        taker
    }

    fn taken(&self) -> Vec<u32> {
        self.taken.lock().expect("whole").clone()
    }

    async fn has_taken(&self, last: u32) {
        let come = async {
            while !self.taken().contains(&last) {
                self.bell.notified().await;
            }
        };
        let came = tokio::time::timeout(2 * PATIENCE, come).await;
        came.unwrap_or_else(|_| panic!("{last} comes after {:?}", self.taken()));
    }

    /// Every number up to `last`, first comings in order; repeats are allowed.
    pub(crate) async fn has_all_in_order(&self, last: u32) {
        self.has_taken(last).await;
        let mut firsts = Vec::new();
        for n in self.taken() {
            if !firsts.contains(&n) {
                firsts.push(n);
            }
        }
        assert_eq!(firsts, (1..=last).collect::<Vec<_>>());
    }
}

#[async_trait]
impl Follower for Taker {
    async fn take(&self, note: Note) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let n = number(&note);
        if let Some(slow) = self.slow {
            tokio::time::sleep(slow).await;
        }
        if let Some((at, times)) = self.stumbles.lock().expect("whole").as_mut()
            && *at == n
            && *times > 0
        {
            *times -= 1;
            return Err("stumbled".into());
        }
        self.taken.lock().expect("whole").push(n);
        self.bell.notify_one();
        Ok(())
    }
}

/// Somebody's events, and where they are followed.
enum Source {
    Journal(Arc<Rows>),
    Stream(NatsBus),
}

impl Source {
    fn journal() -> Self {
        Self::Journal(Rows::new())
    }

    async fn stream() -> Option<Self> {
        let server = infra::nats().await?;
        // Its tasks end with the runtime of the test.
        let bus = stage::open(&stage::settings(&server.url), &Tasks::new()).await;
        Some(Self::Stream(bus))
    }

    async fn tell(&self, numbers: impl IntoIterator<Item = u32>) {
        for n in numbers {
            let event = note(&format!("scope{}", n % 3), "E", n);
            match self {
                Self::Journal(rows) => rows.keep(event),
                Self::Stream(bus) => bus.send(event).await.expect("takes it"),
            }
        }
    }

    fn feed(&self) -> Feed {
        match self {
            Self::Journal(rows) => Feed::of_journal(rows.clone()),
            Self::Stream(bus) => Feed::of_stream(bus.clone(), "guildhall.chat.v1.*.*"),
        }
    }
}

/// Runs each promise on every source.
macro_rules! from_every_source {
    ($($promise:ident,)*) => {
        mod journal {
            $(#[tokio::test] async fn $promise() {
                super::$promise(super::Source::journal()).await;
            })*
        }
        mod stream {
            $(#[tokio::test] async fn $promise() {
                if let Some(source) = super::Source::stream().await {
                    super::$promise(source).await;
                }
            })*
        }
    };
}

from_every_source! {
    every_event_is_taken_in_order_also_those_of_before,
    an_event_that_failed_comes_again_before_any_later_one,
    a_follower_goes_on_where_it_stopped,
    two_readers_take_everything_each,
    a_stop_lets_the_effect_under_way_end,
}

async fn every_event_is_taken_in_order_also_those_of_before(source: Source) {
    let (tasks, taker) = (Tasks::new(), Taker::default());
    source.tell(1..=20).await;

    source.feed().follow(&tasks, "taker", taker.clone());
    source.tell(21..=60).await;
    taker.has_taken(60).await;

    assert_eq!(taker.taken(), (1..=60).collect::<Vec<_>>());
    assert_eq!(tasks.stop(PATIENCE).await, 0);
}

async fn an_event_that_failed_comes_again_before_any_later_one(source: Source) {
    let (tasks, taker) = (Tasks::new(), Taker::stumbling(3, 2));
    source.tell(1..=8).await;

    source.feed().follow(&tasks, "taker", taker.clone());
    taker.has_taken(8).await;

    assert_eq!(taker.taken(), (1..=8).collect::<Vec<_>>());
    assert_eq!(tasks.stop(PATIENCE).await, 0);
}

async fn a_follower_goes_on_where_it_stopped(source: Source) {
    let (tasks, first) = (Tasks::new(), Taker::default());
    source.tell(1..=5).await;
    source.feed().follow(&tasks, "taker", first.clone());
    first.has_taken(5).await;
    assert_eq!(tasks.stop(PATIENCE).await, 0);
    source.tell(6..=9).await;

    let (tasks, second) = (Tasks::new(), Taker::default());
    source.feed().follow(&tasks, "taker", second.clone());
    second.has_taken(9).await;

    assert_eq!(second.taken(), [6, 7, 8, 9]);
    assert_eq!(tasks.stop(PATIENCE).await, 0);
}

async fn two_readers_take_everything_each(source: Source) {
    let (tasks, one, other) = (Tasks::new(), Taker::default(), Taker::stumbling(2, 3));
    source.feed().follow(&tasks, "one", one.clone());
    source.feed().follow(&tasks, "other", other.clone());

    source.tell(1..=10).await;

    for taker in [one, other] {
        taker.has_taken(10).await;
        assert_eq!(taker.taken(), (1..=10).collect::<Vec<_>>());
    }
    assert_eq!(tasks.stop(PATIENCE).await, 0);
}

async fn a_stop_lets_the_effect_under_way_end(source: Source) {
    let tasks = Tasks::new();
    let taker = Taker {
        slow: Some(Duration::from_millis(300)),
        ..Taker::default()
    };
    source.tell(1..=3).await;

    source.feed().follow(&tasks, "taker", taker.clone());
    taker.has_taken(1).await;
    let cut = tasks.stop(PATIENCE).await;

    assert_eq!(cut, 0);
    let (tasks, rest) = (Tasks::new(), Taker::default());
    source.feed().follow(&tasks, "taker", rest.clone());
    source.tell([4]).await;
    rest.has_taken(4).await;
    let mut all = taker.taken();
    all.extend(rest.taken());
    assert_eq!(all, [1, 2, 3, 4]);
}

#[tokio::test]
async fn an_effect_longer_than_the_server_waits_happens_once() {
    let Some(source) = Source::stream().await else {
        return;
    };
    let tasks = Tasks::new();
    let taker = Taker {
        slow: Some(Duration::from_secs(7)),
        ..Taker::default()
    };
    source.tell(1..=2).await;

    source.feed().follow(&tasks, "taker", taker.clone());
    taker.has_taken(2).await;

    assert_eq!(taker.taken(), [1, 2]);
}

#[tokio::test]
async fn processes_of_one_service_share_the_events_and_keep_their_order() {
    let Some(source) = Source::stream().await else {
        return;
    };
    let (tasks, taker) = (Tasks::new(), Taker::stumbling(4, 1));
    source.feed().follow(&tasks, "taker", taker.clone());
    source.feed().follow(&tasks, "taker", taker.clone());

    source.tell(1..=40).await;
    taker.has_taken(40).await;

    assert_eq!(taker.taken(), (1..=40).collect::<Vec<_>>());
}
