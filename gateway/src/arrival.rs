//! Bodies on their way in: whole, not too large, and in time, before anything is done for them.
//!
//! A body that dribbles in costs nothing but its own memory, and that is bounded over all of them: it holds no place among the calls.
//! Where the memory is used up, the oldest of the bodies that are still coming makes room, so whoever sends slowly on purpose keeps
//! out nobody but themselves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use metrics::counter;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// One more second for each of these, in bytes.
const PACE: usize = 16 << 10;

/// What all bodies that are on their way may take together.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    // Locked for a moment for each piece of a body, never across an await.
    pot: Arc<Mutex<Pot>>,
    most: usize,
    time: Duration,
}

#[derive(Debug, Default)]
struct Pot {
    /// Bytes of all bodies, those included that have come and are being worked on.
    held: usize,
    /// How many bodies there have been: names them in the order in which they began.
    begun: u64,
    /// Those that are still coming.
    coming: BTreeMap<u64, Coming>,
}

#[derive(Debug)]
struct Coming {
    bytes: usize,
    cut: CancellationToken,
}

/// A body that has come, and its share of the memory, until dropped.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// All of it.
    pub(crate) bytes: Bytes,
    _share: Share,
}

/// Why a body has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotArrived {
    /// It is too large.
    TooLarge,
    /// It took too long, or had to make room after a while.
    Late,
    /// The client broke it off.
    BrokenOff,
    /// There is no memory for it now.
    Busy,
}

impl Arrivals {
    /// With room for so many bytes, and so much time for each body.
    pub(crate) fn new(most: usize, time: Duration) -> Self {
        Self {
            pot: Arc::default(),
            most,
            time,
        }
    }

    /// Reads a body of at most `largest` bytes. It may pause for the time that is set, and takes at most that and a second for each
    /// 16 KiB.
    pub(crate) async fn whole(
        &self,
        mut body: Body,
        largest: usize,
    ) -> Result<Arrived, NotArrived> {
        use http_body::Body as _;
        if body.size_hint().lower() > largest as u64 {
            return Err(NotArrived::TooLarge);
        }
        let (mut share, cut) = self.begin();
        let mut read = Read::Nothing;
        let began = now();
        loop {
            let paid = u64::try_from(share.bytes / PACE).unwrap_or(u64::MAX);
            let due = (began + Duration::from_secs(paid)).min(now()) + self.time;
            let next = tokio::select! {
                // What has come counts, also in the moment of a cut.
                biased;
                next = timeout_at(due, body.frame()) => next,
                () = cut.cancelled() => return Err(NotArrived::Late),
            };
            let frame = match next {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(NotArrived::BrokenOff),
                Ok(None) => break,
                Err(_) => return Err(NotArrived::Late),
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            share.grow(data.len())?;
            if share.bytes > largest {
                return Err(NotArrived::TooLarge);
            }
            read = read.and(data);
        }
        share.settle()?;
        Ok(Arrived {
            bytes: read.into_bytes(),
            _share: share,
        })
    }

    fn begin(&self) -> (Share, CancellationToken) {
        let cut = CancellationToken::new();
        let coming = Coming {
            bytes: 0,
            cut: cut.clone(),
        };
        let mut pot = self.pot();
        pot.begun += 1;
        let number = pot.begun;
        pot.coming.insert(number, coming);
        drop(pot);
        let share = Share {
            arrivals: self.clone(),
            number,
            bytes: 0,
            has_come: false,
        };
        (share, cut)
    }

    fn pot(&self) -> MutexGuard<'_, Pot> {
        self.pot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pot {
    /// Makes the oldest body but `own` give way. Says whether there was one.
    fn cut_oldest(&mut self, own: u64) -> bool {
        let oldest = self
            .coming
            .iter()
            .find(|(number, coming)| **number != own && coming.bytes > 0)
            .map(|(number, _)| *number);
        let Some(cut) = oldest.and_then(|number| self.coming.remove(&number)) else {
            return false;
        };
        // Its reader lets the bytes go as soon as it wakes.
        self.held -= cut.bytes;
        cut.cut.cancel();
        counter!("guildhall_bodies_cut_total").increment(1);
        true
    }
}

/// What has been read. Most bodies are one piece, which is not copied.
enum Read {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Read {
    fn and(self, more: Bytes) -> Self {
        match self {
            Self::Nothing => Self::One(more),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(2 * (first.len() + more.len()));
                all.extend_from_slice(&first);
                all.extend_from_slice(&more);
                Self::Many(all)
            }
            Self::Many(mut all) => {
                all.extend_from_slice(&more);
                Self::Many(all)
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(all) => all,
            Self::Many(all) => all.freeze(),
        }
    }
}

/// The memory that one body holds.
#[derive(Debug)]
struct Share {
    arrivals: Arrivals,
    number: u64,
    bytes: usize,
    has_come: bool,
}

impl Share {
    fn grow(&mut self, by: usize) -> Result<(), NotArrived> {
        let mut pot = self.arrivals.pot();
        let coming = pot.coming.get_mut(&self.number).ok_or(NotArrived::Late)?;
        coming.bytes += by;
        self.bytes += by;
        pot.held += by;
        while pot.held > self.arrivals.most {
            if !pot.cut_oldest(self.number) {
                return Err(NotArrived::Busy);
            }
        }
        Ok(())
    }

    /// The body has come, and gives way to none any more.
    fn settle(&mut self) -> Result<(), NotArrived> {
        let coming = self.arrivals.pot().coming.remove(&self.number);
        self.has_come = coming.is_some();
        coming.map(drop).ok_or(NotArrived::Late)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut pot = self.arrivals.pot();
        // What was cut has been taken off already.
        if pot.coming.remove(&self.number).is_some() || self.has_come {
            pot.held -= self.bytes;
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "deadlines are timers, kept by the runtime's clock"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{StreamExt as _, stream};
    use tokio::time::sleep;

    use super::*;

    fn arrivals(most: usize) -> Arrivals {
        Arrivals::new(most, Duration::from_secs(10))
    }

    fn dribble(pieces: usize, bytes: usize, every: Duration) -> Body {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            sleep(every).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![0; bytes]))
        });
        Body::from_stream(pieces)
    }

    #[tokio::test(start_paused = true)]
    async fn a_dribbled_body_is_given_up_and_a_slow_large_one_is_not() {
        let arrivals = arrivals(1 << 20);

        let dribbled = arrivals
            .whole(dribble(60, 1, Duration::from_secs(1)), 1 << 20)
            .await;
        let slow = arrivals
            .whole(dribble(30, PACE, Duration::from_secs(1)), 1 << 20)
            .await;

        assert_eq!(dribbled.err(), Some(NotArrived::Late));
        assert_eq!(
            slow.map(|arrived| arrived.bytes.len()).ok(),
            Some(30 * PACE)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_before_its_end_is_given_up_after_the_pause_that_is_allowed() {
        let arrivals = arrivals(1 << 20);
        let began = now();

        let stopped = arrivals.whole(stopping_after(60 * PACE), 1 << 20).await;

        assert_eq!(stopped.err(), Some(NotArrived::Late));
        assert_eq!(now().duration_since(began).as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_body_that_is_still_coming_makes_room_for_others() {
        let arrivals = arrivals(1_000);
        let (first, second) = (stopping_after(400), stopping_after(500));
        let mut held = pin!(async {
            tokio::join!(arrivals.whole(first, 1_000), async {
                sleep(Duration::from_millis(10)).await;
                arrivals.whole(second, 1_000).await
            })
        });
        let other = tokio::select! {
            biased;
            _ = &mut held => unreachable!("both wait for more"),
            other = async {
                sleep(Duration::from_millis(500)).await;
                arrivals.whole(Body::from(vec![0; 300]), 1_000).await
            } => other,
        };

        assert!(other.is_ok());
        let held_now = arrivals.pot().held;
        assert_eq!(held_now, 500 + 300, "only the oldest had to go");
        let (first, second) = held.await;
        assert_eq!(first.err(), Some(NotArrived::Late));
        assert_eq!(second.err(), Some(NotArrived::Late));
        drop(other);
        assert_eq!(arrivals.pot().held, 0);
    }

    /// A body of which so many bytes come at once, and no more.
    fn stopping_after(bytes: usize) -> Body {
        let piece = Ok::<_, std::io::Error>(Bytes::from(vec![0; bytes]));
        Body::from_stream(stream::iter([piece]).chain(stream::pending()))
    }

    #[tokio::test]
    async fn a_body_is_refused_as_soon_as_it_is_too_large() {
        let arrivals = arrivals(1 << 20);
        let endless = Body::from_stream(stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100]))
        }));

        assert_eq!(
            arrivals.whole(endless, 1_000).await.err(),
            Some(NotArrived::TooLarge)
        );
        let announced = Body::from(vec![0; 1_001]);
        assert_eq!(
            arrivals.whole(announced, 1_000).await.err(),
            Some(NotArrived::TooLarge)
        );
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_bound_and_give_their_share_back() {
        let arrivals = arrivals(1_000);
        let first = arrivals.whole(Body::from(vec![0; 600]), 1_000).await;
        assert!(first.is_ok());

        assert_eq!(
            arrivals.whole(Body::from(vec![0; 600]), 1_000).await.err(),
            Some(NotArrived::Busy)
        );
        drop(first);

        assert!(
            arrivals
                .whole(Body::from(vec![0; 600]), 1_000)
                .await
                .is_ok()
        );
    }
}
