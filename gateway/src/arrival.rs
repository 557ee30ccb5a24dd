//! Bodies on their way in: whole, not too large, and in time, before anything is done for them.
//!
//! A body that dribbles in costs nothing but its own memory, and that is bounded over all of them: it holds no place among the calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

/// One more second for each of these, in bytes.
const PACE: usize = 16 << 10;

/// What all bodies that are on their way may take together.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    held: Arc<AtomicUsize>,
    most: usize,
    time: Duration,
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
    /// It took too long.
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
            held: Arc::default(),
            most,
            time,
        }
    }

    /// Reads a body of at most `largest` bytes.
    pub(crate) async fn whole(
        &self,
        mut body: Body,
        largest: usize,
    ) -> Result<Arrived, NotArrived> {
        use http_body::Body as _;
        if body.size_hint().lower() > largest as u64 {
            return Err(NotArrived::TooLarge);
        }
        let mut share = Share {
            arrivals: self.clone(),
            bytes: 0,
        };
        let mut read = Read::Nothing;
        let mut due = now() + self.time;
        let mut paid = 0;
        loop {
            let frame = match timeout_at(due, body.frame()).await {
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
            while share.bytes - paid >= PACE {
                paid += PACE;
                due += Duration::from_secs(1);
            }
            read = read.and(data);
        }
        Ok(Arrived {
            bytes: read.into_bytes(),
            _share: share,
        })
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
    bytes: usize,
}

impl Share {
    fn grow(&mut self, by: usize) -> Result<(), NotArrived> {
        let before = self.arrivals.held.fetch_add(by, Ordering::Relaxed);
        self.bytes += by;
        if before + by > self.arrivals.most {
            Err(NotArrived::Busy)
        } else {
            Ok(())
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.arrivals.held.fetch_sub(self.bytes, Ordering::Relaxed);
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
