//! Under which names cookies count: a domain that somebody points at this machine makes none of its pages ours.

use guildhall_gateway::GatewaySettings;
use guildhall_mesh::token::csrf_of;

use crate::support::{Hall, client, hall, hall_with, problem, roomy};

const LOGIN: &str = "/guildhall.auth.v1.SessionService/Login";
const REFRESH: &str = "/guildhall.auth.v1.SessionService/Refresh";
const GET_ME: &str = "/guildhall.auth.v1.AccountService/GetMe";
const UPDATE_ME: &str = "/guildhall.auth.v1.AccountService/UpdateMe";

#[tokio::test]
async fn a_domain_that_points_at_this_machine_gets_nothing_by_cookies() {
    let hall = hall().await;
    let (access, csrf) = (cookie(&hall), csrf_of(&hall.token()));
    let evil = |request: reqwest::RequestBuilder| {
        request
            .header("host", "evil.example:8080")
            .header("origin", "http://evil.example:8080")
            .header("sec-fetch-site", "same-origin")
            .send()
    };
    let me = hall.url("/api/v1/auth/me");

    let tries = [
        client().get(&me).header("cookie", &access),
        client()
            .patch(&me)
            .header("cookie", &access)
            .header("x-csrf-token", csrf)
            .json(&serde_json::json!({})),
        client()
            .post(hall.url("/api/v1/auth/refresh"))
            .header("cookie", "__Secure-guildhall-refresh=r")
            .json(&serde_json::json!({})),
        client()
            .post(hall.url("/api/v1/auth/start"))
            .header("cookie", &access)
            .json(&serde_json::json!({})),
        client().get(hall.url("/live")).header("cookie", &access),
    ];
    for request in tries {
        let (status, refused) = problem(evil(request).await.expect("answers")).await;
        assert_eq!(
            (status, &refused["reason"]),
            (403, &"REASON_ORIGIN_REFUSED".into())
        );
        let detail = refused["detail"].as_str().expect("text");
        assert!(detail.contains("gateway.public_origins"), "{detail}");
    }
    for rpc in [GET_ME, UPDATE_ME, REFRESH] {
        assert!(hall.services.asked(rpc).is_empty(), "{rpc}");
    }

    let bearer = evil(client().get(&me).bearer_auth(hall.token())).await;
    assert_eq!(bearer.expect("answers").status(), 200);
    let page = client().get(hall.url("/docs")).header("cookie", &access);
    assert_eq!(evil(page).await.expect("answers").status(), 200);
}

/// What the browser of this machine calls the hall -> whether cookies are handed out, over plain http.
#[tokio::test]
async fn over_plain_http_cookies_are_handed_out_at_this_machines_own_names_only() {
    let settings = GatewaySettings {
        public_origins: vec!["https://hall.example.org".into()],
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, roomy()).await;

    for (host, counts) in [
        ("localhost:8080", true),
        ("127.0.0.1:8080", true),
        ("[::1]:8080", true),
        ("192.168.1.5:8080", false),
        ("hall.example.org", false),
        ("evil.example", false),
    ] {
        assert_eq!(hands_out(&hall, host, None).await, counts, "{host}");
    }
}

#[tokio::test]
async fn over_plain_http_beyond_this_machine_cookies_are_refused_and_bearers_are_not() {
    let hall = hall().await;
    let ask = || {
        client()
            .get(hall.url("/api/v1/auth/me"))
            .header("host", "192.168.1.5:8080")
    };

    let cookie = ask().header("cookie", cookie(&hall)).send().await;
    let (status, refused) = problem(cookie.expect("answers")).await;
    let bearer = ask().bearer_auth(hall.token()).send().await;

    assert_eq!(
        (status, &refused["reason"]),
        (403, &"REASON_COOKIES_NEED_TLS".into())
    );
    let detail = refused["detail"].as_str().expect("text");
    assert!(detail.contains("gateway.trusted_proxies"), "{detail}");
    assert_eq!(bearer.expect("answers").status(), 200);
}

#[tokio::test]
async fn behind_a_proxy_cookies_count_under_the_names_in_the_settings() {
    let behind_proxy = |names: &[&str]| GatewaySettings {
        trusted_proxies: vec!["127.0.0.0/8".into()],
        public_origins: names.iter().map(|&name| name.to_owned()).collect(),
        ..GatewaySettings::default()
    };
    let unnamed = hall_with(behind_proxy(&[]), roomy()).await;
    let named = hall_with(behind_proxy(&["https://hall.example.org"]), roomy()).await;

    let https = Some("https");
    assert!(!hands_out(&unnamed, "hall.example.org", https).await);
    assert!(hands_out(&named, "hall.example.org", https).await);
    assert!(!hands_out(&named, "evil.example", https).await);
    assert!(!hands_out(&named, "hall.example.org", Some("http")).await);

    // Whether the proxy passes the name on, or calls us by our address.
    for host in ["hall.example.org", "127.0.0.1:8080"] {
        for (origin, status) in [
            ("https://hall.example.org", 200),
            ("https://evil.example", 403),
        ] {
            let answer = client()
                .patch(named.url("/api/v1/auth/me"))
                .header("host", host)
                .header("x-forwarded-for", "198.51.100.7")
                .header("x-forwarded-proto", "https")
                .header("cookie", cookie(&named))
                .header("x-csrf-token", csrf_of(&named.token()))
                .header("origin", origin)
                .json(&serde_json::json!({}))
                .send()
                .await
                .expect("answers");
            assert_eq!(answer.status(), status, "{host} {origin}");
        }
    }
}

fn cookie(hall: &Hall) -> String {
    format!("__Host-guildhall-access={}", hall.token())
}

/// Whether somebody who signs in under this name may have their tokens in cookies.
async fn hands_out(hall: &Hall, host: &str, proto: Option<&str>) -> bool {
    let mut request = client()
        .post(hall.url("/api/v1/auth/login"))
        .header("host", host)
        .json(&serde_json::json!({"username": "alice", "password": "p", "cookie": true}));
    if let Some(proto) = proto {
        request = request
            .header("x-forwarded-for", "198.51.100.7")
            .header("x-forwarded-proto", proto);
    }
    assert_eq!(request.send().await.expect("answers").status(), 200);
    let asked = hall.services.asked(LOGIN).pop().expect("one call");
    asked.header("x-gh-cookies-ok").is_some()
}
