//! With a certificate the port speaks TLS and nothing else.

use std::{
    fs,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use guildhall_gateway::{GatewaySettings, Listener};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer},
};

use crate::support::{Hall, crypto, hall_with, roomy};

struct Certificate {
    cert: tempfile::NamedTempFile,
    key: tempfile::NamedTempFile,
    der: CertificateDer<'static>,
}

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let file = |text: String| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("writes");
        file
    };
    Certificate {
        cert: file(made.cert.pem()),
        key: file(made.signing_key.serialize_pem()),
        der: made.cert.der().clone(),
    }
}

fn settings(certificate: &Certificate) -> GatewaySettings {
    GatewaySettings {
        tls_cert: certificate.cert.path().display().to_string(),
        tls_key: certificate.key.path().display().to_string(),
        handshake_seconds: 1,
        ..GatewaySettings::default()
    }
}

async fn connect(hall: &Hall, certificate: &Certificate, protocol: &str) -> TlsStream<TcpStream> {
    let connected = try_connect(hall, certificate, protocol).await;
    connected.expect("shakes hands")
}

/// Shakes hands with a server of this certificate and no other.
async fn try_connect(
    hall: &Hall,
    certificate: &Certificate,
    protocol: &str,
) -> io::Result<TlsStream<TcpStream>> {
    crypto();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der.clone()).expect("a root");
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpStream::connect(hall.address).await.expect("connects");
    let name = "localhost".try_into().expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_bad_files_change_nothing() {
    let (first, next) = (certificate(), certificate());
    let hall = hall_with(settings(&first), roomy()).await;
    connect(&hall, &first, "h2").await;

    fs::write(first.cert.path(), "no certificate\n").expect("writes");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    connect(&hall, &first, "h2").await;

    fs::copy(next.key.path(), first.key.path()).expect("copies");
    fs::copy(next.cert.path(), first.cert.path()).expect("copies");
    for _ in 0..200 {
        if try_connect(&hall, &next, "h2").await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the new certificate is never shown");
}

#[tokio::test]
async fn both_versions_of_http_are_offered_and_browsers_are_told_to_stay() {
    let certificate = certificate();
    let hall = hall_with(settings(&certificate), roomy()).await;

    let h2 = connect(&hall, &certificate, "h2").await;
    assert_eq!(h2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut h1 = connect(&hall, &certificate, "http/1.1").await;
    let request = format!(
        "GET /api/v1/auth/me HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        hall.token()
    );
    h1.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    // Peers may end a stream without saying so.
    let _ = h1.read_to_string(&mut answer).await;

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("strict-transport-security: max-age="),
        "{answer}"
    );
    let asked = hall
        .services
        .asked("/guildhall.auth.v1.AccountService/GetMe");
    assert_eq!(asked[0].header("x-gh-cookies-ok"), Some("1"));
}

#[tokio::test]
async fn plain_text_and_silence_end_at_the_handshake() {
    let certificate = certificate();
    let hall = hall_with(settings(&certificate), roomy()).await;

    for bytes in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b""] {
        let mut socket = TcpStream::connect(hall.address).await.expect("connects");
        socket.write_all(bytes).await.expect("sends");
        let mut answer = Vec::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(3), socket.read_to_end(&mut answer)).await;
        assert!(ended.is_ok() && !answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_serve_is_named() {
    let certificate = certificate();
    let good = settings(&certificate);
    let other = self::certificate();
    let cases = [
        (
            GatewaySettings {
                tls_key: String::new(),
                ..good.clone()
            },
            "gateway.tls_key",
        ),
        (
            GatewaySettings {
                tls_cert: String::new(),
                ..good.clone()
            },
            "gateway.tls_cert",
        ),
        (
            GatewaySettings {
                tls_cert: "/nowhere.pem".into(),
                ..good.clone()
            },
            "/nowhere.pem",
        ),
        (
            GatewaySettings {
                tls_cert: good.tls_key.clone(),
                ..good.clone()
            },
            "holds no certificate",
        ),
        (
            GatewaySettings {
                tls_key: other.key.path().display().to_string(),
                ..good.clone()
            },
            "gateway.tls_key",
        ),
        (
            GatewaySettings {
                listen: "nowhere".into(),
                ..GatewaySettings::default()
            },
            "gateway.listen",
        ),
    ];

    for (settings, named) in cases {
        let refused = Listener::bind(&settings)
            .await
            .err()
            .expect("refused")
            .to_string();
        assert!(refused.contains(named), "{named}: {refused}");
    }
}
