//! The hall's own pages, and what every answer tells a browser.

use serde_json::Value;

use crate::support::{client, framed, hall};

const PAGES: [(&str, &str); 10] = [
    ("/", "text/html; charset=utf-8"),
    ("/docs", "text/html; charset=utf-8"),
    ("/docs/docs.js", "text/javascript; charset=utf-8"),
    ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
    (
        "/docs/swagger-ui-bundle.js",
        "text/javascript; charset=utf-8",
    ),
    ("/hall.css", "text/css; charset=utf-8"),
    ("/favicon.svg", "image/svg+xml"),
    ("/favicon.ico", "image/svg+xml"),
    ("/openapi.json", "application/json"),
    ("/.well-known/jwks.json", "application/jwk-set+json"),
];

#[tokio::test]
async fn every_page_is_there_by_get_and_by_head() {
    let hall = hall().await;

    let client = client();
    for (path, kind) in PAGES {
        let got = client.get(hall.url(path)).send().await.expect("answers");
        assert_eq!(
            (got.status().as_u16(), &got.headers()["content-type"]),
            (200, &http::HeaderValue::from_static(kind)),
            "{path}"
        );
        assert!(!got.bytes().await.expect("a body").is_empty(), "{path}");
        let head = client.head(hall.url(path)).send().await.expect("answers");
        assert_eq!(
            (
                head.status().as_u16(),
                head.bytes().await.expect("no body").len()
            ),
            (200, 0),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_answer_to_a_browser_is_safe_by_its_headers() {
    let hall = hall().await;
    let client = client();
    let mut answers = Vec::new();
    for (path, _) in PAGES {
        answers.push(client.get(hall.url(path)).send().await.expect("answers"));
    }
    let rest = [
        client
            .get(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token()),
        client.get(hall.url("/api/v1/nothing")),
        client.get(hall.url("/nothing")),
        client.get(hall.url("/live")),
        client.delete(hall.url("/api/v1/auth/login")),
        client
            .post(hall.url("/api/v1/auth/login"))
            .body(vec![0; 2 << 20]),
        client.request(http::Method::OPTIONS, hall.url("/api/v1/auth/me")),
        client
            .post(hall.url("/guildhall.auth.v1.AccountService/GetMe"))
            .header("content-type", "application/grpc-web+proto")
            .body(framed(&[])),
        client
            .post(hall.url("/x"))
            .header("content-type", "application/grpc-web+json"),
    ];
    for request in rest {
        answers.push(request.send().await.expect("answers"));
    }

    for answer in answers {
        let at = answer.url().path().to_owned();
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(header("x-content-type-options"), "nosniff", "{at}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{at}");
        assert_eq!(header("x-frame-options"), "DENY", "{at}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{at}");
        assert_eq!(
            header("cross-origin-resource-policy"),
            "same-origin",
            "{at}"
        );
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{at} {policy}"
        );
        assert!(
            !policy.contains("unsafe-eval") && !policy.contains("script-src 'unsafe-inline'"),
            "{at} {policy}"
        );
        assert!(
            !header("cache-control").is_empty() && !header("x-request-id").is_empty(),
            "{at}"
        );
        assert!(
            header("strict-transport-security").is_empty(),
            "{at}: not over plain HTTP"
        );
        assert!(
            header("server").is_empty() && header("access-control-allow-origin").is_empty(),
            "{at}"
        );
    }
}

#[tokio::test]
async fn the_landing_page_has_commands_for_where_it_is_read() {
    let hall = hall().await;

    let here = client()
        .get(hall.url("/"))
        .send()
        .await
        .expect("answers")
        .text()
        .await
        .expect("text");
    let hostile = client()
        .get(hall.url("/"))
        .header("host", "\"><script>")
        .send()
        .await;

    assert!(
        here.contains(&format!("curl -s {}/api/v1/auth/register", hall.origin())),
        "{here}"
    );
    assert!(here.contains(&format!("grpcurl -plaintext {} list", hall.address)));
    if let Ok(hostile) = hostile {
        assert!(!hostile.text().await.expect("text").contains("<script>"));
    }
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere() {
    let hall = hall().await;

    for path in ["/", "/docs"] {
        let page = client()
            .get(hall.url(path))
            .send()
            .await
            .expect("answers")
            .text()
            .await
            .expect("text");
        let loaded = page.split("src=\"").chain(page.split("<link")).skip(1);
        assert!(loaded.clone().count() > 0);
        let mut places = page.split('"');
        let elsewhere = places.find(|text| text.starts_with("http") || text.starts_with("//"));
        assert_eq!(elsewhere, None, "{path}");
    }
}

#[tokio::test]
async fn packed_files_are_unpacked_for_who_takes_no_gzip() {
    let hall = hall().await;
    let get = |accept: Option<&'static str>| {
        let request = client().get(hall.url("/docs/swagger-ui.css"));
        match accept {
            Some(accept) => request.header("accept-encoding", accept).send(),
            None => request.send(),
        }
    };

    let packed = get(Some("gzip, br")).await.expect("answers");
    let plain = get(None).await.expect("answers");

    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert!(plain.headers().get("content-encoding").is_none());
    let (packed, plain) = (
        packed.bytes().await.expect("a body"),
        plain.text().await.expect("text"),
    );
    assert!(packed.len() * 2 < plain.len() && plain.contains(".swagger-ui"));
}

#[tokio::test]
async fn json_is_packed_for_who_takes_gzip_and_grpc_web_is_not() {
    let hall = hall().await;

    let rest = client()
        .get(hall.url("/openapi.json"))
        .header("accept-encoding", "gzip")
        .send()
        .await
        .expect("answers");
    let web = client()
        .post(hall.url("/guildhall.auth.v1.AccountService/GetMe"))
        .header("content-type", "application/grpc-web+proto")
        .header("accept-encoding", "gzip")
        .body(framed(&[]))
        .send()
        .await
        .expect("answers");

    assert_eq!(rest.headers()["content-encoding"], "gzip");
    assert!(web.headers().get("content-encoding").is_none());
}

#[tokio::test]
async fn the_api_description_has_every_public_call_and_says_who_may_call() {
    let hall = hall().await;
    let text = client()
        .get(hall.url("/openapi.json"))
        .send()
        .await
        .expect("answers")
        .text()
        .await
        .expect("text");
    let api: Value = serde_json::from_str(&text).expect("JSON");

    assert_eq!(api["openapi"], "3.1.0");
    assert_eq!(api, guildhall_gateway::openapi().expect("the same"));
    let post = &api["paths"]["/api/v1/channels/{channelId}/messages"]["post"];
    let post = if post.is_null() {
        &api["paths"]["/api/v1/channels/{channel_id}/messages"]["post"]
    } else {
        post
    };
    assert!(
        post["description"]
            .as_str()
            .is_some_and(|text| text.contains("role GUEST or more")),
        "{post}"
    );
    assert_eq!(
        post["security"],
        serde_json::json!([{"bearer": []}, {"cookie": []}])
    );
    assert_eq!(
        api["paths"]["/api/v1/auth/login"]["post"]["security"],
        serde_json::json!([])
    );
    assert!(api["components"]["securitySchemes"]["bearer"].is_object());
    let operations = api["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|path| path.as_object().expect("methods").values());
    for operation in operations {
        let said = operation["description"].as_str().unwrap_or_default();
        assert!(
            said.contains("may call.") || said.contains("Callers need"),
            "{operation}"
        );
    }
    for hidden in ["AccessService", "FeedService", "EnsureDirect"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn the_keys_are_those_of_auth_and_are_asked_for_once_in_a_while() {
    let hall = hall().await;
    hall.is_ready().await;
    let own = hall
        .services
        .asked("/guildhall.auth.v1.AccessService/GetKeys")
        .len();

    for _ in 0..5 {
        let keys: Value = client()
            .get(hall.url("/.well-known/jwks.json"))
            .send()
            .await
            .expect("answers")
            .json()
            .await
            .expect("JSON");
        assert_eq!(keys["keys"][0]["kid"], "k1");
    }

    let asked = hall
        .services
        .asked("/guildhall.auth.v1.AccessService/GetKeys");
    assert!(asked.len() <= own + 3, "{}", asked.len());
    assert!(
        asked
            .iter()
            .all(|asked| asked.peer == Some(guildhall_mesh::Peer::local("gateway")))
    );
}
