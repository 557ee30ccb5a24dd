//! What one connection is doing, so that its watch can tell a slow client from a dead or hostile one.
//!
//! hyper has a timer for heads, but none before the first byte, one and the same for a half-sent head and for a quiet connection, and
//! none for answers that nobody reads. So the socket, the service and the bodies say here what happens, and the watch judges.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use guildhall_kernel::Clock;

use crate::config::Timing;

/// What an HTTP/2 client sends before anything else, with the head of its first frame.
const OPENING: usize = 24 + 9;

/// The state of one connection, written by its socket, its service and its bodies, read by its watch.
pub(super) struct Pulse {
    clock: Arc<dyn Clock>,
    // A few writes per request, each some nanoseconds; never held across an await.
    state: Mutex<State>,
}

struct State {
    /// How many bytes came before the first request.
    opening: usize,
    /// Whether the client speaks HTTP/2, as far as is known.
    h2: bool,
    /// Whether a request has come.
    served: bool,
    /// Requests whose answers are not fully handed over.
    open: Vec<Open>,
    last: u64,
    /// Since when there is none.
    quiet_since: Duration,
    /// Since when bytes of a next request have been coming.
    head_since: Option<Duration>,
}

struct Open {
    id: u64,
    /// Since when a piece of the answer waits for the client to make room; `None` while the client waits for us.
    owed_since: Option<Duration>,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: look again after so long.
    Fine(Duration),
    /// It may close: nothing is under way.
    Idle,
    /// It has to go now.
    Cut(&'static str),
}

impl Pulse {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State {
            opening: 0,
            h2: false,
            served: false,
            open: Vec::new(),
            last: 0,
            quiet_since: clock.uptime(),
            head_since: None,
        };
        Arc::new(Self {
            clock,
            state: Mutex::new(state),
        })
    }

    /// The handshake is over: from now on bytes are HTTP. `h2` where both sides settled on it.
    pub(super) fn begin(&self, h2: bool) {
        let mut state = self.state();
        state.h2 = h2;
        state.opening = 0;
        state.head_since = None;
        state.quiet_since = self.clock.uptime();
    }

    /// Bytes came.
    pub(super) fn heard(&self, bytes: &[u8]) {
        let mut state = self.state();
        if !state.open.is_empty() {
            return;
        }
        if !state.served {
            state.h2 |= state.opening == 0 && bytes.starts_with(b"PRI");
            state.opening = state.opening.saturating_add(bytes.len());
        }
        if state.head_since.is_none() {
            state.head_since = Some(self.clock.uptime());
        }
    }

    /// A request came.
    pub(super) fn open(self: &Arc<Self>, h2: bool) -> Answering {
        let mut state = self.state();
        state.h2 = h2;
        state.served = true;
        state.head_since = None;
        state.last += 1;
        let id = state.last;
        state.open.push(Open {
            id,
            owed_since: None,
        });
        drop(state);
        Answering {
            pulse: self.clone(),
            id,
        }
    }

    /// Judges the connection.
    pub(super) fn verdict(&self, timing: &Timing) -> Verdict {
        let state = self.state();
        let now = self.clock.uptime();
        let since = |then: Duration| now.saturating_sub(then);

        if !state.open.is_empty() {
            let stuck = state.open.iter().filter_map(|open| open.owed_since);
            let longest = stuck.map(since).max().unwrap_or_default();
            return if longest >= timing.stall {
                Verdict::Cut("unread")
            } else {
                Verdict::Fine(timing.stall.saturating_sub(longest).min(timing.stall / 4))
            };
        }
        let quiet = since(state.quiet_since);
        // Between requests, HTTP/2 has frames of its own, and pings that end a dead connection.
        let in_head = if state.h2 && (state.served || state.opening >= OPENING) {
            None
        } else if state.served {
            state.head_since.map(since)
        } else {
            Some(quiet)
        };
        if in_head.is_some_and(|long| long >= timing.head) {
            return Verdict::Cut("head");
        }
        if let Some(long) = in_head {
            return Verdict::Fine(timing.head.saturating_sub(long));
        }
        if quiet >= timing.idle {
            return Verdict::Idle;
        }
        let left = timing.idle.saturating_sub(quiet);
        // A head may begin at any moment and has to be seen in good time.
        Verdict::Fine(if state.h2 {
            left
        } else {
            left.min(timing.head / 4)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request that is being answered, until its last byte is handed over or given up.
pub(super) struct Answering {
    pulse: Arc<Pulse>,
    id: u64,
}

impl Answering {
    /// A piece of the answer is with the client's side now.
    pub(super) fn owes(&self) {
        let now = self.pulse.clock.uptime();
        self.set(Some(now));
    }

    /// The client took what there was and waits for more.
    pub(super) fn waits(&self) {
        self.set(None);
    }

    fn set(&self, owed_since: Option<Duration>) {
        let mut state = self.pulse.state();
        if let Some(open) = state.open.iter_mut().find(|open| open.id == self.id) {
            open.owed_since = owed_since;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.pulse.state();
        state.open.retain(|open| open.id != self.id);
        if state.open.is_empty() {
            state.quiet_since = self.pulse.clock.uptime();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use guildhall_kernel::Time;

    use super::*;

    #[derive(Default)]
    struct Stopped(AtomicU64);

    impl Stopped {
        fn pass(&self, seconds: u64) {
            self.0.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    impl Clock for Stopped {
        fn now(&self) -> Time {
            Time::from_micros(0)
        }

        fn uptime(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    const TIMING: Timing = Timing {
        handshake: Duration::from_secs(5),
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        stall: Duration::from_secs(20),
        age: Duration::from_secs(3_600),
        grace: Duration::from_secs(300),
    };

    fn pulse() -> (Arc<Stopped>, Arc<Pulse>) {
        let clock = Arc::new(Stopped::default());
        (clock.clone(), Pulse::new(clock))
    }

    #[test]
    fn a_client_that_says_nothing_or_half_a_head_has_ten_seconds() {
        for bytes in [&b""[..], b"GET / HT", b"PRI * HTTP/2.0\r\n"] {
            let (clock, pulse) = pulse();
            pulse.heard(bytes);

            clock.pass(9);
            assert_eq!(
                pulse.verdict(&TIMING),
                Verdict::Fine(Duration::from_secs(1))
            );
            clock.pass(1);

            assert_eq!(pulse.verdict(&TIMING), Verdict::Cut("head"));
        }
    }

    #[test]
    fn between_requests_a_quiet_connection_may_stay_but_half_a_head_may_not() {
        let (clock, pulse) = pulse();
        drop(pulse.open(false));

        clock.pass(70);
        assert!(matches!(pulse.verdict(&TIMING), Verdict::Fine(_)));
        pulse.heard(b"GET");
        clock.pass(4);
        assert!(matches!(pulse.verdict(&TIMING), Verdict::Fine(_)));
        clock.pass(6);
        assert_eq!(pulse.verdict(&TIMING), Verdict::Cut("head"));
        drop(pulse.open(false));
        clock.pass(75);
        assert_eq!(pulse.verdict(&TIMING), Verdict::Idle);
    }

    #[test]
    fn an_opened_http2_connection_may_be_quiet() {
        let (clock, pulse) = pulse();
        pulse.heard(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        pulse.heard(&[0; 9]);

        clock.pass(74);
        assert_eq!(
            pulse.verdict(&TIMING),
            Verdict::Fine(Duration::from_secs(1))
        );
        clock.pass(1);

        assert_eq!(pulse.verdict(&TIMING), Verdict::Idle);
    }

    #[test]
    fn an_answer_that_nobody_takes_ends_the_connection_and_one_that_waits_does_not() {
        let (clock, pulse) = pulse();
        let answering = pulse.open(true);

        clock.pass(1_000);
        assert!(matches!(pulse.verdict(&TIMING), Verdict::Fine(_)));
        answering.owes();
        clock.pass(19);
        assert_eq!(
            pulse.verdict(&TIMING),
            Verdict::Fine(Duration::from_secs(1))
        );
        clock.pass(1);
        assert_eq!(pulse.verdict(&TIMING), Verdict::Cut("unread"));
        answering.waits();

        assert!(matches!(pulse.verdict(&TIMING), Verdict::Fine(_)));
    }
}
