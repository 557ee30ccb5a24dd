//! Threads of the engine that a test holds.

use std::sync::{Arc, mpsc};

use guildhall_mesh::Tasks;

use crate::store::{
    StoreError,
    sqlite::{SqliteTimeline, ledger::Ledger},
};

/// Threads that stand still until they are let go.
pub(super) struct Held {
    gates: Vec<mpsc::SyncSender<()>>,
    ends: Vec<tokio::task::JoinHandle<Option<Result<(), StoreError>>>>,
}

impl Held {
    pub(super) async fn writer(timeline: &Arc<SqliteTimeline>) -> Self {
        let (gate, gate_end) = mpsc::sync_channel::<()>(0);
        let (there, arrived) = mpsc::sync_channel::<()>(1);
        let timeline = timeline.clone();
        let end = Tasks::new().spawn("held", async move {
            let stand = move |_: &mut Ledger| {
                let _ = there.try_send(());
                let _ = gate_end.recv();
                Ok(())
            };
            timeline.writer.make(0, stand).await
        });
        wait(arrived).await;
        Self {
            gates: vec![gate],
            ends: vec![end],
        }
    }

    pub(super) async fn readers(timeline: &Arc<SqliteTimeline>, count: usize) -> Self {
        let mut held = Self {
            gates: Vec::new(),
            ends: Vec::new(),
        };
        for _ in 0..count {
            let (gate, gate_end) = mpsc::sync_channel::<()>(0);
            let (there, arrived) = mpsc::sync_channel::<()>(1);
            let timeline = timeline.clone();
            held.ends.push(Tasks::new().spawn("held", async move {
                let stand = move |_: &rusqlite::Connection| {
                    let _ = there.send(());
                    let _ = gate_end.recv();
                    Ok(())
                };
                timeline.readers.ask(stand).await
            }));
            held.gates.push(gate);
            wait(arrived).await;
        }
        held
    }

    pub(super) async fn let_go(self) {
        drop(self.gates);
        for end in self.ends {
            end.await
                .expect("ends")
                .expect("is not cut off")
                .expect("answers");
        }
    }
}

async fn wait(arrived: mpsc::Receiver<()>) {
    let arrived = tokio::task::spawn_blocking(move || arrived.recv());
    arrived.await.expect("ends").expect("arrives");
}
