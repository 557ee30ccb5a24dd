//! The way to a service in other processes.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use guildhall_kernel::Kind;
use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::Service;

use super::{LinkSettings, RemoteParts, settings::bad};
use crate::{Reason, config::BadSettings, status::refusal};

#[derive(Clone)]
pub(super) struct Remote {
    to: &'static str,
}

impl Remote {
    pub(super) fn new(
        from: &'static str,
        to: &'static str,
        settings: &LinkSettings,
        parts: RemoteParts,
    ) -> Result<Self, BadSettings> {
        parts.identity.must_name(from)?;
        let _ = parts.identity.client(to)?;
        settings.target(to).ok_or_else(|| {
            bad(
                to,
                format!("is needed: {from} calls {to}, which is not in this process"),
            )
        })?;
        Ok(Self { to })
    }
}

impl Service<Request<Body>> for Remote {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Ready<Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Err(refusal(
            Kind::Unavailable,
            Reason::Busy,
            self.to,
            &[],
            None,
        )))
    }
}
