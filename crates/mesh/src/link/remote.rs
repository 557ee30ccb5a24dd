//! The way to a service in other processes.
//!
//! In reading order: this file takes a call and bounds its time; `asked` is what is sent, so that it can be sent again; `attempts` are
//! the tries of one call, within a `budget`; `choice` says whom to ask, of the `addresses` that the settings lead to; `endpoint` is one
//! of them, with the `vitals` by which it is judged, `health` above all.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use guildhall_kernel::{Clock, Kind};
use http::{Request, Response};
use tokio::{sync::watch, time::Instant};
use tonic::{Status, body::Body};
use tower::Service;

use super::{
    LinkSettings, RemoteParts,
    settings::{bad, targets},
};
use crate::{Reason, config::BadSettings, guard::late, rules::Rules, status::refusal};

mod addresses;
mod asked;
mod attempts;
mod budget;
mod choice;
mod dice;
mod endpoint;
mod health;
mod vitals;

use addresses::{Addresses, Lookup, Set};
use asked::Asked;
use budget::Budget;
use dice::Dice;
use endpoint::Way;

/// How long the first look-up of the addresses may keep a call waiting.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// When a caller may try again that nobody could be found for.
const AGAIN: Duration = Duration::from_secs(1);

/// A link to a service in other processes. Clones share its connections.
#[derive(Clone)]
pub(super) struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    from: &'static str,
    to: &'static str,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    dice: Arc<Dice>,
    budget: Budget,
    /// Whom to ask; `None` until the addresses were looked up for the first time.
    set: watch::Receiver<Option<Set>>,
}

impl Remote {
    pub(super) fn new(
        from: &'static str,
        to: &'static str,
        settings: &LinkSettings,
        parts: RemoteParts,
    ) -> Result<Self, BadSettings> {
        Self::by_lookup(from, to, settings, parts, addresses::system())
    }

    fn by_lookup(
        from: &'static str,
        to: &'static str,
        settings: &LinkSettings,
        parts: RemoteParts,
        lookup: Lookup,
    ) -> Result<Self, BadSettings> {
        parts.identity.must_name(from)?;
        let target = settings.target(to).ok_or_else(|| {
            let wrong = format!(
                "is needed: {from} calls {to}, which is not in this process; say where it is"
            );
            bad(to, wrong)
        })?;
        let dice = Arc::new(Dice::new(parts.ids.as_ref()));
        let way = Way {
            from,
            to,
            identity: parts.identity,
            clock: parts.clock.clone(),
            dice: dice.clone(),
            tasks: parts.tasks.clone(),
        };
        let every = Duration::from_secs(settings.resolve_seconds.max(1));
        let addresses = Addresses::new(targets(to, target)?, every, lookup, way);
        Ok(Self {
            shared: Arc::new(Shared {
                from,
                to,
                rules: parts.rules,
                budget: Budget::new(parts.clock.uptime()),
                clock: parts.clock,
                dice,
                set: addresses.keep(&parts.tasks),
            }),
        })
    }

    async fn carry(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let shared = self.shared.as_ref();
        let deadline = asked::deadline(&request);
        let carried = async {
            let asked = Asked::read(request, shared.to, &shared.rules, deadline).await?;
            shared.attempts(asked).await
        };
        let carried = tokio::time::timeout_at(deadline, carried).await;
        carried.unwrap_or_else(|_| Err(late()))
    }
}

impl Shared {
    /// Whom to ask now. Waits a moment if nobody has looked yet.
    async fn set(&self) -> Result<Set, Status> {
        let mut set = self.set.clone();
        let looked = tokio::time::timeout(FIRST_LOOK, set.wait_for(Option::is_some)).await;
        match looked {
            Ok(Ok(set)) => set.clone().ok_or_else(|| self.nobody()),
            Ok(Err(_)) | Err(_) => Err(self.nobody()),
        }
    }

    /// The answer where there is nobody to ask.
    fn nobody(&self) -> Status {
        let detail = format!("no {} process can be reached", self.to);
        refusal(Kind::Unavailable, Reason::Busy, &detail, &[], Some(AGAIN))
    }
}

/// The runtime's time, for deadlines.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines are timers, kept by the runtime's clock"
)]
fn now() -> Instant {
    Instant::now()
}

impl Service<Request<Body>> for Remote {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().carry(request))
    }
}
