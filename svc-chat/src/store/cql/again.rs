//! When the bus has forgotten what it was told: the changes of the last hours are told once more, from their rows.
//!
//! Every process does so, for no one knows of the others; the bus drops repeats by their ids. Whoever listens live reads the record
//! where it misses something; this is for those who follow what the bus keeps.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use guildhall_kernel::{ChannelId, Time};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    Core,
    database::Asked,
    row::{Change, What},
    shard::{self, SHARDS},
};
use crate::model::Rev;

/// How far back changes are told once more. Followers that are further behind than that are so for another reason.
const BACK: Duration = Duration::from_hours(6);
/// In how many of the channels that changed last is looked whether the bus has their last change.
const SAMPLES: usize = 8;
/// How many changes are read at once.
const READ: u32 = 200;
/// How many channels are looked at, and how many minutes, at once.
const AT_ONCE: usize = 16;
/// How often is looked whether a channel is told.
const LOOK: Duration = Duration::from_millis(10);
/// How long to wait after a failure.
const WAIT: Duration = Duration::from_secs(5);

/// Watches the bus until the tasks stop.
pub(super) async fn watch(core: Arc<Core>) {
    let Some(teller) = &core.teller else {
        return;
    };
    let mut forgot = teller.bus.forgot();
    // Whether there is something to tell again. Not known at first: the bus may have forgotten before this process began.
    let mut owed = None;
    while !core.tasks.is_stopping() {
        match mend(&core, &mut owed).await {
            Ok(()) => {
                tokio::select! {
                    () = core.tasks.stopping() => {}
                    () = changed(&mut forgot) => owed = Some(true),
                }
            }
            Err(cause) => {
                warn!(%cause, "what the bus forgot cannot be told again yet");
                tokio::select! {
                    () = core.tasks.stopping() => {}
                    () = tokio::time::sleep(WAIT) => {}
                }
            }
        }
    }
}

async fn mend(core: &Arc<Core>, owed: &mut Option<bool>) -> Result<(), Cause> {
    let lacks = match *owed {
        None => lacks_the_last(core).await?,
        Some(owed) => owed,
    };
    *owed = Some(lacks);
    if lacks {
        tell_all(core).await?;
        *owed = Some(false);
    }
    Ok(())
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Resolves when the bus was found to have forgotten; never for a bus that cannot.
async fn changed(forgot: &mut watch::Receiver<u64>) {
    if forgot.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether the bus lacks the last change told of a channel that changed a short while ago.
async fn lacks_the_last(core: &Arc<Core>) -> Result<bool, Cause> {
    let Some(teller) = &core.teller else {
        return Ok(false);
    };
    for channel in dirty_since(core, Duration::from_hours(1))
        .await?
        .into_iter()
        .take(SAMPLES)
    {
        let told = core.database.told(channel).await?;
        let before = Rev(told.0.saturating_sub(1));
        for change in core.changes_of(channel, before, told).await? {
            if !teller.bus.remembers(&core.note(&change)).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

async fn tell_all(core: &Arc<Core>) -> Result<(), Cause> {
    let channels = dirty_since(core, BACK).await?;
    info!(
        channels = channels.len(),
        "the bus forgot changes; they are told again"
    );
    let since = core.clock.now().minus(BACK);
    stream::iter(channels)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, async |channel| {
            let through = core.database.told(channel).await?;
            let after = rev_before(core, channel, through, since).await?;
            if after < through {
                core.tell_again(channel, after, through).await;
            }
            // One after the other, so that not all channels are read at once.
            while core.tells_again(channel) && !core.tasks.is_stopping() {
                tokio::time::sleep(LOOK).await;
            }
            Ok::<_, Cause>(())
        })
        .await
}

/// The channels that changed in the last time.
async fn dirty_since(core: &Arc<Core>, back: Duration) -> Asked<BTreeSet<ChannelId>> {
    let now = core.clock.now();
    let minutes = shard::minute_of(now.minus(back))..=shard::minute_of(now);
    let places = minutes.flat_map(|minute| (0..SHARDS).map(move |shard| (shard, minute)));
    let found: Vec<_> = stream::iter(places)
        .map(|(shard, minute)| core.database.dirty(shard, minute))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// The rev above which all changes made since an instant stand, roughly: clocks step, so a few older ones may be above it.
async fn rev_before(core: &Arc<Core>, channel: ChannelId, through: Rev, since: Time) -> Asked<Rev> {
    let mut after = through;
    while after > Rev(0) {
        let next = Rev(after.0.saturating_sub(READ));
        let changes = core.changes_of(channel, next, after).await?;
        // Older than that, or the rows are gone.
        if !changes.iter().any(|change| made_at(change) >= since) {
            break;
        }
        after = next;
    }
    Ok(after)
}

fn made_at(Change { what, message }: &Change) -> Time {
    let changed = match what {
        What::Posted => None,
        What::Edited => message.edited_at,
        What::Deleted => message.deleted_at,
    };
    changed.unwrap_or(message.posted_at)
}
