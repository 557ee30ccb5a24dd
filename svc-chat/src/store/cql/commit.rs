//! Making what a group of people wants of one channel: learn the head, look for the keys, judge, then set the head on the condition
//! that it is still the same. If that goes through, nobody changed the channel in between.
//!
//! A batch has a name, which its changes carry. So when nobody knows what became of it (a timeout, a lost connection), the change
//! after the old head tells: it is ours, or another one's, or there is none yet and the same batch is tried again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::future::try_join_all;
use guildhall_kernel::{ChannelId, Time, UserId};
use tokio::sync::oneshot;
use tracing::warn;

use super::{
    Core,
    attempt::{Attempt, State},
    database::{Asked, Database},
    failure::Failure,
    keys::Keys,
    measure::watch_crowd,
    plan::{Answer, Facts, MOST, Plan, Wish},
    row::Tip,
    shard,
};
use crate::{
    model::{MessageId, Seq},
    store::{StoreError, timeline::Appended},
};

/// How long a group is tried for.
const DEADLINE: Duration = Duration::from_secs(8);
/// How long to wait before the next try after a failure.
const PAUSE: Duration = Duration::from_millis(100);
/// How often read marks are tried.
const MARK_TRIES: u32 = 3;

/// Somebody who waits.
pub(super) struct Ask {
    pub(super) wish: Wish,
    pub(super) reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// What is kept of a channel between groups.
#[derive(Default)]
pub(super) struct Known {
    tip: Option<Tip>,
    pub(super) keys: Keys,
}

impl Core {
    /// Answers everybody in the group. Where the servers did not do it in time, says why.
    pub(super) async fn make(
        self: &Arc<Self>,
        channel: ChannelId,
        mut asks: VecDeque<Ask>,
        known: &mut Known,
    ) -> Result<(), Failure> {
        self.work_off(channel, &mut asks, known, None).await
    }

    /// Answers everybody, beginning with a batch that is under way, where there is one.
    pub(super) async fn work_off(
        self: &Arc<Self>,
        channel: ChannelId,
        asks: &mut VecDeque<Ask>,
        known: &mut Known,
        mut attempt: Option<Attempt>,
    ) -> Result<(), Failure> {
        let until = self.clock.uptime() + DEADLINE;
        while !asks.is_empty() {
            let step = self.step(channel, asks, known, &mut attempt).await;
            let late = self.clock.uptime() >= until;
            match step {
                Ok(()) if !late => {}
                Ok(()) => give_up(asks, attempt.take(), &Failure::Contended),
                Err(failure) => {
                    known.tip = None;
                    if late || !failure.passes() {
                        warn!(%channel, error = %failure, "a change could not be made");
                        give_up(asks, attempt.take(), &failure);
                        return Err(failure);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    async fn step(
        self: &Arc<Self>,
        channel: ChannelId,
        asks: &mut VecDeque<Ask>,
        known: &mut Known,
        attempt: &mut Option<Attempt>,
    ) -> Asked<()> {
        if attempt.is_none() {
            *attempt = self.prepare(channel, asks, known).await?;
        }
        let Some(now) = attempt.as_mut() else {
            return Ok(());
        };
        if now.state == State::InDoubt {
            let is_there = self.look_for(channel, now).await?;
            if is_there == Some(false) {
                *attempt = None;
                known.tip = None;
                return Ok(());
            }
            if is_there == Some(true) {
                now.state = State::Made;
                known.tip = None;
            }
        }
        if now.state != State::Made {
            let in_doubt = now.state == State::InDoubt;
            match self.send(channel, now).await {
                Ok(true) => {
                    now.state = State::Made;
                    let after = now.after();
                    watch_crowd(channel, &now.from, &after);
                    known.tip = Some(after);
                }
                // The condition was not met: by our own first try, or by another's batch.
                Ok(false) if in_doubt => return Ok(()),
                Ok(false) => {
                    metrics::counter!("guildhall_chat_timeline_races_total").increment(1);
                    *attempt = None;
                    known.tip = None;
                    return Ok(());
                }
                Err(failure) => {
                    if !failure.is_certain() {
                        now.state = State::InDoubt;
                    }
                    return Err(failure);
                }
            }
        }
        if now.plan.is_far {
            known.tip = self.reach_back(channel, now, known.tip.take()).await?;
        }
        if let Some(Attempt { plan, .. }) = attempt.take() {
            self.finish(channel, plan, asks, known).await;
        }
        Ok(())
    }

    /// Learns, looks and judges. `None`: nothing to write for now.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        channel: ChannelId,
        asks: &mut VecDeque<Ask>,
        known: &mut Known,
    ) -> Asked<Option<Attempt>> {
        let tip = match known.tip {
            Some(tip) => tip,
            None => self.learn(channel, &mut known.keys).await?,
        };
        known.tip = Some(tip);
        let facts = self.facts(channel, &tip, &known.keys, asks).await?;
        if facts.newest() > tip.head.rev {
            // Somebody else writes here: what we know is old.
            known.tip = None;
            return Ok(None);
        }
        let plan = Plan::of(channel, &tip, asks.iter().map(|ask| &ask.wish), &facts);
        if plan.changes.is_empty() {
            self.finish(channel, plan, asks, known).await;
            return Ok(None);
        }
        let is_closed = tip.is_closed && (plan.posts() || !self.faults.ignores_closed());
        if is_closed || !tip.is_open {
            known.tip = self.open_next(channel, &tip).await?;
            if let Some(next) = known.tip {
                known.keys.forget_below(next.bucket.saturating_sub(1));
            }
            return Ok(None);
        }
        self.mark_dirty(channel).await?;
        Ok(Some(Attempt {
            name: self.ids.uuid(),
            from: tip,
            plan,
            state: State::Open,
        }))
    }

    /// Reads what the group speaks of: the messages to be changed, and those that may have been posted under its keys.
    async fn facts(
        &self,
        channel: ChannelId,
        tip: &Tip,
        keys: &Keys,
        asks: &VecDeque<Ask>,
    ) -> Asked<Facts> {
        let (mut seqs, mut wanted) = (BTreeSet::new(), Vec::new());
        for ask in asks.iter().take(MOST) {
            match &ask.wish {
                Wish::Append(draft) => {
                    let number = shard::of_key(draft.author, draft.key.as_str());
                    seqs.extend(keys.find(number));
                    wanted.push((draft.author, draft.key.clone()));
                }
                Wish::Edit { seq, .. } | Wish::Delete { seq, .. } => {
                    seqs.insert(*seq);
                }
            }
        }
        // The keys of the last two buckets are in memory.
        if tip.bucket >= 2 {
            let old = wanted
                .iter()
                .map(|(author, key)| self.database.old_key(channel, *author, key.as_str()));
            seqs.extend(try_join_all(old).await?.into_iter().flatten());
        }
        let reads = seqs
            .into_iter()
            .map(|seq| self.database.message(MessageId { channel, seq }));
        let mut facts = Facts::default();
        for message in try_join_all(reads).await?.into_iter().flatten() {
            let key = (message.author, message.key.clone());
            if wanted.contains(&key) {
                facts.firsts.insert(key, message.id.seq);
            }
            facts.messages.insert(message.id.seq, message);
        }
        Ok(facts)
    }

    /// Sends the batch; whether it went through.
    pub(super) async fn send(&self, channel: ChannelId, attempt: &Attempt) -> Asked<bool> {
        let (batch, rows) = attempt.batch(channel, &self.database);
        let answer = self.database.session.batch(&batch, rows).await?;
        Database::was_applied(answer)
    }

    /// Whether a batch of unknown outcome was made: `None` where it was not, but still may be.
    async fn look_for(&self, channel: ChannelId, attempt: &Attempt) -> Asked<Option<bool>> {
        let from = &attempt.from;
        let now = self.database.latest_head(channel, from.bucket).await?;
        let now = now.ok_or(Failure::Damaged("a bucket that was opened is not there"))?;
        if now.head == from.head {
            return Ok(None);
        }
        let Some(next) = from.head.rev.next() else {
            return Ok(Some(false));
        };
        let there = self.database.batch_of(channel, from.bucket, next).await?;
        Ok(Some(there == Some(attempt.name)))
    }

    /// Brings the changes of a batch to the messages of earlier buckets. Returns the end, where nobody else moved it meanwhile.
    async fn reach_back(
        &self,
        channel: ChannelId,
        attempt: &Attempt,
        tip: Option<Tip>,
    ) -> Asked<Option<Tip>> {
        let Some(tip) = tip else {
            self.learn_end(channel).await?;
            return Ok(None);
        };
        if self.faults.shows_pending() {
            return Ok(Some(Tip {
                applied: tip.head.rev,
                ..tip
            }));
        }
        let tip = self
            .apply(channel, tip, attempt.plan.messages.values())
            .await?;
        let is_ours = tip.head == attempt.plan.head && tip.applied == tip.head.rev;
        Ok(is_ours.then_some(tip))
    }

    /// Tells, writes the marks of those who posted, and then answers the first of the group.
    async fn finish(
        self: &Arc<Self>,
        channel: ChannelId,
        plan: Plan,
        asks: &mut VecDeque<Ask>,
        known: &mut Known,
    ) {
        let mut marks: BTreeMap<UserId, (Seq, Time)> = BTreeMap::new();
        let mut replies = Vec::with_capacity(plan.answers.len());
        let answered: Vec<_> = asks.drain(..plan.answers.len()).collect();
        for (answer, ask) in plan.answers.into_iter().zip(answered) {
            if let Answer::Appended(Appended::New(message) | Appended::Repeat(message)) = &answer {
                // A repeat writes the mark again: whoever posted first may have died before.
                let mark = marks
                    .entry(message.author)
                    .or_insert((Seq(0), message.posted_at));
                if message.id.seq > mark.0 {
                    *mark = (message.id.seq, message.posted_at);
                }
            }
            if let Answer::Appended(Appended::New(message)) = &answer {
                known.keys.add(
                    shard::of_key(message.author, message.key.as_str()),
                    message.id.seq,
                );
                known.keys.reach(message.id.seq);
            }
            replies.push((ask.reply, answer));
        }
        self.tell(channel, plan.changes).await;

        let core = self.clone();
        self.tasks.spawn("chat answer", async move {
            let made = core.settle(channel, &marks).await;
            for (reply, answer) in replies {
                let answer = match &made {
                    Ok(()) if answer == Answer::Full => Err(StoreError::Full),
                    Ok(()) => Ok(answer),
                    Err(failure) => Err(failure.clone().in_doubt()),
                };
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
        });
    }

    /// What belongs to a batch and stands elsewhere.
    async fn settle(&self, channel: ChannelId, marks: &BTreeMap<UserId, (Seq, Time)>) -> Asked<()> {
        self.mark_dirty(channel).await?;
        let mut tries = 1;
        loop {
            match self.database.put_marks(channel, marks).await {
                Err(failure) if tries < MARK_TRIES && failure.passes() => tries += 1,
                done => return done,
            }
        }
    }
}

/// Tells everybody that it did not work; those whose batch is in doubt that nobody knows.
fn give_up(asks: &mut VecDeque<Ask>, attempt: Option<Attempt>, failure: &Failure) {
    let doubted = attempt
        .filter(|attempt| attempt.state != State::Open)
        .map_or(0, |attempt| attempt.plan.answers.len());
    for (number, ask) in asks.drain(..).enumerate() {
        let failure = failure.clone();
        let error = if number < doubted {
            failure.in_doubt()
        } else {
            failure.into()
        };
        let _ = ask.reply.send(Err(error));
    }
}
