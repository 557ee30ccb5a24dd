//! The certificate of the public port.

use std::{path::Path, sync::Arc};

use guildhall_mesh::config::BadSettings;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::config::GatewaySettings;

/// Reads certificate and key; `None` where the settings name none.
///
/// # Errors
/// [`BadSettings`] names the setting whose file does not serve.
pub(super) fn acceptor(settings: &GatewaySettings) -> Result<Option<TlsAcceptor>, BadSettings> {
    let Some((cert, key)) = settings.tls_files()? else {
        return Ok(None);
    };
    let chain = certificates(Path::new(cert)).map_err(|why| bad("tls_cert", why))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|why| bad("tls_key", format!("no key can be read from {key}: {why}")))?;

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
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |why| format!("no certificate can be read from {}: {why}", file.display());
    let chain = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(unreadable)?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate", file.display()));
    }
    Ok(chain)
}

fn bad(key: &str, wrong: impl std::fmt::Display) -> BadSettings {
    BadSettings::new(&format!("gateway.{key}"), wrong)
}
