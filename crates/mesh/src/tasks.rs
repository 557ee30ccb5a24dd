//! Every task of a process, so that each of them ends.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};
use tracing::{Instrument as _, info_span};

/// Starts tasks and stops them, in two steps: softly, where each finishes what it is doing, then hard, where what is left is
/// dropped at its next await. Clones share the same tasks.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task under a name that its log lines carry. A long-running one watches [`Tasks::stopping`] and returns.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let hard = self.hard.clone();
        let span = info_span!("task", name);
        // In a box, because each of the wrappers below would hold it twice: once as its argument, once where it is polled.
        let task = Box::pin(task);
        self.tracker
            .spawn(async move { hard.run_until_cancelled(task).await }.instrument(span))
    }

    /// Resolves when the soft stop begins.
    pub fn stopping(&self) -> WaitForCancellationFuture<'_> {
        self.soft.cancelled()
    }

    /// Whether the soft stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// A token that is cancelled when the soft stop begins, for code that takes tokens.
    pub fn soft_token(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Begins the soft stop without waiting.
    pub fn begin_stop(&self) {
        self.soft.cancel();
    }

    /// Stops all tasks: softly, and hard after `grace`. Returns how many had to be cut off.
    pub async fn stop(&self, grace: Duration) -> usize {
        self.soft.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let cut = self.tracker.len();
        self.hard.cancel();
        self.tracker.wait().await;
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_soft_stop_is_cut_off() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending::<()>());
        let polite = tasks.clone();
        tasks.spawn("polite", async move { polite.stopping().await });

        let cut = tasks.stop(Duration::from_secs(1)).await;

        assert_eq!(cut, 1);
    }
}
