//! Three ways to the same server.

use std::{
    convert::Infallible,
    marker::PhantomData,
    path::Path,
    task::{Context, Poll},
};

use anyhow::Context as _;
use guildhall_mesh::{
    Link,
    guard::Guarded,
    link::{LinkSettings, RemoteParts, Served, serve_links},
};
use guildhall_proto::chat::v1::{
    channel_service_server::ChannelServiceServer, message_service_server::MessageServiceServer,
};
use tokio::net::TcpListener;
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
    server::NamedService,
    transport::{Endpoint, Server, server::TcpIncoming},
};
use tower::{Service, ServiceExt as _, service_fn};

use super::house::House;
use crate::processes::Papers;

/// A call within the process.
pub(super) fn in_process(house: &House) -> Link {
    Link::local("gateway", house.server.clone())
}

/// HTTP/2 over loopback, as tonic's own server and channel speak it: no TLS, no layers, no choice among several. What a hop costs at
/// best.
pub(super) async fn plain(house: &House) -> anyhow::Result<Link> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder()
        .add_service(At::<ChannelServiceServer<()>>::new(&house.server))
        .add_service(At::<MessageServiceServer<()>>::new(&house.server));
    let tasks = house.tasks.clone();
    let serving = serving.serve_with_incoming_shutdown(incoming, async move {
        tasks.stopping().await;
    });
    house.tasks.spawn("plain", async {
        if let Err(error) = serving.await {
            println!("  the plain server ended: {error}");
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.tcp_nodelay(true).connect().await?;
    // Within a link, so that calls carry the same headers.
    let answering = service_fn(move |request| {
        let answer = channel.clone().oneshot(request);
        async {
            let refused = |error: tonic::transport::Error| Status::from_error(error.into());
            Ok(answer
                .await
                .unwrap_or_else(|error| refused(error).into_http()))
        }
    });
    Ok(Link::local("gateway", answering))
}

/// A link between processes, over loopback, with certificates on both sides.
pub(super) async fn linked(house: &House, server: &Path, folder: &Path) -> anyhow::Result<Link> {
    let papers = Papers::make(server, &folder.join("certs"))?;
    let settings = |role: &str, listen: &str, chat: String| {
        let [ca_file, certificate_file, key_file] = papers.of(role);
        LinkSettings {
            listen: listen.into(),
            chat,
            ca_file,
            certificate_file,
            key_file,
            ..LinkSettings::default()
        }
    };
    let chat = settings("chat", "127.0.0.1:0", String::new());
    let served = Served {
        name: "chat",
        callers: &["gateway"],
        server: house.server.clone(),
    };
    let (clock, tasks) = (house.clock.clone(), &house.tasks);
    let identity = chat.identity(clock.clone(), tasks)?;
    let address = serve_links(&chat, identity, vec![served], clock.clone(), tasks).await?;

    let gateway = settings("gateway", "", address.to_string());
    let parts = RemoteParts {
        identity: gateway.identity(clock.clone(), tasks)?,
        rules: house.rules.clone(),
        clock,
        ids: house.ids.clone(),
        tasks: tasks.clone(),
    };
    Link::remote("gateway", "chat", &gateway, parts).context("a link")
}

/// A guarded server under the name of one of its services, as tonic's server wants it.
struct At<S> {
    server: Guarded,
    name: PhantomData<fn() -> S>,
}

impl<S> At<S> {
    fn new(server: &Guarded) -> Self {
        Self {
            server: server.clone(),
            name: PhantomData,
        }
    }
}

impl<S> Clone for At<S> {
    fn clone(&self) -> Self {
        Self::new(&self.server)
    }
}

impl<S: NamedService> NamedService for At<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for At<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Guarded as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.server.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.server.call(request)
    }
}
