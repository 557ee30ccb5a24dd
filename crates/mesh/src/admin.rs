//! The admin port: `/healthz` says that the process lives, `/readyz` whether to send it work, `/metrics` how it fares.
//!
//! For operators and schedulers, never for the public: it asks nobody who they are.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use guildhall_kernel::Clock;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::{tasks::Tasks, telemetry::Metrics};

mod readiness;

pub use readiness::{Check, Finding, Part, Readiness, Report, Stage};

/// How many connections are served at once; later ones are closed at once.
const CONNECTIONS: usize = 64;
/// How long a client may take to send its headers.
const HEADERS: Duration = Duration::from_secs(5);
/// How long a connection may live.
const CONNECTION: Duration = Duration::from_mins(1);
/// How long to wait when the machine takes no connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What the admin port shows.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Whether to send work.
    pub readiness: Readiness,
    /// How the process fares.
    pub metrics: Metrics,
}

impl Admin {
    /// Serves on `listen` (port 0: a free one) until the tasks stop. Returns the address that was bound.
    ///
    /// # Errors
    /// The operating system's, where the address cannot be had.
    pub async fn serve(
        self,
        listen: SocketAddr,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(listen).await?;
        let bound = listener.local_addr()?;
        let shown = Shown { admin: self, clock };
        let app = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(shown));
        let own = tasks.clone();
        tasks.spawn("admin", async move { accept(listener, app, own).await });
        Ok(bound)
    }
}

struct Shown {
    admin: Admin,
    clock: Arc<dyn Clock>,
}

async fn readyz(State(shown): State<Arc<Shown>>) -> Response {
    let report = shown.admin.readiness.report().await;
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    let text = shown.admin.metrics.render(shown.clock.as_ref());
    let form = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, form)], text).into_response()
}

async fn accept(listener: TcpListener, app: Router, tasks: Tasks) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = tokio::select! {
            () = tasks.stopping() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) if open.fetch_add(1, Ordering::AcqRel) < CONNECTIONS => {
                let place = Place(open.clone());
                let served = serve(socket, app.clone(), tasks.clone());
                tasks.spawn("admin connection", async move {
                    let _place = place;
                    served.await;
                });
            }
            Ok(_) => drop(Place(open.clone())),
            Err(error) => {
                warn!(%error, "the admin port takes no connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A place among the open connections; dropping it gives it back.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn serve(socket: TcpStream, app: Router, tasks: Tasks) {
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(app))
    );
    // What goes wrong on a connection of the admin port is its client's loss; the next scrape comes.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tasks.stopping() => connection.as_mut().graceful_shutdown(),
        () = tokio::time::sleep(CONNECTION) => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(HEADERS, connection).await;
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::SystemClock;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::telemetry;

    async fn served(readiness: &Readiness) -> (SocketAddr, Tasks) {
        let tasks = Tasks::new();
        let admin = Admin {
            readiness: readiness.clone(),
            metrics: telemetry::metrics(),
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = admin.serve(listen, Arc::new(SystemClock::new()), &tasks);
        (bound.await.expect("a free port"), tasks)
    }

    async fn get(at: SocketAddr, path: &str) -> String {
        let mut socket = TcpStream::connect(at).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: hall\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("answers");
        answer
    }

    #[tokio::test]
    async fn a_process_is_alive_before_it_is_ready_and_while_it_drains() {
        let readiness = Readiness::new();
        let gateway = readiness.part("gateway");
        let (at, _tasks) = served(&readiness).await;

        let starting = get(at, "/readyz").await;
        gateway.ready();
        readiness.started();
        let ready = get(at, "/readyz").await;
        readiness.drain();
        let draining = get(at, "/readyz").await;
        let alive = get(at, "/healthz").await;

        assert!(
            starting.starts_with("HTTP/1.1 503") && starting.contains("starting"),
            "{starting}"
        );
        assert!(
            ready.starts_with("HTTP/1.1 200") && ready.contains("\"gateway\""),
            "{ready}"
        );
        assert!(
            draining.starts_with("HTTP/1.1 503") && draining.contains("draining"),
            "{draining}"
        );
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    }

    #[tokio::test]
    async fn metrics_are_shown_in_the_text_form_of_prometheus() {
        let (at, _tasks) = served(&Readiness::new()).await;

        let answer = get(at, "/metrics").await;

        assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("# TYPE process_open_fds gauge"), "{answer}");
    }

    #[tokio::test]
    async fn a_full_port_closes_the_next_connection_and_stops_all_the_same() {
        let (at, tasks) = served(&Readiness::new()).await;
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.push(TcpStream::connect(at).await.expect("connects"));
        }

        let mut more = TcpStream::connect(at).await.expect("connects");
        let read = more.read(&mut [0; 1]).await;

        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        assert_eq!(tasks.stop(Duration::from_secs(10)).await, 0);
    }
}
