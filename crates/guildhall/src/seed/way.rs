//! The way to a hall, and why there is none.

use std::{error::Error, io, path::Path, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use tokio_rustls::rustls::{CertificateError, Error as TlsError};
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to a hall and makes sure that it is one. `ca` vouches for its certificate, else the machine's authorities do.
pub(super) async fn connect(hall: &str, ca: Option<&Path>) -> anyhow::Result<Channel> {
    let url: Uri = hall
        .parse()
        .ok()
        .filter(|url: &Uri| matches!(url.scheme_str(), Some("http" | "https")))
        .with_context(|| format!("{hall} is no URL like http://127.0.0.1:8080"))?;
    let mut endpoint = Endpoint::from(url.clone()).timeout(PATIENCE);
    if url.scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(trust(ca)?).context(
            "this machine knows no certificate authorities: give the hall's by --ca FILE (PEM)",
        )?;
    }
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => bail!(no_way(&url, ca, &error)),
    };
    // A port that takes connections may still speak something else.
    let asked = HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await;
    match asked {
        Ok(_) => Ok(channel),
        Err(refused) if refused.source().is_some() => bail!(broken(&url, &refused)),
        Err(refused) if refused.code() == Code::ResourceExhausted => Ok(channel),
        Err(_) => bail!("what answers at {url} is no hall: correct --hall"),
    }
}

fn trust(ca: Option<&Path>) -> anyhow::Result<ClientTlsConfig> {
    let config = ClientTlsConfig::new().timeout(PATIENCE);
    let Some(ca) = ca else {
        return Ok(config.with_native_roots());
    };
    let pem = std::fs::read(ca).with_context(|| format!("{} cannot be read", ca.display()))?;
    Ok(config.ca_certificate(Certificate::from_pem(pem)))
}

/// Why no connection came about, and what to do.
fn no_way(url: &Uri, ca: Option<&Path>, error: &(dyn Error + 'static)) -> anyhow::Error {
    if let Some(tls) = cause::<TlsError>(error) {
        return no_trust(url, ca, tls);
    }
    let system = cause::<io::Error>(error).map(io::Error::kind);
    let hung_up = matches!(
        system,
        Some(
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        )
    );
    if hung_up && url.scheme_str() == Some("https") {
        return no_tls(url);
    }
    let root = root(error);
    anyhow!("no hall answers at {url} ({root}): start one by `guildhall serve`, or correct --hall")
}

fn no_trust(url: &Uri, ca: Option<&Path>, error: &TlsError) -> anyhow::Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library says the rare ones well enough"
    )]
    match error {
        TlsError::InvalidMessage(_) => no_tls(url),
        TlsError::InvalidCertificate(wrong) => match wrong {
            // A bad signature: another authority goes by the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => match ca {
                None => anyhow!(
                    "the certificate of {url} is signed by nobody whom this machine knows: give the authority's certificate by --ca FILE (PEM)"
                ),
                Some(ca) => anyhow!(
                    "the certificate of {url} is not signed by the authority in {}: give the right one by --ca FILE (PEM)",
                    ca.display()
                ),
            },
            CertificateError::NotValidForNameContext { presented, .. } => {
                // Each stands there as DnsName("hall.example.org").
                let names = presented.iter().filter_map(|name| name.split('"').nth(1));
                let told: Vec<_> = names
                    .map(|name| format!("--hall {}", with_host(url, name)))
                    .collect();
                anyhow!(
                    "the certificate of {url} is for another name: use {}",
                    if told.is_empty() {
                        "the one that stands in it".to_owned()
                    } else {
                        told.join(" or ")
                    }
                )
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => anyhow!(
                "the certificate of {url} is not good today ({wrong}): renew it, or set the clock of this machine"
            ),
            _ => {
                anyhow!("the certificate of {url} is not good ({wrong}): give the hall another one")
            }
        },
        error => anyhow!(
            "no TLS with {url} ({error}): `guildhall doctor` looks at the hall's certificate"
        ),
    }
}

/// A connection that came about and then broke: as a rule the other end speaks TLS.
fn broken(url: &Uri, error: &(dyn Error + 'static)) -> anyhow::Error {
    if url.scheme_str() == Some("http") {
        let secure = with_scheme(url, "https");
        return anyhow!(
            "what listens at {url} speaks no plain http, or is no hall: where a hall has a certificate, use --hall {secure}"
        );
    }
    anyhow!(
        "the connection to {url} broke ({}): try again, and look at the hall's log",
        root(error)
    )
}

fn no_tls(url: &Uri) -> anyhow::Error {
    let plain = with_scheme(url, "http");
    anyhow!(
        "what listens at {url} speaks no TLS: a hall without a certificate is at --hall {plain}"
    )
}

fn with_scheme(url: &Uri, scheme: &str) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}

fn with_host(url: &Uri, host: &str) -> String {
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("https://{host}{port}")
}

/// The first error of a type among the causes of another.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}

fn root(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        // An error of the system that only wraps another one hides it from `source`.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
