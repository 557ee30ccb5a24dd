//! Which processes there are: the addresses behind the names of the settings, looked up again and again.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use metrics::gauge;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::endpoint::{Endpoint, Way};
use crate::tasks::Tasks;

/// How long one look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon a look-up that failed is tried again.
const SOON: Duration = Duration::from_secs(1);

/// Everybody who can be asked.
pub(super) type Set = Arc<[Arc<Endpoint>]>;

/// Finds the addresses behind "host:port".
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The look-up of the operating system.
pub(super) fn system() -> Lookup {
    Arc::new(|target| async move { Ok(tokio::net::lookup_host(target).await?.collect()) }.boxed())
}

/// The names to look up, and what was found last.
pub(super) struct Addresses {
    found: Vec<(String, Found)>,
    every: Duration,
    lookup: Lookup,
    way: Way,
    endpoints: HashMap<SocketAddr, Arc<Endpoint>>,
}

#[derive(Default)]
struct Found {
    addresses: Vec<SocketAddr>,
    is_failing: bool,
}

impl Addresses {
    pub(super) fn new(targets: Vec<String>, every: Duration, lookup: Lookup, way: Way) -> Self {
        let found = targets
            .into_iter()
            .map(|target| (target, Found::default()))
            .collect();
        Self {
            found,
            every,
            lookup,
            endpoints: HashMap::new(),
            way,
        }
    }

    /// Keeps the set true until the tasks stop. It stays `None` until the first look is over.
    pub(super) fn keep(mut self, tasks: &Tasks) -> watch::Receiver<Option<Set>> {
        let (told, set) = watch::channel(None);
        let own = tasks.clone();
        tasks.spawn("link addresses", async move {
            loop {
                let looked = tokio::select! {
                    () = own.stopping() => false,
                    () = self.look() => true,
                };
                if looked && self.is_new(&told) {
                    told.send_replace(Some(self.set()));
                }
                let failing = self.found.iter().any(|(_, found)| found.is_failing);
                let wait = if failing {
                    SOON.min(self.every)
                } else {
                    self.every
                };
                tokio::select! {
                    // What was told last stays: calls that end now still need somebody to ask.
                    () = own.stopping() => return,
                    () = sleep(wait) => {}
                }
            }
        });
        set
    }

    async fn look(&mut self) {
        for (target, found) in &mut self.found {
            let looked = timeout(PATIENCE, (self.lookup)(target.clone())).await;
            let looked = looked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            match looked {
                Ok(addresses) if !addresses.is_empty() => {
                    *found = Found {
                        addresses,
                        is_failing: false,
                    };
                }
                failed => {
                    if !found.is_failing {
                        let why = failed.err().map(|error| error.to_string());
                        let why = why.unwrap_or_else(|| "no address".to_owned());
                        warn!(to = self.way.to, target, why, "a name cannot be looked up");
                    }
                    // What was there before may be there still.
                    found.is_failing = true;
                }
            }
        }
        self.renew();
    }

    /// Lets new addresses join and drops those that are gone; their calls end by themselves.
    fn renew(&mut self) {
        let wanted = self.found.iter().flat_map(|(_, found)| &found.addresses);
        let mut endpoints = HashMap::new();
        for address in wanted {
            let endpoint = self.endpoints.remove(address);
            if endpoint.is_none() && !endpoints.contains_key(address) {
                info!(to = self.way.to, %address, "joins");
            }
            endpoints
                .entry(*address)
                .or_insert_with(|| endpoint.unwrap_or_else(|| Endpoint::new(&self.way, *address)));
        }
        for address in self.endpoints.keys() {
            info!(to = self.way.to, %address, "leaves");
        }
        self.endpoints = endpoints;
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let count = self.endpoints.len() as f64;
        gauge!("guildhall_link_endpoints", "from" => self.way.from, "to" => self.way.to).set(count);
    }

    fn is_new(&self, told: &watch::Sender<Option<Set>>) -> bool {
        let told = told.borrow();
        let Some(set) = told.as_ref() else {
            return true;
        };
        let is_there = |one: &Arc<Endpoint>| self.endpoints.contains_key(&one.address);
        set.len() != self.endpoints.len() || !set.iter().all(is_there)
    }

    fn set(&self) -> Set {
        let mut endpoints: Vec<_> = self.endpoints.values().cloned().collect();
        endpoints.sort_by_key(|one| one.address);
        endpoints.into()
    }
}

#[cfg(test)]
mod tests;
