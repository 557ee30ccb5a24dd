//! Asks every process of a hall, all the time, whether it lives and whether to send it work.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::task::JoinHandle;

use super::node::{Node, Probe, Said};

const EVERY: Duration = Duration::from_millis(250);

/// What the processes said so far.
pub(crate) struct Watch {
    log: Arc<Mutex<Vec<Look>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// One answer.
#[derive(Debug, Clone)]
struct Look {
    at: Instant,
    name: String,
    alive: Said,
    ready: Said,
}

impl Watch {
    /// Begins to ask.
    pub(super) fn over(nodes: &[Node]) -> Self {
        let log = Arc::<Mutex<Vec<Look>>>::default();
        let tasks = nodes
            .iter()
            .map(|node| tokio::spawn(ask(node.probe(), log.clone())));
        Self {
            tasks: tasks.collect(),
            log,
        }
    }

    /// What is wrong with what was said since then: a process that was there and did not say that it lives.
    pub(crate) fn not_alive(&self, since: Instant) -> Vec<String> {
        let looks = self
            .since(since)
            .into_iter()
            .filter(|look| !look.alive.good);
        looks
            .map(|look| {
                format!(
                    "{} did not say that it lives: {}",
                    look.name, look.alive.text
                )
            })
            .collect()
    }

    /// Whether that process said since then that it is not ready, and why.
    pub(crate) fn refusal(&self, name: &str, since: Instant) -> Option<String> {
        let mut looks = self.since(since).into_iter();
        let look = looks.find(|look| look.name == name && !look.ready.good)?;
        Some(format!(
            "after {:.1} s: {}",
            (look.at - since).as_secs_f32(),
            why(&look.ready.text)
        ))
    }

    /// Ends the questions.
    pub(crate) fn end(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    fn since(&self, since: Instant) -> Vec<Look> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter()
            .filter(|look| look.at >= since)
            .cloned()
            .collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

async fn ask(probe: Probe, log: Arc<Mutex<Vec<Look>>>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(awake) = probe.awake() else {
            continue;
        };
        let (at, alive, ready) = (Instant::now(), probe.healthz().await, probe.readyz().await);
        // What was asked of a process that is being started or ended counts for nothing.
        if probe.awake() == Some(awake) {
            let look = Look {
                at,
                name: probe.name.clone(),
                alive,
                ready,
            };
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(look);
        }
    }
}

/// What the parts say that are not ready.
pub(super) fn why(report: &str) -> String {
    let Ok(report) = serde_json::from_str::<Value>(report) else {
        return report.trim().to_owned();
    };
    let checks = report["checks"].as_array().into_iter().flatten();
    let checks = checks.filter(|check| check["ready"] != true);
    let told = checks.map(|check| {
        let text = |name: &str| check[name].as_str().unwrap_or_default();
        format!("{}: {}", text("name"), text("detail"))
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() {
        format!("stage {}", report["stage"])
    } else {
        told.join(", ")
    }
}
