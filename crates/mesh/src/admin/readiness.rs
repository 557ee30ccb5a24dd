//! Whether to send a process work: every part says so for itself.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::sync::watch;

/// How long a check may take; one that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the parts of a process say of themselves. Clones share the same parts.
#[derive(Clone)]
pub struct Readiness {
    inner: Arc<Inner>,
}

struct Inner {
    // Written by the parts, read with every look; never held across an await.
    parts: Mutex<Vec<Named>>,
    stage: watch::Sender<Stage>,
}

struct Named {
    name: &'static str,
    state: State,
}

enum State {
    /// What the part said last: ready, or why not.
    Said(Result<(), String>),
    /// Asked with every look.
    Asked(Ask),
}

/// A question that is asked with every look.
pub type Check = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Ask = Arc<dyn Fn() -> Check + Send + Sync>;

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Parts are being built.
    Starting,
    /// All parts were built; each may still say that it is not ready.
    Started,
    /// It finishes what it has begun and takes on nothing new.
    Draining,
}

/// What a look found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether to send work.
    pub ready: bool,
    /// Where the process is in its life.
    pub stage: Stage,
    /// Each part, in the order of building.
    pub checks: Vec<Finding>,
}

/// What one part says.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The part.
    pub name: &'static str,
    /// Whether it can work.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Readiness {
    /// A process without parts, starting.
    pub fn new() -> Self {
        let inner = Inner {
            parts: Mutex::default(),
            stage: watch::Sender::new(Stage::Starting),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A part that says for itself when it is ready. Until then it is not.
    pub fn part(&self, name: &'static str) -> Part {
        let state = State::Said(Err("starting".into()));
        let mut parts = self.parts();
        parts.push(Named { name, state });
        Part {
            readiness: self.clone(),
            at: parts.len() - 1,
        }
    }

    /// A part that is asked with every look, for at most 2 s: `Err` says why it is not ready.
    pub fn check<F>(&self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let ask: Ask = Arc::new(move || Box::pin(ask()));
        let state = State::Asked(ask);
        self.parts().push(Named { name, state });
    }

    /// Says that all parts were built.
    pub fn started(&self) {
        self.inner.stage.send_replace(Stage::Started);
    }

    /// Says that the process finishes what it has begun and takes on nothing new.
    pub fn drain(&self) {
        self.inner.stage.send_replace(Stage::Draining);
    }

    /// Follows the stages of the process.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.inner.stage.subscribe()
    }

    /// Looks at every part.
    pub async fn report(&self) -> Report {
        let looked: Vec<_> = {
            let parts = self.parts();
            let state = |part: &Named| match &part.state {
                State::Said(said) => Look::Said(said.clone()),
                State::Asked(ask) => Look::Asked(ask()),
            };
            parts.iter().map(|part| (part.name, state(part))).collect()
        };
        let checks = futures::future::join_all(looked.into_iter().map(find)).await;
        let stage = *self.inner.stage.borrow();
        Report {
            ready: stage == Stage::Started && checks.iter().all(|check| check.ready),
            stage,
            checks,
        }
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Named>> {
        self.inner
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

enum Look {
    Said(Result<(), String>),
    Asked(Check),
}

async fn find((name, look): (&'static str, Look)) -> Finding {
    let found = match look {
        Look::Said(said) => said,
        Look::Asked(check) => tokio::time::timeout(PATIENCE, check)
            .await
            .unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs()))),
    };
    Finding {
        name,
        ready: found.is_ok(),
        detail: found.err(),
    }
}

/// One part of a process.
#[derive(Debug, Clone)]
pub struct Part {
    readiness: Readiness,
    at: usize,
}

impl Part {
    /// Says that it can work.
    pub fn ready(&self) {
        self.say(Ok(()));
    }

    /// Says that it cannot work, and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.say(Err(why.into()));
    }

    fn say(&self, said: Result<(), String>) {
        if let Some(part) = self.readiness.parts().get_mut(self.at) {
            part.state = State::Said(said);
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parts().iter().map(|part| part.name).collect();
        f.debug_struct("Readiness")
            .field("parts", &names)
            .field("stage", &*self.inner.stage.borrow())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_part_that_is_not_ready_or_does_not_answer_is_enough() {
        let readiness = Readiness::new();
        let store = readiness.part("store");
        readiness.check("link", std::future::pending::<Result<(), String>>);
        readiness.started();
        store.not_ready("disk full");

        let report = readiness.report().await;

        assert!(!report.ready);
        let details: Vec<_> = report
            .checks
            .iter()
            .map(|check| check.detail.as_deref())
            .collect();
        assert_eq!(details, [Some("disk full"), Some("no answer in 2 s")]);
    }
}
