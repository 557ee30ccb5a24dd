//! The tries of one call. What failed is asked of another process where that can have no second effect and the budget allows it.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::Kind;
use http::Response;
use metrics::counter;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Status, body::Body};

use super::{
    AGAIN, Shared,
    addresses::Set,
    asked::Asked,
    choice::{Tried, choose, has_other},
    endpoint::{Endpoint, Failure},
    now,
};
use crate::{Reason, guard::late, status::refusal};

/// How often a call is sent at most.
const ATTEMPTS: usize = 3;
/// The wait before the second attempt; it doubles, and is spread by half.
const BACKOFF: Duration = Duration::from_millis(10);
/// How long a call waits for somebody who can be reached, and how often it looks: a process that is started again is back soon.
const NOBODY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(50));
/// The least and the longest that an attempt may take while there is somebody else to ask.
const SHARE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

impl Shared {
    /// Asks until somebody answers, or until asking again makes no sense.
    pub(super) async fn attempts(&self, mut asked: Asked) -> Result<Response<Body>, Status> {
        self.budget.earn();
        let mut tried = Tried::default();
        let mut last = Failure::Unsent;
        let mut is_known = true;
        let began = now();
        loop {
            let set = self.set().await?;
            let chosen = choose(&set, asked.channel.as_deref(), &mut tried, &self.dice);
            let Some(endpoint) = chosen else {
                if is_known && may_wait(&asked, &last, began) {
                    self.wait().await;
                    tried = Tried::default();
                    continue;
                }
                return self.give_up(last, is_known);
            };
            last = match self.attempt(&mut asked, &endpoint, &set, &tried).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            is_known &= !matches!(last, Failure::Broken | Failure::Slow);
            if tried.endpoints.len() >= ATTEMPTS || !self.may_repeat(&asked, &last) {
                if is_known && may_wait(&asked, &last, began) {
                    self.wait().await;
                    tried = Tried::default();
                    continue;
                }
                return self.give_up(last, is_known);
            }
            counter!("guildhall_link_retries_total", "from" => self.from, "to" => self.to)
                .increment(1);
            self.back_off(tried.endpoints.len()).await;
        }
    }

    /// Asks one endpoint. While there is somebody else to ask, it gets only a share of the time: it may be frozen.
    async fn attempt(
        &self,
        asked: &mut Asked,
        endpoint: &Arc<Endpoint>,
        set: &Set,
        tried: &Tried,
    ) -> Result<Response<Body>, Failure> {
        let Some(request) = asked.request() else {
            return Err(Failure::Unsent);
        };
        let began = now();
        let left = asked.deadline.saturating_duration_since(began);
        let share = (left / 2).clamp(SHARE.0, SHARE.1);
        let can_move_on = asked.retry_safe && tried.endpoints.len() < ATTEMPTS;
        let until = if can_move_on {
            asked.deadline.min(began + share)
        } else {
            asked.deadline
        };
        let mut answer = Box::pin(endpoint.ask(request, asked.answers_once, until));
        if can_move_on {
            if let Ok(answered) = timeout(share, answer.as_mut()).await {
                return answered;
            }
            if has_other(set, tried) && self.pay() {
                return Err(Failure::Slow);
            }
        }
        answer.await
    }

    /// A little time, for somebody to come back.
    async fn wait(&self) {
        sleep(NOBODY.1.mul_f64(0.5 + self.dice.part())).await;
    }

    fn may_repeat(&self, asked: &Asked, failure: &Failure) -> bool {
        match failure {
            // Nobody has seen it: that is no repeat.
            Failure::Unsent => asked.is_whole(),
            // Paid for when it was given up.
            Failure::Slow => true,
            Failure::Broken | Failure::Unavailable(_, true) => asked.retry_safe && self.pay(),
            Failure::Unavailable(_, false) | Failure::Final(_) => false,
        }
    }

    fn pay(&self) -> bool {
        let paid = self.budget.pay(self.clock.uptime());
        if !paid {
            counter!("guildhall_link_budget_exhausted_total", "from" => self.from, "to" => self.to)
                .increment(1);
        }
        paid
    }

    async fn back_off(&self, attempts: usize) {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0);
        let wait = BACKOFF.saturating_mul(2_u32.saturating_pow(doublings));
        sleep(wait.mul_f64(0.5 + self.dice.part())).await;
    }

    /// What the caller hears where no attempt went well. Answers of the service are passed on as they are. `is_known`: no attempt can
    /// have had an effect.
    fn give_up(&self, failure: Failure, is_known: bool) -> Result<Response<Body>, Status> {
        match failure {
            Failure::Unavailable(answer, _) => Ok(*answer),
            Failure::Final(status) => Err(*status),
            Failure::Unsent if is_known => Err(self.nobody()),
            Failure::Slow => Err(late()),
            Failure::Unsent | Failure::Broken => {
                let detail = format!(
                    "the connection to {} broke; the outcome of the call is unknown",
                    self.to
                );
                let reason = Reason::OutcomeUnknown;
                Err(refusal(
                    Kind::Unavailable,
                    reason,
                    &detail,
                    &[],
                    Some(AGAIN),
                ))
            }
        }
    }
}

/// Whether a call that has reached nobody yet may look once more.
fn may_wait(asked: &Asked, last: &Failure, began: Instant) -> bool {
    let now = now();
    let left = asked.deadline.saturating_duration_since(now);
    let is_over = now.saturating_duration_since(began) >= NOBODY.0 || left <= NOBODY.0;
    !is_over && asked.is_whole() && matches!(last, Failure::Unsent)
}
