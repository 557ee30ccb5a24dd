//! A bus that can break down.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use guildhall_mesh::{
    Bus, LocalBus, Note,
    bus::{BusError, Listener, Overheard},
};
use prost::bytes::Bytes;

/// The bus of the test's world, which takes nothing while it is broken. Clones are the same one.
#[derive(Clone)]
pub(crate) struct FrailBus {
    inner: LocalBus,
    broken: Arc<AtomicBool>,
}

impl FrailBus {
    pub(crate) fn over(inner: LocalBus) -> Self {
        Self {
            inner,
            broken: Arc::default(),
        }
    }

    pub(crate) fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.broken.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for FrailBus {
    async fn send(&self, note: Note) -> Result<(), BusError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(BusError::Closed);
        }
        self.inner.send(note).await
    }

    async fn listen(&self, pattern: &str, room: usize) -> Result<Listener, BusError> {
        self.inner.listen(pattern, room).await
    }

    async fn whisper(&self, topic: &str, words: Bytes) -> Result<(), BusError> {
        self.inner.whisper(topic, words).await
    }

    async fn overhear(&self, pattern: &str, room: usize) -> Result<Overheard, BusError> {
        self.inner.overhear(pattern, room).await
    }
}
