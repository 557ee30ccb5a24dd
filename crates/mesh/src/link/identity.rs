//! Who this process is to others: its certificate, its key, and the authority that it believes in.

use std::{fmt, sync::Arc};

use guildhall_kernel::{Clock, Time};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, verify_server_cert_signed_by_trust_anchor},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier},
    time_provider::TimeProvider as _,
    version::TLS13,
};

use super::{
    names,
    settings::{LinkSettings, bad},
    verify::{ByClock, IsService},
};
use crate::{
    config::BadSettings,
    reload::{self, Ends, Named, Reloading},
    tasks::Tasks,
};

/// What links speak inside TLS.
const PROTOCOL: &[u8] = b"h2";

/// The certificate of this process as its files have it, also after they changed. Clones share it.
#[derive(Clone)]
pub struct Identity {
    papers: Reloading<Papers>,
}

impl LinkSettings {
    /// Reads the files of the identity, and again when they change, until the tasks stop.
    ///
    /// # Errors
    /// [`BadSettings`] naming the file that cannot be read, or that does not go with the others.
    pub fn identity(&self, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Identity, BadSettings> {
        let papers = self.papers(&clock)?;
        papers.keep("links", clock, tasks);
        Ok(Identity { papers })
    }

    /// Reads the files of the identity and judges them, as [`LinkSettings::identity`] does it, and forgets them.
    ///
    /// # Errors
    /// Those of [`LinkSettings::identity`].
    pub fn check_files(&self, clock: &Arc<dyn Clock>) -> Result<(), BadSettings> {
        self.papers(clock).map(|_| ())
    }

    fn papers(&self, clock: &Arc<dyn Clock>) -> Result<Reloading<Papers>, BadSettings> {
        let settings = ["links.ca_file", "links.certificate_file", "links.key_file"];
        let mut files = Vec::new();
        for (setting, (key, path)) in settings.into_iter().zip(self.files()) {
            if path.is_empty() {
                return Err(bad(key, "is needed; `guildhall certs` makes such files"));
            }
            let path = path.into();
            files.push(Named { setting, path });
        }
        let judge = clock.clone();
        Reloading::open(files, move |contents| Papers::read(contents, &judge))
    }
}

impl Identity {
    /// Whether the certificate is for this service.
    ///
    /// # Errors
    /// [`BadSettings`] saying for which ones it is.
    pub(super) fn must_name(&self, service: &str) -> Result<(), BadSettings> {
        let papers = self.papers.current();
        if papers.names.iter().any(|name| **name == *service) {
            return Ok(());
        }
        let names = papers.names.join(", ");
        let wrong = format!(
            "is for [{names}], but this process is {service} too: use a certificate with the URI {}{service}",
            names::NAMES_BEGIN
        );
        Err(bad("certificate_file", wrong))
    }

    /// How to answer a connection that comes in now.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.papers.current().server.clone()
    }

    /// How to make a connection to a service now.
    pub(super) fn client(&self, wanted: &'static str) -> Result<ClientConfig, BadSettings> {
        self.papers.current().client(wanted)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = &self.papers.current().names;
        f.debug_struct("Identity").field("names", names).finish()
    }
}

/// What one state of the files says.
struct Papers {
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    server: Arc<ServerConfig>,
    names: Arc<[Box<str>]>,
    ends_at: Time,
}

impl Ends for Papers {
    fn ends_at(&self) -> Time {
        self.ends_at
    }
}

impl Papers {
    fn read(contents: &[Vec<u8>], clock: &Arc<dyn Clock>) -> Result<Self, BadSettings> {
        let [ca, chain, key] = contents else {
            return Err(bad("ca_file", "is needed beside certificate and key"));
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca_file", ca)? {
            roots
                .add(certificate)
                .map_err(|why| bad("ca_file", format!("holds no authority: {why}")))?;
        }
        let roots = Arc::new(roots);
        let chain = certificates("certificate_file", chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|why| bad("key_file", format!("holds no key: {why}")))?;
        let first = &chain[0];
        let (names, ends_at) = (names::services(first), reload::ends_at(first));
        if names.is_empty() {
            let wrong = format!(
                "names no service of ours: a URI like {}chat is needed",
                names::NAMES_BEGIN
            );
            return Err(bad("certificate_file", wrong));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        judge(&chain, &roots, &provider, clock)?;
        let server = server(&roots, &chain, &key, &provider, clock)?;
        Ok(Self {
            clock: clock.clone(),
            provider,
            roots,
            chain,
            key,
            server: Arc::new(server),
            names,
            ends_at,
        })
    }

    fn client(&self, wanted: &'static str) -> Result<ClientConfig, BadSettings> {
        let is_service = IsService {
            wanted,
            roots: self.roots.clone(),
            algorithms: self.provider.signature_verification_algorithms,
        };
        let time = Arc::new(ByClock(self.clock.clone()));
        let mut client = ClientConfig::builder_with_details(self.provider.clone(), time)
            .with_protocol_versions(&[&TLS13])
            .map_err(|why| bad("certificate_file", why))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(is_service))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(unlike)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.enable_sni = false;
        // A session that goes on would not show its certificate again, which may have ended.
        client.resumption = Resumption::disabled();
        Ok(client)
    }
}

fn server(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, BadSettings> {
    let ours = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|why| bad("ca_file", why))?;
    let time = Arc::new(ByClock(clock.clone()));
    let mut server = ServerConfig::builder_with_details(provider.clone(), time)
        .with_protocol_versions(&[&TLS13])
        .map_err(|why| bad("certificate_file", why))?
        .with_client_cert_verifier(ours)
        .with_single_cert(chain.to_vec(), key.clone_key())
        .map_err(unlike)?;
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(server)
}

/// Judges our own certificate as others will: better now than by calls that fail.
fn judge(
    chain: &[CertificateDer<'static>],
    roots: &RootCertStore,
    provider: &CryptoProvider,
    clock: &Arc<dyn Clock>,
) -> Result<(), BadSettings> {
    let no_good = |why| {
        let wrong = format!(
            "is not good by links.ca_file: {why}; `guildhall certs` renews those that it made"
        );
        bad("certificate_file", wrong)
    };
    let now = ByClock(clock.clone()).current_time();
    let now = now.ok_or_else(|| bad("certificate_file", "the machine's clock is before 1970"))?;
    let parsed = ParsedCertificate::try_from(&chain[0]).map_err(no_good)?;
    let algorithms = provider.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, &chain[1..], now, algorithms)
        .map_err(no_good)
}

fn unlike(why: impl fmt::Display) -> BadSettings {
    let wrong = format!("does not go with links.certificate_file: {why}");
    bad("key_file", wrong)
}

fn certificates(key: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadSettings> {
    let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|why| bad(key, format!("holds no certificate: {why}")))?;
    if read.is_empty() {
        return Err(bad(key, "holds no certificate"));
    }
    Ok(read)
}
