//! Which calls from other processes are let in: to services of this process, by services that may, as many as can be worked on.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use guildhall_kernel::Kind;
use http::{Request, Response};
use metrics::counter;
use tokio::sync::Semaphore;
use tonic::{Status, body::Body};
use tower::Service as _;

use super::{super::held::Held, Served};
use crate::{Peer, Reason, guard::services_only, status::refusal};

/// What somebody who is sent away is told to wait: another process is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(100);
/// Begins the path of every rpc of ours; the name of its service follows.
const PATHS_BEGIN: &str = "/guildhall.";

/// The door to the services of this process.
pub(super) struct Door {
    served: Vec<Served>,
    room: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(served: Vec<Served>, calls: usize) -> Self {
        Self {
            served,
            room: Arc::new(Semaphore::new(calls)),
        }
    }

    /// Answers a call of `peer`, or says why not.
    pub(super) fn answer<B>(
        &self,
        peer: Peer,
        request: Request<B>,
    ) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let entered = self.enter(&peer, request.uri().path());
        async move {
            let (mut server, place) = match entered {
                Ok(entered) => entered,
                Err(refused) => return refused.into_http(),
            };
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            match server.call(request).await {
                Ok(answer) => answer.map(|body| Body::new(Held::new(body, place))),
                Err(never) => match never {},
            }
        }
    }

    fn enter(
        &self,
        peer: &Peer,
        path: &str,
    ) -> Result<(crate::guard::Guarded, tokio::sync::OwnedSemaphorePermit), Status> {
        let name = path.strip_prefix(PATHS_BEGIN).unwrap_or_default();
        let name = name.split('.').next().unwrap_or_default();
        let served = self.served.iter().find(|served| served.name == name);
        let served = served.ok_or_else(|| {
            refused("service");
            let detail = "this process does not serve that";
            refusal(Kind::Unimplemented, Reason::Unspecified, detail, &[], None)
        })?;
        if !peer.is_one_of(served.callers) {
            refused("caller");
            return Err(services_only());
        }
        let place = self.room.clone().try_acquire_owned().map_err(|_| {
            refused("full");
            let detail = format!("this {name} process has too much to do");
            refusal(Kind::Unavailable, Reason::Busy, &detail, &[], Some(AGAIN))
        })?;
        Ok((served.server.clone(), place))
    }
}

fn refused(why: &'static str) {
    counter!("guildhall_link_calls_refused_total", "why" => why).increment(1);
}
