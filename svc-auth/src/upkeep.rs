//! What happens by itself: keys turn, sessions end when their time has come, and what is long over is forgotten.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::Time;
use guildhall_mesh::Tasks;
use guildhall_store::outbox;
use tracing::{debug, error};

use crate::{
    AuthError,
    keys::KeyRing,
    sessions::Sessions,
    store::{Store, Write, change, session},
};

/// How often keys are looked at.
const KEYS_EVERY: Duration = Duration::from_secs(60);
/// How often sessions are: no stream outlives its session by more.
const SESSIONS_EVERY: Duration = Duration::from_secs(1);
/// How often old rows are.
const ROWS_EVERY: Duration = Duration::from_hours(1);
/// How long changes of rights are kept for who was away.
const CHANGES_KEPT: Duration = Duration::from_hours(7 * 24);
/// How long ended sessions are kept, so that repeating their end is still answered.
const SESSIONS_KEPT: Duration = Duration::from_hours(30 * 24);

/// Keeps the house until the tasks stop.
pub(crate) fn keep(tasks: &Tasks, store: Store, keys: Arc<KeyRing>, sessions: Arc<Sessions>) {
    let clock = sessions.clock.clone();
    let own = tasks.clone();
    tasks.spawn("keys", async move {
        while rested(&own, KEYS_EVERY).await {
            if let Err(error) = keys.turn().await {
                error!(%error, "signing keys could not be looked at");
            }
        }
    });
    let own = tasks.clone();
    tasks.spawn("sessions", async move {
        while rested(&own, SESSIONS_EVERY).await {
            match sessions.end_overdue().await {
                Ok(0) => {}
                Ok(ended) => debug!(ended, "the time of sessions had come"),
                Err(error) => error!(%error, "sessions could not be ended"),
            }
        }
    });
    let own = tasks.clone();
    tasks.spawn("upkeep", async move {
        while rested(&own, ROWS_EVERY).await {
            match forget(&store, clock.now()).await {
                Ok(rows) => debug!(rows, "forgot what is long over"),
                Err(error) => error!(%error, "old rows could not be forgotten"),
            }
        }
    });
}

/// Forgets told events, old changes of rights and sessions that ended long ago. Returns how many rows.
pub(crate) async fn forget(store: &Store, now: Time) -> Result<u64, AuthError> {
    let events = outbox::prune(store.entities(), now).await?;
    let rows = store.write(async |write: &Write| {
        let changes = change::prune(write, now.minus(CHANGES_KEPT)).await?;
        let sessions = session::prune(write, now.minus(SESSIONS_KEPT)).await?;
        Ok(changes + sessions)
    });
    Ok(events + rows.await?)
}

/// Waits; whether it goes on after that.
async fn rested(tasks: &Tasks, time: Duration) -> bool {
    tokio::select! {
        () = tasks.stopping() => false,
        () = tokio::time::sleep(time) => true,
    }
}
