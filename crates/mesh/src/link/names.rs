//! What a certificate says: which services of ours it is for. Whether to believe it is decided elsewhere.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

/// Begins the name of a service in a certificate: `spiffe://guildhall/chat`.
pub const NAMES_BEGIN: &str = "spiffe://guildhall/";

/// The services that a certificate names, in its order.
pub(crate) fn services(certificate: &CertificateDer<'_>) -> Arc<[Box<str>]> {
    let Some(parsed) = parse(certificate) else {
        return Arc::default();
    };
    let Ok(Some(names)) = parsed.subject_alternative_name() else {
        return Arc::default();
    };
    let names = names.value.general_names.iter();
    names
        .filter_map(|name| {
            let GeneralName::URI(uri) = name else {
                return None;
            };
            uri.strip_prefix(NAMES_BEGIN).map(Box::from)
        })
        .collect()
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed)
}
