//! The thread that writes: whoever waits at a moment shares one transaction and one sync.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    failure::{Failure, Verdict},
    ledger::Ledger,
    press::Press,
    queue::{NotTaken, Queue},
};
use crate::store::StoreError;

/// A change that waits for its transaction.
pub(super) trait Change: Send {
    /// Makes the change in the open transaction. Called again where that was taken back. A failure other than
    /// [`Failure::Full`] breaks the transaction.
    fn make(&mut self, ledger: &mut Ledger) -> Result<(), Failure>;
    /// Tells what became of it.
    fn answer(self: Box<Self>, verdict: Result<(), Verdict>);
    /// Whether anybody waits for it still.
    fn is_awaited(&self) -> bool;
}

/// Takes changes from async callers to the thread.
pub(super) struct Writer {
    changes: Arc<Queue<Box<dyn Change>>>,
    // Taken out by `close`.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        changes: Arc<Queue<Box<dyn Change>>>,
        mut press: Press,
    ) -> io::Result<Self> {
        let last = LastOut(changes.clone());
        let thread = Builder::new()
            .name("timeline-write".into())
            .spawn(move || press.run(&last.0))?;
        Ok(Self {
            changes,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Makes a change of about `bytes` and returns when it is synced. A full queue refuses at once; a change that nobody waits for
    /// any more is left out, if it had not begun.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        bytes: usize,
        change: impl FnMut(&mut Ledger) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let change = Box::new(Pending {
            change,
            made: None,
            answer,
        });
        self.changes
            .push(change, bytes)
            .map_err(|refused| match refused {
                NotTaken::Full => StoreError::Busy,
                NotTaken::Closed => StoreError::Closed,
            })?;
        let lost = |_| Err(StoreError::OutcomeUnknown(Box::new(Failure::Panicked)));
        answered.await.unwrap_or_else(lost)
    }

    /// Writes what waits and ends the thread.
    pub(super) fn close(&self) -> Option<JoinHandle<()>> {
        self.changes.close();
        self.thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.changes.close();
    }
}

/// However the thread ends, nobody waits for it in vain: what is still in the queue is dropped, and that is an answer.
struct LastOut(Arc<Queue<Box<dyn Change>>>);

impl Drop for LastOut {
    fn drop(&mut self) {
        self.0.close();
        while self.0.take(usize::MAX, Duration::ZERO).is_some() {}
    }
}

/// A change with the one who waits for it.
struct Pending<F, T> {
    change: F,
    made: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Change for Pending<F, T>
where
    F: FnMut(&mut Ledger) -> Result<T, Failure> + Send,
    T: Send,
{
    fn make(&mut self, ledger: &mut Ledger) -> Result<(), Failure> {
        self.made = Some(match (self.change)(ledger) {
            Ok(made) => Ok(made),
            Err(Failure::Full) => Err(StoreError::Full),
            Err(failure) => return Err(failure),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: Result<(), Verdict>) {
        let answer = match (verdict, self.made) {
            (Ok(()), Some(made)) => made,
            (Err(verdict), _) => Err(verdict.into()),
            (Ok(()), None) => Err(StoreError::OutcomeUnknown(Box::new(Failure::Panicked))),
        };
        // Whoever asked may have gone.
        let _ = self.answer.send(answer);
    }

    fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }
}
