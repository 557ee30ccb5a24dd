//! What answers the calls.

use std::{error::Error, future::Future};

use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt};

/// Answers one gRPC call on the level of HTTP: path `/package.Service/Method`, framed message, status in trailers.
///
/// Any closure that takes the request and gives a future of the response is one.
pub trait Backend: Send {
    /// Makes the call. An error stands for an answer that never came.
    fn call(
        self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send;
}

impl<F, A> Backend for F
where
    F: FnOnce(Request<Body>) -> A + Send,
    A: Future<Output = Result<Response<Body>, Status>> + Send,
{
    fn call(
        self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send {
        self(request)
    }
}

/// Makes a backend of a tower service: tonic's `Routes` in the same process, or a `Channel` to another one.
pub fn service<S>(service: S) -> impl Backend
where
    S: Service<Request<Body>, Response = Response<Body>> + Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
{
    move |request| async move {
        service
            .oneshot(request)
            .await
            .map_err(|error| Status::from_error(error.into()))
    }
}
