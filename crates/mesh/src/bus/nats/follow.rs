//! Reading a stream from the place that the server remembers: a durable pull consumer, one event at a time.
//!
//! One at a time, because an event that fails must come again before any later one. The server hands out the next only after the last
//! one was acknowledged, also where several processes read for the same service.

use std::{error::Error, pin::pin, time::Duration};

use async_nats::jetstream::{
    self, AckKind,
    consumer::{
        AckPolicy, Consumer, DeliverPolicy,
        pull::{self, Config},
    },
};
use futures::StreamExt as _;
use metrics::{counter, gauge};
use tracing::{error, info, warn};

use super::NatsBus;
use crate::{outbox::Follower, tasks::Tasks};

/// How long the server waits for an acknowledgement before it hands an event out again, and how often it is asked for patience.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(2));
/// How many events are asked for at once, and for how long.
const ASKED: (usize, Duration) = (256, Duration::from_secs(30));
/// How long to wait after a failure: at first, and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

type Fault = Box<dyn Error + Send + Sync>;

impl NatsBus {
    /// Feeds a follower what `pattern` covers, from where `reader` stands on the server, until the tasks stop.
    pub(crate) fn follow(
        &self,
        tasks: &Tasks,
        reader: &'static str,
        pattern: &str,
        follower: impl Follower,
    ) {
        let reading = Reading {
            bus: self.clone(),
            reader,
            pattern: pattern.to_owned(),
            follower,
        };
        tasks.spawn("feed", reading.run(tasks.clone()));
    }
}

struct Reading<F> {
    bus: NatsBus,
    reader: &'static str,
    pattern: String,
    follower: F,
}

impl<F: Follower> Reading<F> {
    async fn run(self, tasks: Tasks) {
        let mut failures = 0_u32;
        while !tasks.is_stopping() {
            let mut losses = self.bus.inner.line.losses();
            let mut moved = false;
            let Err(fault) = self.read(&tasks, &mut moved).await else {
                failures = 0;
                continue;
            };
            failures = if moved { 1 } else { failures.saturating_add(1) };
            let wait = wait_after(failures);
            counter!("guildhall_feed_failures_total", "reader" => self.reader).increment(1);
            warn!(reader = self.reader, error = %fault, ?wait, "the feed waits");
            tokio::select! {
                () = tasks.stopping() => {}
                // The server is back.
                Ok(()) = losses.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        info!(reader = self.reader, "feed stopped");
    }

    /// Reads until the tasks stop or the connection was another one for a while: the server may have forgotten who asked.
    async fn read(&self, tasks: &Tasks, moved: &mut bool) -> Result<(), Fault> {
        let mut losses = self.bus.inner.line.losses();
        let consumer = self.consumer().await?;
        loop {
            let asked = consumer.batch().max_messages(ASKED.0).expires(ASKED.1);
            let mut events = asked.messages().await?;
            loop {
                let event = tokio::select! {
                    biased;
                    () = tasks.stopping() => return Ok(()),
                    Ok(()) = losses.changed() => return Ok(()),
                    event = events.next() => event,
                };
                let Some(event) = event else { break };
                self.take(event?).await?;
                *moved = true;
            }
        }
    }

    /// The reader's place on the server, made with its first look.
    async fn consumer(&self) -> Result<Consumer<Config>, Fault> {
        let inner = &self.bus.inner;
        inner.is_open()?;
        let stream = inner.streams.of(&self.pattern);
        let stream = stream.ok_or_else(|| format!("no stream keeps {}", self.pattern))?;
        let asked = pull::Config {
            durable_name: Some(self.reader.to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: PATIENCE.0,
            max_deliver: -1,
            max_ack_pending: 1,
            filter_subject: inner.names.sent(&self.pattern),
            ..pull::Config::default()
        };
        let kept = inner.jetstream.get_stream_no_info(stream.name()).await?;
        let consumer = kept
            .get_or_create_consumer(self.reader, asked.clone())
            .await?;

        let told = &consumer.cached_info().config;
        let same = told.filter_subject == asked.filter_subject
            && told.ack_policy == asked.ack_policy
            && told.max_ack_pending == asked.max_ack_pending
            && told.deliver_policy == asked.deliver_policy;
        if !same {
            let Self {
                reader, pattern, ..
            } = self;
            return Err(
                format!("consumer {reader} is there, but not for {pattern} one by one").into(),
            );
        }
        Ok(consumer)
    }

    /// Has the effect of one event. A failure leaves it on the server, which hands it out again.
    async fn take(&self, event: jetstream::Message) -> Result<(), Fault> {
        let Some(note) = self.bus.inner.names.read(&event) else {
            // Trying again would not mend it, and everything behind it would wait for ever.
            error!(subject = %event.subject, "not an event, and skipped");
            return event.ack_with(AckKind::Term).await;
        };
        let (delivered, waiting) = event
            .info()
            .map_or((1, 0), |info| (info.delivered, info.pending));
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        gauge!("guildhall_feed_waiting", "reader" => self.reader).set(waiting);

        let mut effect = pin!(self.follower.take(note));
        let taken = loop {
            tokio::select! {
                taken = &mut effect => break taken,
                () = tokio::time::sleep(PATIENCE.1) => {
                    // Best effort: where it does not arrive the event comes twice.
                    let _unheard = event.ack_with(AckKind::Progress).await;
                }
            }
        };
        match taken {
            Ok(()) => event.double_ack().await,
            Err(fault) => {
                let wait = wait_after(u32::try_from(delivered).unwrap_or(u32::MAX));
                counter!("guildhall_feed_failures_total", "reader" => self.reader).increment(1);
                error!(reader = self.reader, error = %fault, ?wait, "an event comes again");
                event.ack_with(AckKind::Nak(Some(wait))).await
            }
        }
    }
}

fn wait_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    (WAIT.0 * 2_u32.pow(doublings)).min(WAIT.1)
}
