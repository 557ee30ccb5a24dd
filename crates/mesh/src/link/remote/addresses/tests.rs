//! Names whose addresses a test chooses, and a process behind each that answers slowly.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use guildhall_kernel::{SystemClock, SystemIds};
use guildhall_proto::pool;
use http::{Request, Response};
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::*;
use crate::{
    link::{LinkSettings, NAMES_BEGIN, RemoteParts, exec::Spawner, remote::Remote},
    rules::Rules,
};

/// What the look-up finds next.
type Zone = Arc<Mutex<io::Result<Vec<SocketAddr>>>>;

fn say(zone: &Zone, addresses: io::Result<Vec<SocketAddr>>) {
    *zone.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
}

fn lookup(zone: &Zone) -> Lookup {
    let zone = zone.clone();
    Arc::new(move |_| {
        let said = zone.lock().unwrap_or_else(PoisonError::into_inner);
        let said = match said.as_ref() {
            Ok(addresses) => Ok(addresses.clone()),
            Err(error) => Err(error.kind().into()),
        };
        std::future::ready(said).boxed()
    })
}

/// The settings of a process that is gateway and chat, with its files.
fn settings() -> (tempfile::TempDir, LinkSettings) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = || KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, pair()).expect("signs");
    let mut params = CertificateParams::default();
    for name in ["gateway", "chat"] {
        let uri = format!("{NAMES_BEGIN}{name}");
        let uri = uri.try_into().expect("ascii");
        params.subject_alt_names.push(SanType::URI(uri));
    }
    let key = pair();
    let certificate = params.signed_by(&key, &authority).expect("signs");
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path.display().to_string()
    };
    let settings = LinkSettings {
        chat: "chat.hall.internal:50051".into(),
        ca_file: file("ca.pem", authority.pem()),
        certificate_file: file("certificate.pem", certificate.pem()),
        key_file: file("key.pem", key.serialize_pem()),
        resolve_seconds: 1,
        ..LinkSettings::default()
    };
    (dir, settings)
}

struct Town {
    _dir: tempfile::TempDir,
    settings: LinkSettings,
    tasks: Tasks,
    zone: Zone,
}

impl Town {
    fn new() -> Self {
        let (dir, settings) = settings();
        Self {
            _dir: dir,
            settings,
            tasks: Tasks::new(),
            zone: Arc::new(Mutex::new(Ok(Vec::new()))),
        }
    }

    fn remote(&self) -> Remote {
        let clock = Arc::new(SystemClock::new());
        let identity = self.settings.identity(clock.clone(), &self.tasks);
        let parts = RemoteParts {
            identity: identity.expect("good files"),
            rules: Arc::new(Rules::of(pool()).expect("rules")),
            clock,
            ids: Arc::new(SystemIds),
            tasks: self.tasks.clone(),
        };
        let zone = lookup(&self.zone);
        Remote::by_lookup("gateway", "chat", &self.settings, parts, zone).expect("a link")
    }

    /// A process that says its name in a header, after a while.
    async fn process(&self, name: &'static str) -> SocketAddr {
        let identity = self
            .settings
            .identity(Arc::new(SystemClock::new()), &self.tasks)
            .expect("good files");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let own = self.tasks.clone();
        self.tasks.spawn("process", async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(identity.server());
                let tasks = own.clone();
                own.spawn("process connection", async move {
                    let stream = acceptor.accept(socket).await.expect("shakes hands");
                    let service = service_fn(move |_| async move {
                        sleep(Duration::from_millis(500)).await;
                        let answer = Response::builder().header("name", name);
                        let answer = answer.header("grpc-status", "0").body(Body::empty());
                        Ok::<_, Infallible>(answer.expect("an answer"))
                    });
                    let http = http2::Builder::new(Spawner(tasks));
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        address
    }
}

async fn ask(remote: &Remote) -> Result<String, tonic::Status> {
    let request = Request::builder()
        .uri("/guildhall.chat.v1.ChannelService/ListChannels")
        .body(Body::empty());
    let answer = remote.clone().oneshot(request.expect("a request")).await?;
    let name = answer.headers()["name"].to_str().expect("text");
    Ok(name.to_owned())
}

async fn until_asked(remote: &Remote, name: &str) {
    for _ in 0..20 {
        if ask(remote).await.is_ok_and(|answer| answer == name) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} is never asked");
}

#[tokio::test]
async fn new_addresses_join_and_those_that_are_gone_finish_their_calls() {
    let town = Town::new();
    let (one, two) = (town.process("one").await, town.process("two").await);
    say(&town.zone, Ok(vec![one]));
    let remote = town.remote();
    assert_eq!(ask(&remote).await.expect("answered"), "one");

    say(&town.zone, Ok(vec![two]));
    // Calls that are under way while the addresses change.
    let calls = (0..10).map(|n| {
        let remote = remote.clone();
        async move {
            sleep(Duration::from_millis(200 * n)).await;
            ask(&remote).await.expect("answered")
        }
    });
    let names = futures::future::join_all(calls).await;

    assert!(names.iter().any(|name| name == "one"), "{names:?}");
    until_asked(&remote, "two").await;
    assert_eq!(ask(&remote).await.expect("answered"), "two");
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_stands_for_what_it_stood_for() {
    let town = Town::new();
    let one = town.process("one").await;
    say(&town.zone, Ok(vec![one]));
    let remote = town.remote();
    assert_eq!(ask(&remote).await.expect("answered"), "one");

    for nothing in [Err(io::ErrorKind::TimedOut.into()), Ok(Vec::new())] {
        say(&town.zone, nothing);
        sleep(Duration::from_millis(1_300)).await;

        assert_eq!(ask(&remote).await.expect("answered"), "one");
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_yet_is_asked_again_soon() {
    let town = Town::new();
    let one = town.process("one").await;
    say(&town.zone, Err(io::ErrorKind::NotFound.into()));
    let remote = town.remote();

    let refused = ask(&remote).await.expect_err("nobody");
    assert_eq!(refused.code(), tonic::Code::Unavailable);

    say(&town.zone, Ok(vec![one, one]));
    until_asked(&remote, "one").await;
}
