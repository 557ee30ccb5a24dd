//! The bounded queue between callers and the threads of the engine.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::gauge;

/// Waits in order for threads that take. Putting in never waits: when `room` items or `weight` bytes are in it, it refuses.
pub(super) struct Queue<T> {
    name: &'static str,
    room: usize,
    weight: usize,
    // Locked by callers for one push and by threads for one take.
    state: Mutex<State<T>>,
    filled: Condvar,
}

struct State<T> {
    waiting: VecDeque<(usize, T)>,
    weight: usize,
    /// How many threads sleep: nobody is woken when nobody does.
    sleepers: usize,
    closed: bool,
}

/// The queue did not take an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It is full.
    Full,
    /// It takes nothing any more.
    Closed,
}

impl<T> Queue<T> {
    /// `name` is for the gauge of its length.
    pub(super) fn new(name: &'static str, room: usize, weight: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            weight: 0,
            sleepers: 0,
            closed: false,
        };
        Self {
            name,
            room,
            weight,
            state: Mutex::new(state),
            filled: Condvar::new(),
        }
    }

    /// Puts an item of about `bytes` in.
    pub(super) fn push(&self, item: T, bytes: usize) -> Result<(), NotTaken> {
        let mut state = self.state();
        if state.closed {
            return Err(NotTaken::Closed);
        }
        // An item heavier than the whole queue fits while the queue is empty.
        let too_heavy = state.weight > 0 && state.weight.saturating_add(bytes) > self.weight;
        if state.waiting.len() >= self.room || too_heavy {
            return Err(NotTaken::Full);
        }
        state.weight += bytes;
        state.waiting.push_back((bytes, item));
        if state.sleepers > 0 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes the oldest items, up to `most`, waiting up to `patience` for the first. Nothing came: an empty list. Closed and
    /// empty: `None`.
    pub(super) fn take(&self, most: usize, patience: Duration) -> Option<Vec<T>> {
        let mut state = self.state();
        if state.waiting.is_empty() && !state.closed {
            state.sleepers += 1;
            let idle = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
            let woken = self.filled.wait_timeout_while(state, patience, idle);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.sleepers -= 1;
        }
        let length = state.waiting.len();
        if length == 0 && state.closed {
            return None;
        }
        let taken: Vec<_> = state.waiting.drain(..length.min(most)).collect();
        state.weight -= taken.iter().map(|(bytes, _)| bytes).sum::<usize>();
        drop(state);
        gauge!("guildhall_timeline_queue", "queue" => self.name)
            .set(u32::try_from(length).unwrap_or(u32::MAX));
        Some(taken.into_iter().map(|(_, item)| item).collect())
    }

    /// Takes nothing more in; what waits is still taken out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_by_count_and_by_weight() {
        let queue = Queue::new("test", 2, 10);

        assert_eq!(queue.push('a', 99), Ok(()), "heavy, but alone");
        assert_eq!(queue.push('b', 1), Err(NotTaken::Full));
        assert_eq!(queue.take(9, Duration::ZERO), Some(vec!['a']));
        assert_eq!(queue.push('c', 5), Ok(()));
        assert_eq!(queue.push('d', 6), Err(NotTaken::Full));
        assert_eq!(queue.push('e', 5), Ok(()));
        assert_eq!(queue.push('f', 0), Err(NotTaken::Full));
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_holds_and_then_ends() {
        let queue = Queue::new("test", 9, 9);
        assert_eq!(queue.take(1, Duration::ZERO), Some(vec![]));
        queue.push('a', 1).expect("room");
        queue.push('b', 1).expect("room");

        queue.close();

        assert_eq!(queue.push('c', 1), Err(NotTaken::Closed));
        assert_eq!(queue.take(1, Duration::ZERO), Some(vec!['a']));
        assert_eq!(queue.take(9, Duration::ZERO), Some(vec!['b']));
        assert_eq!(queue.take(9, Duration::ZERO), None);
    }

    #[test]
    fn a_sleeping_taker_wakes_when_something_comes_and_when_the_queue_closes() {
        let queue = Queue::new("test", 9, 9);

        std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let long = Duration::from_mins(1);
                (queue.take(9, long), queue.take(9, long))
            });
            queue.push('a', 1).expect("room");
            while queue.state().sleepers == 0 && !taker.is_finished() {
                std::thread::yield_now();
            }
            queue.close();

            assert_eq!(taker.join().expect("ends"), (Some(vec!['a']), None));
        });
    }
}
