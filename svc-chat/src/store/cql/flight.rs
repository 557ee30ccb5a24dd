//! One read for many who ask the same at the same moment.
//!
//! Whoever asks while a read is under way waits for the next one, never for that one: it may have looked before the asker's own last
//! change, and a person sees what they wrote. So at most two reads of a kind are at work for any number of askers: one under way, and
//! one that begins after it.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::oneshot;

/// Reads under way, by what is read.
pub(super) struct Flights<K: Copy + Eq + Hash, V> {
    waiting: Arc<Waiting<K, V>>,
}

/// Who waits for the read after the one under way. Locked for a look-up and never across an await, by whoever asks and whoever reads.
type Waiting<K, V> = Mutex<HashMap<K, Vec<Waiter<K, V>>>>;
type Waiter<K, V> = oneshot::Sender<Turn<K, V>>;

/// What a waiter is told.
enum Turn<K: Copy + Eq + Hash, V> {
    /// The answer, from a read that began after the waiter came.
    Answer(V),
    /// To read, for itself and others.
    Read(Reading<K, V>),
}

impl<K: Copy + Eq + Hash, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            waiting: Arc::default(),
        }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Flights<K, V> {
    /// Reads, or waits for somebody who begins to read from now on.
    pub(super) async fn get(&self, key: K, read: impl Future<Output = V>) -> V {
        let turn = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(Vec::new());
                    None
                }
                Entry::Occupied(mut waiting) => {
                    let (told, turn) = oneshot::channel();
                    waiting.get_mut().push(told);
                    Some(turn)
                }
            }
        };
        let mut reading = match turn {
            None => Reading {
                waiting: self.waiting.clone(),
                key,
                together: Vec::new(),
                is_over: false,
            },
            Some(turn) => match turn.await {
                Ok(Turn::Answer(answer)) => return answer,
                Ok(Turn::Read(reading)) => reading,
                // Cannot be: whoever reads tells everybody. Reading alone is right in any case.
                Err(_) => return read.await,
            },
        };
        let answer = read.await;
        for told in reading.together.drain(..) {
            // Whoever asked may have gone.
            let _ = told.send(Turn::Answer(answer.clone()));
        }
        answer
    }
}

/// The turn to read. When it ends, also by being dropped, those who wait have the next one.
struct Reading<K: Copy + Eq + Hash, V> {
    waiting: Arc<Waiting<K, V>>,
    key: K,
    /// Who is answered by this read.
    together: Vec<Waiter<K, V>>,
    is_over: bool,
}

impl<K: Copy + Eq + Hash, V> Drop for Reading<K, V> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Those who were not answered, where the read was cut off, and those who came since.
        let mut next = std::mem::take(&mut self.together);
        loop {
            {
                let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(waiting) = all.get_mut(&self.key) {
                    next.append(waiting);
                }
                if next.is_empty() {
                    all.remove(&self.key);
                    return;
                }
            }
            let Some(first) = next.pop() else {
                return;
            };
            let turn = Self {
                waiting: self.waiting.clone(),
                key: self.key,
                together: next,
                is_over: false,
            };
            let Err(Turn::Read(mut refused)) = first.send(Turn::Read(turn)) else {
                return;
            };
            refused.is_over = true;
            next = std::mem::take(&mut refused.together);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::Semaphore;

    use super::*;

    /// Reads that end when they are let, each with its number.
    #[derive(Clone, Default)]
    struct Reads {
        begun: Arc<AtomicU32>,
        gate: Arc<Gate>,
        flights: Arc<Flights<u8, u32>>,
    }

    struct Gate(Semaphore);

    impl Default for Gate {
        fn default() -> Self {
            Self(Semaphore::new(0))
        }
    }

    impl Reads {
        #[expect(
            clippy::disallowed_methods,
            reason = "the tasks end with the test's runtime"
        )]
        fn ask(&self) -> tokio::task::JoinHandle<u32> {
            let own = self.clone();
            tokio::spawn(async move {
                let read = async {
                    let number = own.begun.fetch_add(1, Ordering::SeqCst) + 1;
                    own.gate.0.acquire().await.expect("open").forget();
                    number
                };
                own.flights.get(7, read).await
            })
        }

        async fn settle() {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn who_comes_during_a_read_shares_the_next_one_and_never_that_one() {
        let reads = Reads::default();
        let first = reads.ask();
        Reads::settle().await;
        let others: Vec<_> = (0..5).map(|_| reads.ask()).collect();
        Reads::settle().await;
        assert_eq!(reads.begun.load(Ordering::SeqCst), 1);

        reads.gate.0.add_permits(9);

        assert_eq!(first.await.expect("ends"), 1);
        for other in others {
            assert_eq!(other.await.expect("ends"), 2);
        }
        assert!(reads.flights.waiting.lock().expect("whole").is_empty());
    }

    #[tokio::test]
    async fn a_reader_who_goes_leaves_its_turn_to_those_who_wait() {
        let reads = Reads::default();
        let first = reads.ask();
        Reads::settle().await;
        let (second, third) = (reads.ask(), reads.ask());
        Reads::settle().await;
        first.abort();
        Reads::settle().await;
        // The one that reads now goes too, whichever it is.
        third.abort();
        Reads::settle().await;

        reads.gate.0.add_permits(9);

        assert!(second.await.expect("ends") >= 2);
        assert!(reads.flights.waiting.lock().expect("whole").is_empty());
    }
}
