//! Finds one reply of a server among what it says.

use std::sync::{Arc, Mutex, PoisonError};

/// What a reply is known by: bytes that are in it and in nothing else that the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Vec<u8>);

impl Reply {
    /// A reply that holds these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// PostgreSQL says that a transaction is committed, on a connection without TLS.
    pub fn postgres_commit() -> Self {
        // CommandComplete: its letter, its length, the command.
        Self::of(b"C\0\0\0\x0bCOMMIT\0")
    }
}

/// What is looked for in all connections of a proxy.
#[derive(Debug, Default)]
pub(super) struct Swallower {
    // Read by every connection with every piece, written by the test; never held across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reply: Vec<u8>,
    every: u32,
    seen: u32,
    taken: u32,
}

impl Swallower {
    pub(super) fn look_for(&self, Reply(reply): Reply, every: u32) {
        let mut state = self.state();
        (state.reply, state.every, state.seen) = (reply, every, 0);
    }

    pub(super) fn taken(&self) -> u32 {
        self.state().taken
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The search in what the server says on one connection.
pub(super) struct Search {
    swallower: Arc<Swallower>,
    /// The end of what passed already: a reply may come in two pieces.
    tail: Vec<u8>,
}

impl Search {
    pub(super) fn of(swallower: Arc<Swallower>) -> Self {
        Self {
            swallower,
            tail: Vec::new(),
        }
    }

    /// How many bytes of the piece come before a reply that is to be taken out; all of them where there is none.
    pub(super) fn before_reply(&mut self, piece: &[u8]) -> usize {
        let mut state = self.swallower.state();
        if state.every == 0 || state.reply.is_empty() {
            self.tail.clear();
            return piece.len();
        }
        let passed = self.tail.len();
        self.tail.extend_from_slice(piece);
        let length = state.reply.len();
        let mut at = 0;
        while let Some(found) = find(&self.tail[at..], &state.reply) {
            state.seen += 1;
            if state.seen.is_multiple_of(state.every) {
                state.taken += 1;
                // Its beginning may have passed with the piece before; no client takes half of a reply for one.
                return (at + found).saturating_sub(passed);
            }
            at += found + length;
        }
        // Nothing of a reply that was counted may be found again.
        let kept = self.tail.len().saturating_sub(length - 1).max(at);
        self.tail.drain(..kept);
        piece.len()
    }
}

fn find(within: &[u8], bytes: &[u8]) -> Option<usize> {
    within
        .windows(bytes.len())
        .position(|window| window == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(every: u32) -> Search {
        let swallower = Swallower::default();
        swallower.look_for(Reply::of(b"DONE"), every);
        Search::of(Arc::new(swallower))
    }

    #[test]
    fn what_stands_before_the_reply_passes() {
        assert_eq!(search(1).before_reply(b"well DONE!"), 5);
        assert_eq!(search(1).before_reply(b"not yet"), 7);
    }

    #[test]
    fn a_reply_in_two_pieces_is_found() {
        let mut search = search(1);

        assert_eq!(search.before_reply(b"well DO"), 7);
        assert_eq!(search.before_reply(b"NE!"), 0);
    }

    #[test]
    fn every_so_many_th_is_taken_and_none_counts_twice() {
        let mut search = search(3);

        assert_eq!(search.before_reply(b"DONE"), 4);
        assert_eq!(search.before_reply(b"ON"), 2);
        assert_eq!(search.before_reply(b"DONE, DONE"), 6);
    }

    #[test]
    fn none_is_taken_once_nobody_looks_any_more() {
        let mut search = search(1);
        search.swallower.look_for(Reply::of(b"DONE"), 0);

        assert_eq!(search.before_reply(b"DONE"), 4);
    }
}
