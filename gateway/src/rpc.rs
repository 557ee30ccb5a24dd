//! gRPC and grpc-web: calls go through as they came, to the service that has the rpc. Nothing is decoded here.

use std::convert::Infallible;

use axum::body::Body;
use http::{Request, Response};
use tonic::{Status, service::Routes};
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::{
    clients::Clients,
    target::Target,
    wire::{Wire, no_such_rpc},
};

/// Passes calls on.
#[derive(Clone)]
pub(crate) struct Passage {
    /// To the services.
    pub(crate) clients: Clients,
    /// Health and reflection.
    pub(crate) tools: Routes,
}

impl Passage {
    /// Answers a call by gRPC or grpc-web.
    pub(crate) async fn answer(
        &self,
        wire: Wire,
        target: &Target<'_>,
        request: Request<Body>,
    ) -> Response<Body> {
        let request = request.map(tonic::body::Body::new);
        let pass =
            service_fn(|request| async { Ok::<_, Infallible>(self.pass(target, request).await) });
        let answered = match wire {
            Wire::GrpcWeb | Wire::GrpcWebText => {
                GrpcWebLayer::new().layer(pass).oneshot(request).await
            }
            Wire::Grpc | Wire::Http => pass.oneshot(request).await,
        };
        match answered {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }

    async fn pass(
        &self,
        target: &Target<'_>,
        request: Request<tonic::body::Body>,
    ) -> Response<tonic::body::Body> {
        match target {
            Target::Rpc(rpc) => match self.clients.to(&rpc.path) {
                Some(link) => link
                    .clone()
                    .oneshot(request)
                    .await
                    .unwrap_or_else(Status::into_http),
                None => no_such_rpc().into_http(),
            },
            Target::Tools => match self.tools.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Target::Rest(_) | Target::Live | Target::Page(_) | Target::Nothing => {
                no_such_rpc().into_http()
            }
        }
    }
}
