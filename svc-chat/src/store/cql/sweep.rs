//! What was committed and not told, because a process died in between: found by the minutes in which channels changed.
//!
//! `dirty` is written before a batch, and again before its answer where the minute changed meanwhile, so no commit is without one.
//! Two processes may tell the same change; listeners drop repeats by its id.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use guildhall_kernel::ChannelId;
use tracing::warn;

use super::{
    Core,
    database::Asked,
    shard::{self, SHARDS},
};
use crate::model::Rev;

/// How often is looked at the last minutes.
const EVERY: Duration = Duration::from_secs(2);
/// After how many looks all minutes are looked at that are not done with.
const ALL_EVERY: u32 = 15;
/// How far clocks may differ, in minutes.
const AHEAD: i32 = 2;
/// How old a minute must be to be done with.
pub(super) const SETTLED: i32 = 10;
/// How long `dirty` is kept, in minutes.
const KEPT: i32 = 7 * 24 * 60;
/// How many minutes are looked at in one go after a long rest.
const AT_A_TIME: i32 = 1_440;
/// How many questions are under way at once.
const AT_ONCE: usize = 16;
/// How many channels of the last minute are remembered.
const REMEMBERED: usize = 50_000;

/// Which channels were said to be dirty, and in which minute.
#[derive(Default)]
pub(super) struct Dirty(Mutex<HashMap<ChannelId, i32>>);

impl Dirty {
    fn has(&self, channel: ChannelId, minute: i32) -> bool {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.get(&channel) == Some(&minute)
    }

    fn add(&self, channel: ChannelId, minute: i32) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= REMEMBERED {
            said.clear();
        }
        said.insert(channel, minute);
    }
}

impl Core {
    /// Says that a channel changes, once a minute.
    pub(super) async fn mark_dirty(&self, channel: ChannelId) -> Asked<()> {
        let minute = shard::minute_of(self.clock.now());
        if !self.dirty.has(channel, minute) {
            self.database.put_dirty(channel, minute).await?;
            self.dirty.add(channel, minute);
        }
        Ok(())
    }
}

/// Looks for what was not told until the tasks stop.
pub(super) async fn sweep(core: Arc<Core>) {
    let mut behind: HashMap<ChannelId, Rev> = HashMap::new();
    let mut look: u32 = 0;
    while !core.tasks.is_stopping() {
        match sweep_once(&core, look.is_multiple_of(ALL_EVERY), &behind).await {
            Ok(still) => {
                look = look.wrapping_add(1);
                metrics::gauge!("guildhall_chat_channels_behind")
                    .set(u32::try_from(still.len()).unwrap_or(u32::MAX));
                behind = still;
            }
            Err(failure) => {
                // All minutes again, as soon as it works.
                look = 0;
                warn!(error = %failure, "what was not told cannot be looked for");
            }
        }
        tokio::select! {
            () = core.tasks.stopping() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Tells what was behind already at the last look: whoever committed has had time to tell. Returns what is behind now.
async fn sweep_once(
    core: &Arc<Core>,
    all: bool,
    before: &HashMap<ChannelId, Rev>,
) -> Asked<HashMap<ChannelId, Rev>> {
    let now = shard::minute_of(core.clock.now());
    let mut behind = HashMap::new();
    for shard in 0..SHARDS {
        let swept = core
            .database
            .swept(shard)
            .await?
            .unwrap_or(now - KEPT)
            .max(now - KEPT);
        let first = if all {
            swept + 1
        } else {
            (swept + 1).max(now - AHEAD)
        };
        let last = (now + AHEAD).min(first + AT_A_TIME);
        let minutes: Vec<_> = stream::iter(first..=last)
            .map(async |minute| {
                let channels = core.database.dirty(shard, minute).await?;
                Ok::<_, super::failure::Failure>((minute, channels))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;

        let channels: BTreeSet<_> = minutes.iter().flat_map(|(_, some)| some).copied().collect();
        let found: Vec<_> = stream::iter(channels)
            .map(|channel| look_at(core, channel, before.get(&channel).copied()))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let found: HashMap<_, _> = found.into_iter().flatten().collect();
        if all {
            let is_told = |(_, channels): &&(i32, Vec<ChannelId>)| {
                channels.iter().all(|channel| !found.contains_key(channel))
            };
            let told = minutes
                .iter()
                .take_while(is_told)
                .map(|(minute, _)| *minute);
            if let Some(done) = told.last().map(|minute| minute.min(now - SETTLED))
                && done > swept
            {
                core.database.put_swept(shard, done).await?;
            }
        }
        behind.extend(found);
    }
    Ok(behind)
}

/// Up to where a channel has come, where not all of that is told.
async fn look_at(
    core: &Arc<Core>,
    channel: ChannelId,
    before: Option<Rev>,
) -> Asked<Option<(ChannelId, Rev)>> {
    let told = core.database.told(channel).await?;
    let mut tip = core.newest(channel).await?;
    if told >= tip.head.rev {
        return Ok(None);
    }
    if before.is_some_and(|before| told < before) {
        if tip.applied < tip.head.rev {
            tip = core.learn_end(channel).await?;
        }
        metrics::counter!("guildhall_chat_told_late_total").increment(1);
        core.catch_up(channel, told, tip.applied).await;
    }
    Ok(Some((channel, tip.head.rev)))
}
