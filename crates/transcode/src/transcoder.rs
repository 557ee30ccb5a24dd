//! The way of a request: find the route, check what is sent and wanted, build the message, call, print.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Code;

use crate::{
    answer::{self, Answering},
    backend::Backend,
    body::{self, Body},
    error::BuildError,
    grpc,
    options::{Fault, Options},
    refusal::{self, Refusal},
    request,
    route::{self, Route},
    router::Router,
};

/// Longer than the deadline that the service was told, so that its own answer comes first.
const GRACE: Duration = Duration::from_millis(250);

/// Serves the rpcs of a descriptor pool as REST. Cheap to clone.
#[derive(Clone)]
pub struct Transcoder {
    router: Arc<Router>,
    pool: DescriptorPool,
    options: Arc<Options>,
}

impl Transcoder {
    /// Reads the `google.api.http` rules of all services in the pool and checks them against one another.
    pub fn build(pool: DescriptorPool, options: Options) -> Result<Self, BuildError> {
        let router = Router::build(route::collect(&pool, &options)?)?;
        Ok(Self {
            router: Arc::new(router),
            pool,
            options: Arc::new(options),
        })
    }

    /// Finds the rpc that a request means, before anything else of it is looked at.
    pub fn find(&self, method: &Method, path: &str) -> Option<MethodDescriptor> {
        self.router
            .find(method, path)
            .ok()
            .map(|matched| matched.route.rpc.clone())
    }

    /// Answers a request. Errors are answers too: there is nothing else to handle.
    ///
    /// Extensions of the request reach the backend, those of its answer reach the caller's answer. Dropping the future,
    /// or the body of a stream, drops the call.
    pub async fn handle<B, S>(&self, request: Request<B>, backend: S) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
        S: Backend,
    {
        let (parts, body) = request.into_parts();
        let correlation = (self.options.correlation)(&parts);
        let head = parts.method == Method::HEAD;

        let response = match self.serve(parts, body, backend, correlation.clone()).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(correlation),
        };
        if head {
            without_body(response)
        } else {
            response
        }
    }

    pub(crate) fn routes(&self) -> &[Arc<Route>] {
        self.router.routes()
    }

    pub(crate) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    async fn serve<B, S>(
        &self,
        parts: Parts,
        body: B,
        backend: S,
        correlation: Option<String>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
        S: Backend,
    {
        let options = self.options.as_ref();
        let uri = parts.uri.clone();
        let matched = self
            .router
            .find(&parts.method, uri.path())
            .map_err(|miss| refusal::missed(options, miss))?;
        let route = matched.route;
        let wire = refusal::wanted(options, route, &parts.headers)?;
        let asked = refusal::asked_time(options, &parts.headers)?;
        let limit = asked.unwrap_or(options.timeout);
        let body = refusal::body(options, route, &parts.headers, body, limit).await?;
        let message = request::message(&matched, &parts, body, options)
            .map_err(|errors| refusal::bad_input(options, errors))?;

        // A stream has no end to wait for unless the caller names one; only its beginning is waited for.
        let told = if wire.is_some() { asked } else { Some(limit) };
        let mut call = grpc::request(route, &message, parts, told, options);
        if let Some(wire) = wire {
            call.extensions_mut().insert(wire);
        }
        let answering = Answering {
            route: Arc::clone(route),
            options: Arc::clone(&self.options),
            correlation,
        };
        let work = async {
            let response = backend.call(call).await?;
            match wire {
                Some(wire) => answering.stream(response, wire).await,
                None => answering.unary(response).await,
            }
        };
        match tokio::time::timeout(limit + GRACE, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failed)) => {
                let mut refusal = Refusal::from(answering.report(&failed.status));
                let allowed = &options.response_headers;
                answer::copy(allowed, &failed.metadata, &mut refusal.headers);
                answer::copy(
                    allowed,
                    failed.status.metadata().as_ref(),
                    &mut refusal.headers,
                );
                Err(refusal)
            }
            Err(_) => Err(refusal::refuse(
                options,
                Fault::Timeout,
                StatusCode::GATEWAY_TIMEOUT,
                Code::DeadlineExceeded,
                "The call took longer than it was given.",
            )),
        }
    }
}

/// What HEAD gets: all that GET would, but the body.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts
            .headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, body::empty())
}
