//! The threads that read.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use guildhall_store::EngineFile;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tracing::error;

use super::{
    failure::Failure,
    queue::{NotTaken, Queue},
};
use crate::store::StoreError;

/// How long a thread sleeps when nobody asks; it only wakes to sleep again.
const LONG: Duration = Duration::from_hours(1);

/// How many are looked up in one transaction.
const TOGETHER: usize = 200;

type Question = Box<dyn FnOnce(&mut Desk) + Send>;

/// Reads on threads of its own, so that nothing blocks the runtime. Each thread has one connection and answers one question after
/// the other, each in a short transaction: a long one would keep the log from being emptied.
pub(super) struct Readers {
    questions: Arc<Queue<Question>>,
    // Taken out by `close`.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What one thread reads with; opened when first needed and after it was spoilt.
struct Desk {
    file: EngineFile,
    connection: Option<Connection>,
}

impl Readers {
    /// Starts `count` threads. More than `room` waiting questions are refused.
    pub(super) fn start(file: &EngineFile, count: usize, room: usize) -> io::Result<Self> {
        let questions = Arc::new(Queue::<Question>::new("read", room, usize::MAX));
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let questions = questions.clone();
            let mut desk = Desk {
                file: file.clone(),
                connection: None,
            };
            let name = format!("timeline-read-{number}");
            threads.push(Builder::new().name(name).spawn(move || {
                while let Some(taken) = questions.take(1, LONG) {
                    for question in taken {
                        desk.hear(question);
                    }
                }
            })?);
        }
        Ok(Self {
            questions,
            threads: Mutex::new(threads),
        })
    }

    /// Asks for something that is read in one transaction. A full queue refuses at once.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let question = Box::new(move |desk: &mut Desk| {
            // Nobody waits any more: its deadline has passed.
            if !answer.is_closed() {
                let _ = answer.send(desk.look_up(ask));
            }
        });
        self.questions
            .push(question, 0)
            .map_err(|refused| match refused {
                NotTaken::Full => StoreError::Busy,
                NotTaken::Closed => StoreError::Closed,
            })?;
        answered
            .await
            .unwrap_or_else(|_| Err(Failure::Panicked.into()))
    }

    /// Asks for something about each of many, in their order; some of them together in one transaction.
    pub(super) async fn ask_each<A: Copy + Send + 'static, T: Send + 'static>(
        &self,
        all: &[A],
        find: impl Fn(&Connection, A) -> Result<T, Failure> + Copy + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::with_capacity(all.len());
        for some in all.chunks(TOGETHER) {
            let some = some.to_vec();
            let of_some = self.ask(move |file| {
                let each = some.into_iter().map(|one| find(file, one));
                each.collect::<Result<Vec<_>, _>>()
            });
            found.extend(of_some.await?);
        }
        Ok(found)
    }

    /// Answers what waits and ends the threads.
    pub(super) fn close(&self) -> Vec<JoinHandle<()>> {
        self.questions.close();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.questions.close();
    }
}

impl Desk {
    /// Answers one question; a panic in it spoils the connection and nothing else.
    fn hear(&mut self, question: Question) {
        if catch_unwind(AssertUnwindSafe(|| question(self))).is_err() {
            self.connection = None;
        }
    }

    fn look_up<T>(
        &mut self,
        ask: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self
                .file
                .reader()
                .map_err(|cause| StoreError::Refused(cause.into()))?,
        };
        let found = in_transaction(&connection, ask);
        match found {
            Err(failure) if failure.spoils_connection() => {
                error!(error = &failure as &dyn std::error::Error, "a read failed");
                Err(failure.into())
            }
            found => {
                self.connection = Some(connection);
                found.map_err(StoreError::from)
            }
        }
    }
}

fn in_transaction<T>(
    connection: &Connection,
    ask: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let found = ask(connection);
    // Nothing was written, so there is nothing to lose whichever way it ends.
    connection.prepare_cached("COMMIT")?.execute([])?;
    found
}
