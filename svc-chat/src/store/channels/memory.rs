//! What was read from the database and may be read again without it.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use guildhall_mesh::Tasks;
use quick_cache::sync::Cache;

use crate::store::StoreError;

/// How old what is remembered may be where other processes write, too.
const LATELY: Duration = Duration::from_secs(1);

/// Values in their present state. Whoever changes one removes it here after the commit, and that also voids what a reader is about to
/// put in. So it is true as long as this process alone writes the database; where others do, everything is forgotten every second.
pub(super) struct Memory<K, V> {
    values: Cache<K, V>,
    round: AtomicU64,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Room for so many.
    pub(super) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            values: Cache::new(room),
            round: AtomicU64::new(0),
        })
    }

    /// The value, remembered or read; nothing that is not there is remembered. Readers of the same one wait for one reading.
    pub(super) async fn get(
        &self,
        key: &K,
        read: impl Future<Output = Result<Option<V>, StoreError>>,
    ) -> Result<Option<V>, StoreError> {
        let place = match self.values.get_value_or_guard_async(key).await {
            Ok(known) => return Ok(Some(known)),
            Err(place) => place,
        };
        let round = self.round.load(Ordering::SeqCst);
        let Some(value) = read.await? else {
            return Ok(None);
        };
        // Refused where it was changed since it was read. Then it is good for this call and not remembered.
        let _ = place.insert(value.clone());
        if self.round.load(Ordering::SeqCst) != round {
            self.values.remove(key);
        }
        Ok(Some(value))
    }

    /// To be called after every change, whatever came of it.
    pub(super) fn forget(&self, key: &K) {
        self.values.remove(key);
    }

    /// Forgets everything every second, until the tasks stop.
    pub(super) fn fade(self: Arc<Self>, tasks: &Tasks) {
        let own = tasks.clone();
        tasks.spawn("chat memory", async move {
            while !own.is_stopping() {
                tokio::select! {
                    () = own.stopping() => {}
                    () = tokio::time::sleep(LATELY) => {}
                }
                // First the round, then the forgetting: a reader looks after it has put in.
                self.round.fetch_add(1, Ordering::SeqCst);
                self.values.clear();
            }
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(memory: &Memory<u8, u32>, kept: u32) -> u32 {
        let value = memory.get(&1, async { Ok(Some(kept)) }).await;
        value.expect("reads").expect("is there")
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_process_changed_is_known_a_second_later() {
        let (memory, tasks) = (Memory::new(10), Tasks::new());
        memory.clone().fade(&tasks);

        let first = read(&memory, 1).await;
        let soon = read(&memory, 2).await;
        tokio::time::sleep(LATELY + Duration::from_millis(1)).await;
        let later = read(&memory, 2).await;
        tasks.stop(LATELY).await;

        assert_eq!((first, soon, later), (1, 1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_the_forgetting_is_not_remembered_after_it() {
        let (memory, tasks) = (Memory::new(10), Tasks::new());
        memory.clone().fade(&tasks);

        let slow = memory.get(&1, async {
            tokio::time::sleep(LATELY * 2).await;
            Ok(Some(1))
        });
        let slow = slow.await.expect("reads");
        let later = read(&memory, 2).await;
        tasks.stop(LATELY).await;

        assert_eq!((slow, later), (Some(1), 2));
    }

    #[tokio::test]
    async fn what_was_changed_here_is_read_again() {
        let memory = Memory::new(10);
        read(&memory, 1).await;

        memory.forget(&1);

        assert_eq!(read(&memory, 2).await, 2);
    }
}
