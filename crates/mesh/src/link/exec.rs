//! Runs what a connection consists of as tasks of ours.

use std::future::Future;

use hyper::rt::Executor;

use crate::tasks::Tasks;

/// Gives hyper's tasks to ours.
#[derive(Clone)]
pub(super) struct Spawner(pub(super) Tasks);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, part: F) {
        self.0.spawn("link", part);
    }
}
