//! The hall's own site: a page that says what this is, the API page with everything it needs, the API description, and the keys.

use std::{
    io::Read as _,
    sync::{Arc, OnceLock},
};

use axum::body::Body;
use bytes::Bytes;
use flate2::read::GzDecoder;
use guildhall_mesh::rules::Rules;
use guildhall_transcode::Transcoder;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, VARY,
    },
    request::Parts,
};
use tonic::{Code, Status};

use crate::{
    keys::PublicKeys,
    openapi,
    peer::Client,
    wire::{Wire, plain, text},
};

/// What the landing page may load: its style and its picture.
const PLAIN_PAGE: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What the API page may: also its scripts, and calls to this hall.
const DOCS_PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Files change with the binary only.
const AN_HOUR: &str = "public, max-age=3600";
/// Pages and descriptions are asked for anew.
const ASK_AGAIN: &str = "no-cache";

/// A page or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// What this is and where to go next.
    Landing,
    /// The API page.
    Docs,
    /// The API description.
    OpenApi,
    /// The public keys of access tokens.
    Keys,
    /// A file that pages load.
    File(&'static File),
}

/// A file that was compiled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    path: &'static str,
    media_type: &'static str,
    gzipped: bool,
    bytes: &'static [u8],
}

static SHELF: [File; 5] = [
    File {
        path: "/hall.css",
        media_type: "text/css; charset=utf-8",
        gzipped: false,
        bytes: include_bytes!("../assets/hall.css"),
    },
    File {
        path: "/favicon.svg",
        media_type: "image/svg+xml",
        gzipped: false,
        bytes: include_bytes!("../assets/favicon.svg"),
    },
    File {
        path: "/docs/docs.js",
        media_type: "text/javascript; charset=utf-8",
        gzipped: false,
        bytes: include_bytes!("../assets/docs.js"),
    },
    File {
        path: "/docs/swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        gzipped: true,
        bytes: include_bytes!("../assets/swagger-ui/swagger-ui.css.gz"),
    },
    File {
        path: "/docs/swagger-ui-bundle.js",
        media_type: "text/javascript; charset=utf-8",
        gzipped: true,
        bytes: include_bytes!("../assets/swagger-ui/swagger-ui-bundle.js.gz"),
    },
];

impl Page {
    /// The page at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Landing,
            "/docs" | "/docs/" => Self::Docs,
            "/openapi.json" => Self::OpenApi,
            "/.well-known/jwks.json" => Self::Keys,
            // Browsers ask for it unasked, and take the picture in any format.
            "/favicon.ico" => Self::at("/favicon.svg")?,
            path => Self::File(SHELF.iter().find(|file| file.path == path)?),
        })
    }
}

/// Serves the pages.
pub(crate) struct Site {
    transcoder: Transcoder,
    rules: Arc<Rules>,
    /// Made when first asked for: a hall that starts has better things to do.
    openapi: OnceLock<Bytes>,
    keys: PublicKeys,
}

impl Site {
    /// With what the API description is made of, and where the keys come from.
    pub(crate) fn new(transcoder: Transcoder, rules: Arc<Rules>, keys: PublicKeys) -> Self {
        Self {
            transcoder,
            rules,
            openapi: OnceLock::new(),
            keys,
        }
    }

    /// Answers a request for a page.
    pub(crate) async fn answer(
        &self,
        page: Page,
        request: &Parts,
        client: &Client,
        correlation: &str,
    ) -> Response<Body> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let detail = "This path takes GET, HEAD.";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let mut response = plain(status, Code::Unimplemented, detail, None, correlation);
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let mut response = match self.page(page, &request.headers, client).await {
            Ok(response) => response,
            Err(status) => Wire::Http.refuse(&status, correlation),
        };
        if request.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn page(
        &self,
        page: Page,
        headers: &HeaderMap,
        client: &Client,
    ) -> Result<Response<Body>, Status> {
        Ok(match page {
            Page::Landing => html(landing(client), PLAIN_PAGE),
            Page::Docs => html(include_str!("../assets/docs.html").into(), DOCS_PAGE),
            Page::OpenApi => file(self.openapi(), "application/json", ASK_AGAIN),
            Page::Keys => file(
                self.keys.text().await?,
                "application/jwk-set+json",
                "public, max-age=30",
            ),
            Page::File(found) => found.response(headers),
        })
    }
}

impl Site {
    fn openapi(&self) -> Bytes {
        let text = || {
            openapi::document(&self.transcoder, &self.rules)
                .to_string()
                .into()
        };
        self.openapi.get_or_init(text).clone()
    }
}

impl File {
    fn response(&self, headers: &HeaderMap) -> Response<Body> {
        if !self.gzipped {
            return file(Bytes::from_static(self.bytes), self.media_type, AN_HOUR);
        }
        let takes_gzip = text(headers, ACCEPT_ENCODING.as_str()).is_some_and(takes_gzip);
        let mut response = if takes_gzip {
            let mut response = file(Bytes::from_static(self.bytes), self.media_type, AN_HOUR);
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            let mut bytes = Vec::new();
            // Our own file: a test unpacks it.
            let _ = GzDecoder::new(self.bytes).read_to_end(&mut bytes);
            file(bytes.into(), self.media_type, AN_HOUR)
        };
        response
            .headers_mut()
            .append(VARY, HeaderValue::from_static("accept-encoding"));
        response
    }
}

/// Whether an Accept-Encoding has gzip in it and not ruled out.
fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|one| {
        let (coding, quality) = one.split_once(';').unwrap_or((one, ""));
        let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The landing page, with commands that work where it is read.
fn landing(client: &Client) -> String {
    let origin = client
        .own_origin
        .as_deref()
        .filter(|origin| origin.bytes().all(is_plain));
    let origin = origin.unwrap_or("http://localhost:8080");
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    include_str!("../assets/index.html")
        .replace("%ORIGIN%", origin)
        .replace("%HOST%", host)
        .replace("%PLAIN%", if client.tls { "" } else { "-plaintext " })
}

/// What may stand in an origin and means nothing in HTML and in a shell.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":/.-[]".contains(&byte)
}

fn html(text: String, policy: &'static str) -> Response<Body> {
    let mut response = file(text.into(), "text/html; charset=utf-8", ASK_AGAIN);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn file(bytes: Bytes, media_type: &'static str, kept: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_files_unpack() {
        for file in SHELF.iter().filter(|file| file.gzipped) {
            let mut bytes = Vec::new();
            GzDecoder::new(file.bytes)
                .read_to_end(&mut bytes)
                .expect("unpacks");
            assert!(bytes.len() > file.bytes.len(), "{}", file.path);
        }
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        assert!(takes_gzip("gzip, deflate, br") && takes_gzip("br;q=1, GZIP;q=0.5"));
        assert!(!takes_gzip("gzip;q=0, br") && !takes_gzip("identity") && !takes_gzip(""));
    }

    #[test]
    fn every_file_of_a_page_is_on_the_shelf() {
        let pages = concat!(
            include_str!("../assets/index.html"),
            include_str!("../assets/docs.html")
        );
        let mut links = pages.split(['"']).filter(|text| text.starts_with('/'));

        assert!(links.all(|link| Page::at(link).is_some()));
    }
}
