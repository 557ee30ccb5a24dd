//! Processes with certificates, as a test needs them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use guildhall_kernel::{Clock, Role, SpaceId, SystemClock, SystemIds};
use guildhall_mesh::{
    Call, Link, Tasks,
    guard::Guarded,
    link::{LinkSettings, NAMES_BEGIN, RemoteParts, Served, serve_links},
    rules::Rules,
};
use guildhall_proto::{
    chat::v1::{
        self as chat, feed_service_server::FeedServiceServer,
        message_service_client::MessageServiceClient, message_service_server::MessageServiceServer,
    },
    live::v1::live_service_server::LiveServiceServer,
};
use guildhall_testkit::{Person, StoppedClock, World};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tokio::net::TcpListener;
use tonic::{Status, service::Routes};

use super::echo::{Echo, OneSpace};

/// A channel of the town's only space.
pub(crate) const CHANNEL: &str = "00000000-0000-7000-8000-00000000000c";

/// An authority with the processes that believe in it.
pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) authority: Authority,
    pub(crate) person: Person,
    pub(crate) space: SpaceId,
    /// What moves the health of links and the age of connections.
    pub(crate) clock: Arc<dyn Clock>,
    /// The tasks of the links.
    pub(crate) tasks: Tasks,
}

/// One process that serves chat.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
    pub(crate) echo: Echo,
}

impl Process {
    pub(crate) fn asked(&self) -> usize {
        self.echo.asked.load(Ordering::SeqCst)
    }
}

impl Town {
    /// A town by the machine's clock.
    pub(crate) fn new() -> Self {
        Self::by(Arc::new(SystemClock::new()))
    }

    /// A town by a clock that stands still, at the beginning of 2026.
    pub(crate) fn stopped() -> (Self, StoppedClock) {
        let clock = StoppedClock::new();
        (Self::by(Arc::new(clock.clone())), clock)
    }

    fn by(clock: Arc<dyn Clock>) -> Self {
        let world = World::new();
        let person = world.person();
        let space = world.rights.space(&[(&person, Role::Member)]);
        Self {
            authority: Authority::new(),
            person,
            space,
            clock,
            tasks: Tasks::new(),
            world,
        }
    }

    /// The settings of a process that is these services.
    pub(crate) fn settings(&self, names: &[&str]) -> LinkSettings {
        self.authority
            .issue(self.world.dir.path(), names)
            .settings()
    }

    /// A chat process.
    pub(crate) async fn chat(&self, name: &str) -> Process {
        let settings = self.settings(&["chat", "live"]);
        self.serve(name, "127.0.0.1:0", settings, &["chat", "live"])
            .await
    }

    /// A process that serves some services of the town at an address.
    pub(crate) async fn serve(
        &self,
        name: &str,
        at: &str,
        settings: LinkSettings,
        services: &[&'static str],
    ) -> Process {
        let echo = Echo::new(name);
        let settings = LinkSettings {
            listen: at.into(),
            ..settings
        };
        let tasks = Tasks::new();
        let identity = settings.identity(self.clock.clone(), &tasks);
        let server = self.guarded(&echo);
        let served = services.iter().map(|name| Served {
            name,
            callers: &["gateway", "study"],
            server: server.clone(),
        });
        let address = serve_links(
            &settings,
            identity.expect("good files"),
            served.collect(),
            self.clock.clone(),
            &tasks,
        );
        Process {
            address: address.await.expect("serves"),
            tasks,
            echo,
        }
    }

    /// An echo behind the stack.
    pub(crate) fn guarded(&self, echo: &Echo) -> Guarded {
        let guard = self.world.guard(Arc::new(OneSpace(self.space)));
        let routes = Routes::new(MessageServiceServer::new(echo.clone()))
            .add_service(FeedServiceServer::new(echo.clone()))
            .add_service(LiveServiceServer::new(echo.clone()));
        guard.before(routes)
    }

    /// The gateway's link to chat at these addresses.
    pub(crate) fn link(&self, chats: &[SocketAddr]) -> Link {
        self.link_of("gateway", &self.settings(&["gateway"]), chats)
    }

    pub(crate) fn link_of(
        &self,
        from: &'static str,
        settings: &LinkSettings,
        chats: &[SocketAddr],
    ) -> Link {
        let chats: Vec<_> = chats.iter().map(ToString::to_string).collect();
        let settings = LinkSettings {
            chat: chats.join(","),
            ..settings.clone()
        };
        let rules = Rules::of(guildhall_proto::pool()).expect("rules");
        let identity = settings.identity(self.clock.clone(), &self.tasks);
        let parts = RemoteParts {
            identity: identity.expect("good files"),
            rules: Arc::new(rules),
            clock: self.clock.clone(),
            ids: Arc::new(SystemIds),
            tasks: self.tasks.clone(),
        };
        Link::remote(from, "chat", &settings, parts).expect("a link")
    }

    /// Posts for the town's person, with 5 s. The answer is the text of the message.
    pub(crate) async fn post(&self, link: &Link, text: &str) -> Result<String, Status> {
        self.post_to(link, CHANNEL, text, Duration::from_secs(5))
            .await
    }

    pub(crate) async fn post_to(
        &self,
        link: &Link,
        channel: &str,
        text: &str,
        time: Duration,
    ) -> Result<String, Status> {
        let mut caller = self.person.caller();
        caller.call = Call::own("town", time);
        let request = chat::PostMessageRequest {
            channel_id: channel.into(),
            text: text.into(),
            key: "k".into(),
        };
        let mut client = MessageServiceClient::new(link.on_behalf(&caller));
        let answer = client.post_message(request).await?.into_inner();
        Ok(answer.message.expect("a message").text)
    }
}

/// Signs certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of one process.
pub(crate) struct Papers {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signs");
        Self { issuer }
    }

    /// A certificate for these services, in files of a new folder.
    pub(crate) fn issue(&self, dir: &Path, names: &[&str]) -> Papers {
        let folder = tempfile::tempdir_in(dir).expect("a folder").keep();
        let papers = Papers {
            ca: folder.join("ca.pem"),
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
        };
        self.renew(&papers, names, |_| {});
        papers
    }

    /// Writes a new certificate into the files.
    pub(crate) fn renew(
        &self,
        papers: &Papers,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let mut params = CertificateParams::default();
        let uris = names.iter().map(|name| {
            let uri = format!("{NAMES_BEGIN}{name}");
            SanType::URI(uri.try_into().expect("ascii"))
        });
        params.subject_alt_names = uris.collect();
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        fs::write(&papers.ca, self.issuer.pem()).expect("writes");
        fs::write(&papers.certificate, certificate.pem()).expect("writes");
        fs::write(&papers.key, key.serialize_pem()).expect("writes");
    }
}

impl Papers {
    /// The certificate and its key.
    pub(crate) fn pair(&self) -> (&Path, &Path) {
        (&self.certificate, &self.key)
    }

    pub(crate) fn settings(&self) -> LinkSettings {
        let name = |path: &Path| path.to_str().expect("plain").to_owned();
        LinkSettings {
            ca_file: name(&self.ca),
            certificate_file: name(&self.certificate),
            key_file: name(&self.key),
            ..LinkSettings::default()
        }
    }
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("bound")
}

/// Measures real time.
pub(crate) struct Stopwatch(SystemClock);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(SystemClock::new())
    }

    pub(crate) fn passed(&self) -> Duration {
        self.0.uptime()
    }
}

/// Waits until something holds, 10 s at most.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}
