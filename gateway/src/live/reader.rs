//! One open stream as the rest of the process knows it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use guildhall_kernel::{SessionId, Time, UserId};
use guildhall_mesh::token::Verified;
use guildhall_proto::live::v1::{self as pb, server_frame::Body};
use prost_types::Timestamp;
use tokio::sync::{Notify, futures::Notified};

use super::{
    desk::{Desk, Taken},
    error::LiveError,
    frame::Frame,
    queue::Room,
    tally::Tally,
    todo::Job,
};

/// An open stream. The hub puts frames on its desk, its session takes them off.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Counts the streams of this process.
    pub(crate) number: u64,
    /// Whose it is.
    pub(crate) user: UserId,
    /// Names it in logs and problems.
    pub(crate) correlation: Arc<str>,
    // Locked by topics while they pass a frame on (topic first, then desk), by the hub's loops and by the session; shortly, and never
    // across an await or while another desk is locked.
    state: Mutex<State>,
    // Rung when the session has something to take or to do; only the session waits.
    bell: Notify,
}

#[derive(Debug)]
struct State {
    desk: Desk,
    pass: Pass,
    /// When the next heartbeat is due, as uptime.
    beat_at: Duration,
    /// When the stream was found ended, as uptime.
    ended_at: Option<Duration>,
}

/// By what right a stream is open.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    /// What the token said.
    pub(crate) verified: Verified,
    /// Whether it came in a cookie: the stream then lives as long as the session.
    pub(crate) by_cookie: bool,
    /// Whether its end was announced.
    warned: bool,
}

/// When what is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beat {
    /// Between two heartbeats.
    pub(crate) every: Duration,
    /// How long before its end a token's end is announced.
    pub(crate) warn: Duration,
    /// How long an ended stream may take to leave.
    pub(crate) leave: Duration,
}

impl Pass {
    /// A token was good.
    pub(crate) fn new(verified: Verified, by_cookie: bool) -> Self {
        Self {
            verified,
            by_cookie,
            warned: false,
        }
    }

    /// What the time says of it.
    fn judge(&mut self, now: Time, warn: Duration) -> Judged {
        let ends = self.verified.expires_at;
        if !self.by_cookie && now >= ends {
            return Judged::Over;
        }
        if !self.warned && now.plus(warn) >= ends {
            self.warned = true;
            return Judged::Ending(ends);
        }
        Judged::Good
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Good,
    Ending(Time),
    Over,
}

impl Reader {
    /// A stream that reads nothing yet. Its first heartbeat is due at `beat_at`, as uptime.
    pub(crate) fn new(
        number: u64,
        pass: Pass,
        correlation: Arc<str>,
        room: Room,
        beat_at: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            number,
            user: pass.verified.user,
            state: Mutex::new(State {
                desk: Desk::new(room, correlation.clone()),
                pass,
                beat_at,
                ended_at: None,
            }),
            correlation,
            bell: Notify::new(),
        })
    }

    /// Does something at the desk, and wakes the session if it left something there.
    pub(crate) fn at_desk<T>(&self, act: impl FnOnce(&mut Desk) -> T) -> T {
        let done = act(&mut self.state().desk);
        self.bell.notify_one();
        done
    }

    /// Looks at the desk.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Desk) -> T) -> T {
        look(&self.state().desk)
    }

    /// Offers a frame. The session is woken where it was taken.
    pub(crate) fn offer(&self, tally: &mut Tally, act: impl FnOnce(&mut Desk, &mut Tally)) {
        let before = *tally;
        act(&mut self.state().desk, tally);
        if *tally != before {
            self.bell.notify_one();
        }
    }

    /// Ends the stream.
    pub(crate) fn end(&self, error: LiveError, wait: Option<Duration>) {
        self.at_desk(|desk| desk.finish(error, wait));
    }

    /// Takes what comes next.
    pub(crate) fn take(&self) -> Taken {
        self.state().desk.take()
    }

    /// The next thing to do.
    pub(crate) fn next_job(&self) -> Option<Job> {
        self.state().desk.todo.next()
    }

    /// Resolves when there may be something new at the desk.
    pub(crate) fn rung(&self) -> Notified<'_> {
        self.bell.notified()
    }

    /// The session that the stream belongs to.
    pub(crate) fn session(&self) -> SessionId {
        self.state().pass.verified.session
    }

    /// The pass in force.
    pub(crate) fn pass(&self) -> Pass {
        self.state().pass.clone()
    }

    /// A fresh token came.
    pub(crate) fn renew(&self, pass: Pass) {
        self.state().pass = pass;
    }

    /// Time passed: beats, announces the end of the token, ends the stream with it. `true`: the stream ended a while ago and nobody
    /// came for its last frame.
    pub(crate) fn tick(&self, now: Time, uptime: Duration, beat: Beat, tally: &mut Tally) -> bool {
        let before = *tally;
        let mut state = self.state();
        if !state.desk.is_open() {
            let ended = *state.ended_at.get_or_insert(uptime);
            return uptime.saturating_sub(ended) >= beat.leave;
        }
        match state.pass.judge(now, beat.warn) {
            Judged::Good => {}
            Judged::Ending(at) => state.desk.answer(auth_expiring(at)),
            Judged::Over => state.desk.finish(LiveError::Expired, None),
        }
        if uptime >= state.beat_at {
            state.beat_at = uptime + beat.every;
            state.desk.push(&Frame::heartbeat(), tally);
        }
        let wake = *tally != before || state.desk.waiting() > 0 || !state.desk.is_open();
        drop(state);
        if wake {
            self.bell.notify_one();
        }
        false
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn auth_expiring(at: Time) -> Arc<Frame> {
    let at = Timestamp {
        seconds: at.seconds(),
        nanos: at.nanos(),
    };
    Frame::general(Body::AuthExpiring(pb::AuthExpiring { at: Some(at) }))
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::SessionId;

    use super::*;

    const WARN: Duration = Duration::from_secs(60);

    fn pass(by_cookie: bool) -> Pass {
        let verified = Verified {
            user: UserId::from_bytes([1; 16]),
            session: SessionId::from_bytes([2; 16]),
            expires_at: at(900),
        };
        Pass::new(verified, by_cookie)
    }

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_bearer_is_warned_once_and_then_ended() {
        let mut pass = pass(false);

        assert_eq!(pass.judge(at(839), WARN), Judged::Good);
        assert_eq!(pass.judge(at(840), WARN), Judged::Ending(at(900)));
        assert_eq!(pass.judge(at(899), WARN), Judged::Good);
        assert_eq!(pass.judge(at(900), WARN), Judged::Over);
    }

    #[test]
    fn a_cookie_is_warned_and_follows_its_session() {
        let mut pass = pass(true);

        assert_eq!(pass.judge(at(840), WARN), Judged::Ending(at(900)));
        assert_eq!(pass.judge(at(9_000), WARN), Judged::Good);
    }

    #[test]
    fn a_stream_beats_and_leaves_when_nobody_takes_its_end() {
        let room = Room {
            frames: 4,
            bytes: 4_096,
        };
        let second = Duration::from_secs(1);
        let reader = Reader::new(1, pass(false), "c1".into(), room, 5 * second);
        let beat = Beat {
            every: 25 * second,
            warn: WARN,
            leave: 10 * second,
        };
        let mut tally = Tally::default();

        for uptime in 0..31 {
            assert!(!reader.tick(at(0), uptime * second, beat, &mut tally));
        }
        assert_eq!(reader.look(Desk::waiting), 2);

        reader.end(LiveError::SessionEnded, None);
        assert!(!reader.tick(at(0), 40 * second, beat, &mut tally));
        assert!(reader.tick(at(0), 50 * second, beat, &mut tally));
        assert!(matches!(reader.take(), Taken::Last(_)));
        assert!(matches!(reader.take(), Taken::Over));
    }
}
