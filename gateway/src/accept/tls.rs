//! The certificate of the public port, read again when its files change.

use std::{path::PathBuf, sync::Arc};

use guildhall_kernel::Time;
use guildhall_mesh::{
    config::BadSettings,
    reload::{self, Ends, Named, Reloading},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::config::GatewaySettings;

/// What one state of the files says.
pub(super) struct Certificate {
    config: Arc<ServerConfig>,
    ends_at: Time,
}

impl Certificate {
    /// How to answer a connection that comes in now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

impl Ends for Certificate {
    fn ends_at(&self) -> Time {
        self.ends_at
    }
}

/// Reads certificate and key; `None` where the settings name none.
///
/// # Errors
/// [`BadSettings`] names the setting whose file does not serve.
pub(super) fn open(
    settings: &GatewaySettings,
) -> Result<Option<Reloading<Certificate>>, BadSettings> {
    let Some((cert, key)) = settings.tls_files()? else {
        return Ok(None);
    };
    let named = |setting, file: &str| Named {
        setting,
        path: PathBuf::from(file),
    };
    let files = vec![
        named("gateway.tls_cert", cert),
        named("gateway.tls_key", key),
    ];
    let (cert, key) = (cert.to_owned(), key.to_owned());
    let opened = Reloading::open(files, move |contents| match contents {
        [chain, secret] => read((&cert, chain), (&key, secret)),
        _ => Err(bad("tls_key", "is needed beside gateway.tls_cert")),
    });
    opened.map(Some)
}

/// Makes a configuration of two files, each with its name.
fn read(cert: (&str, &[u8]), key: (&str, &[u8])) -> Result<Certificate, BadSettings> {
    let chain = certificates(cert).map_err(|why| bad("tls_cert", why))?;
    let ends_at = chain.first().map_or(Time::from_micros(0), reload::ends_at);
    let (file, secret) = key;
    let key = PrivateKeyDer::from_pem_slice(secret)
        .map_err(|why| bad("tls_key", format!("no key can be read from {file}: {why}")))?;

    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| bad("tls_cert", why))?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.map_err(|why| {
        bad(
            "tls_key",
            format!("does not go with gateway.tls_cert: {why}"),
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Certificate {
        config: Arc::new(config),
        ends_at,
    })
}

fn certificates((file, pem): (&str, &[u8])) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |why| format!("no certificate can be read from {file}: {why}");
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(unreadable)?;
    if chain.is_empty() {
        return Err(format!("{file} holds no certificate"));
    }
    Ok(chain)
}

fn bad(key: &str, wrong: impl std::fmt::Display) -> BadSettings {
    BadSettings::new(&format!("gateway.{key}"), wrong)
}
