//! What is done as time passes, for all streams by one task: beats and tokens, presence, the heads of open channels in turns.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::ChannelId;
use guildhall_mesh::Tasks;
use metrics::gauge;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use super::{
    desk::Desk,
    error::LiveError,
    hub::{Hub, locked},
    reader::Beat,
    tally::Tally,
    topic::Topic,
};

/// The grain of time.
const TICK: Duration = Duration::from_secs(1);
/// In so many ticks each open channel has had its turn.
const TURNS: u64 = 5;

impl Hub {
    /// Ticks until the process stops; then ends every stream.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0;
        loop {
            tokio::select! {
                () = self.tasks.stopping() => break,
                _ = ticks.tick() => {}
            }
            self.tick();
            self.take_turn(turn);
            turn = (turn + 1) % TURNS;
        }
        self.send_away();
    }

    fn tick(self: &Arc<Self>) {
        let uptime = self.clock.uptime();
        let now = self.clock.now();
        let beat = Beat {
            every: Duration::from_secs(self.settings.heartbeat_seconds.max(1)),
            warn: Duration::from_secs(self.settings.auth_warning_seconds),
            leave: Duration::from_secs(self.settings.write_seconds),
        };
        self.judge_freshness();
        let mut tally = Tally::default();
        let readers = self.everybody();
        let mut longest = 0;
        for reader in &readers {
            longest = longest.max(reader.look(Desk::waiting));
            if reader.tick(now, uptime, beat, &mut tally) {
                self.leave(reader);
            }
        }
        tally.count();
        let told = locked(&self.people).tick(uptime);
        for (user, state) in told {
            self.tell_presence(user, Some(state));
        }
        self.trails().tick(uptime);
        measure("guildhall_live_streams", readers.len());
        measure("guildhall_live_longest_queue_frames", longest);
    }

    /// Holds delivery back while auth has not answered for too long.
    fn judge_freshness(&self) {
        let fresh = self.access.is_fresh();
        if !self.set_open(fresh) {
            return;
        }
        if fresh {
            info!("rights are known again: the live feed goes on");
            self.anything_changed();
            for (_, topic) in self.open_topics() {
                topic.nudge();
            }
        } else {
            warn!("auth has not answered for too long: the live feed waits");
        }
    }

    /// Compares the heads of a part of the open channels with what was passed on, and closes those that nobody reads.
    fn take_turn(self: &Arc<Self>, turn: u64) {
        let mut topics = self.open_topics();
        measure("guildhall_live_topics", topics.len());
        topics.retain(|(channel, _)| u64::from(channel.bytes()[15]) % TURNS == turn);
        for (channel, _) in &topics {
            self.sweep(*channel);
        }
        topics.retain(|(_, topic)| topic.has_begun());
        if topics.is_empty() || !self.is_open() {
            return;
        }
        let hub = self.clone();
        let tasks: &Tasks = &self.tasks;
        tasks.spawn("live heads", async move { hub.compare_heads(topics).await });
    }

    async fn compare_heads(&self, topics: Vec<(ChannelId, Arc<Topic>)>) {
        let channels: Vec<_> = topics.iter().map(|(channel, _)| *channel).collect();
        let opened = match self.chat.heads(None, &[], &channels).await {
            Ok(opened) => opened,
            // The next turn comes.
            Err(error) => return debug!(%error, "heads cannot be compared"),
        };
        for (channel, topic) in topics {
            match opened.iter().find(|one| one.channel == channel) {
                Some(one) => topic.compare(&one.head),
                None => self.end_channel(channel),
            }
        }
    }

    /// Tells every reader to come back in a moment, not all in the same.
    fn send_away(&self) {
        let mut seed = [0; 8];
        self.ids.random(&mut seed);
        let mut state = u64::from_le_bytes(seed);
        for reader in self.everybody() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let spread = self.settings.restart_spread_ms.max(1);
            let wait = Duration::from_millis(500 + (state >> 33) % spread);
            reader.end(LiveError::Restarting, Some(wait));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of streams and frames are small"
)]
fn measure(name: &'static str, count: usize) {
    gauge!(name).set(count as f64);
}
