//! Cookies in, cookies out, and what a call with cookies has to prove.

use guildhall_gateway::GatewaySettings;
use guildhall_mesh::token::csrf_of;
use guildhall_proto::auth::v1::{LoginResponse, LogoutResponse};

use crate::support::{client, framed, hall, hall_with, problem, roomy};

const LOGIN: &str = "/guildhall.auth.v1.SessionService/Login";
const LOGOUT: &str = "/guildhall.auth.v1.SessionService/Logout";
const REFRESH: &str = "/guildhall.auth.v1.SessionService/Refresh";
const GET_ME: &str = "/guildhall.auth.v1.AccountService/GetMe";
const UPDATE_ME: &str = "/guildhall.auth.v1.AccountService/UpdateMe";

#[tokio::test]
async fn tokens_of_a_service_reach_the_browser_as_cookies_and_nothing_inner_gets_out() {
    let hall = hall().await;
    let tokens = [
        ("x-gh-access", "a.b.c"),
        ("x-gh-access-max-age", "900"),
        ("x-gh-refresh", "r"),
        ("x-gh-refresh-max-age", "604800"),
        ("x-gh-secret", "s"),
    ];
    hall.services
        .answer_with(LOGIN, &LoginResponse::default(), &tokens);
    hall.services
        .answer_with(LOGOUT, &LogoutResponse::default(), &[("x-gh-clear", "1")]);

    let rest = client()
        .post(hall.url("/api/v1/auth/login"))
        .json(&serde_json::json!({"username": "alice", "password": "p", "cookie": true}))
        .send()
        .await
        .expect("answers");
    let web = client()
        .post(hall.url(LOGIN))
        .header("content-type", "application/grpc-web+proto")
        .body(framed(&[]))
        .send()
        .await
        .expect("answers");

    for answer in [rest, web] {
        let set: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert_eq!(
            set[0],
            "__Host-guildhall-access=a.b.c; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=900"
        );
        assert_eq!(
            set[1],
            "__Secure-guildhall-refresh=r; HttpOnly; SameSite=Strict; Secure; Path=/api/v1/auth; Max-Age=604800"
        );
        assert!(
            answer
                .headers()
                .keys()
                .all(|name| !name.as_str().starts_with("x-gh-"))
        );
    }
    let cleared = client()
        .post(hall.url("/api/v1/auth/logout"))
        .json(&serde_json::json!({}))
        .send()
        .await
        .expect("answers");
    assert_eq!(cleared.headers().get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn a_client_cannot_say_what_only_the_gateway_may() {
    let hall = hall().await;

    let answer = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .header("x-gh-client", "198.51.100.1")
        .header("x-gh-refresh", "stolen")
        .header("x-gh-cookie", "1")
        .header("X-GH-Anything", "1")
        .header("x-forwarded-for", "198.51.100.1")
        .header("user-agent", "test/1")
        .send()
        .await;
    assert_eq!(answer.expect("answers").status(), 200);

    let asked = hall.services.asked(GET_ME).pop().expect("one call");
    assert_eq!(asked.header("x-gh-client"), Some("127.0.0.1"));
    assert_eq!(asked.header("x-gh-agent"), Some("test/1"));
    let others = ["x-gh-refresh", "x-gh-cookie", "x-gh-anything", "cookie"];
    assert!(
        others.iter().all(|name| asked.header(name).is_none()),
        "{:?}",
        asked.headers
    );
}

#[tokio::test]
async fn an_access_cookie_becomes_a_bearer_and_a_bearer_wins_over_it() {
    let hall = hall().await;
    let cookie = format!("other=1; __Host-guildhall-access={}", hall.token());

    let by_cookie = client()
        .get(hall.url("/api/v1/auth/me"))
        .header("cookie", &cookie)
        .send()
        .await
        .expect("answers");
    let by_both = client()
        .get(hall.url("/api/v1/auth/me"))
        .header("cookie", &cookie)
        .bearer_auth("mine")
        .send()
        .await;

    assert_eq!(
        (by_cookie.status(), by_both.expect("answers").status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    let asked = hall.services.asked(GET_ME);
    assert_eq!(
        asked[0].header("authorization"),
        Some(&*format!("Bearer {}", hall.token()))
    );
    assert_eq!(
        (asked[0].header("x-gh-cookie"), asked[0].header("cookie")),
        (Some("1"), None)
    );
    assert_eq!(
        (
            asked[1].header("authorization"),
            asked[1].header("x-gh-cookie")
        ),
        (Some("Bearer mine"), None)
    );
}

/// Which of the proofs a call with an access cookie brings -> whether it passes. `own` is the hall's own origin.
#[tokio::test]
async fn a_call_with_cookies_proves_by_token_and_origin_that_our_page_makes_it() {
    let listed = "https://app.example.org";
    let settings = GatewaySettings {
        origins: vec![listed.into()],
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, roomy()).await;
    let token = hall.token();
    let good = csrf_of(&token);
    let stale = csrf_of(&hall.expired_token());
    let own = hall.origin();
    let (good, stale, own) = (
        Some(good.as_str()),
        Some(stale.as_str()),
        Some(own.as_str()),
    );
    let evil = Some("https://evil.example");

    let table = [
        // csrf, origin, sec-fetch-site, what comes of it
        (good, own, Some("same-origin"), None),
        (good, own, None, None),
        (good, None, None, None),
        (good, None, Some("same-origin"), None),
        (good, Some(listed), Some("same-site"), None),
        (None, own, Some("same-origin"), Some("REASON_CSRF")),
        (stale, own, Some("same-origin"), Some("REASON_CSRF")),
        (Some(""), own, None, Some("REASON_CSRF")),
        (None, None, None, Some("REASON_CSRF")),
        (good, evil, None, Some("REASON_ORIGIN_REFUSED")),
        (
            good,
            evil,
            Some("cross-site"),
            Some("REASON_ORIGIN_REFUSED"),
        ),
        (good, own, Some("cross-site"), Some("REASON_ORIGIN_REFUSED")),
        (good, Some("null"), None, Some("REASON_ORIGIN_REFUSED")),
        (good, None, Some("same-site"), Some("REASON_ORIGIN_REFUSED")),
        (
            good,
            None,
            Some("cross-site"),
            Some("REASON_ORIGIN_REFUSED"),
        ),
        (
            None,
            evil,
            Some("cross-site"),
            Some("REASON_ORIGIN_REFUSED"),
        ),
    ];
    let client = client();
    for (csrf, origin, site, refused) in table {
        for web in [false, true] {
            let request = if web {
                let request = client.post(hall.url(UPDATE_ME));
                request
                    .header("content-type", "application/grpc-web+proto")
                    .body(framed(&[]))
            } else {
                client
                    .patch(hall.url("/api/v1/auth/me"))
                    .json(&serde_json::json!({}))
            };
            let mut request = request.header("cookie", format!("__Host-guildhall-access={token}"));
            for (name, value) in [
                ("x-csrf-token", csrf),
                ("origin", origin),
                ("sec-fetch-site", site),
            ] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let answer = request.send().await.expect("answers");
            let case = format!("{csrf:?} {origin:?} {site:?} grpc-web: {web}");
            match refused {
                None => {
                    let failed = answer.headers().get("grpc-status");
                    assert!(answer.status() == 200 && failed.is_none(), "{case}");
                }
                Some(_) if web => assert_eq!(answer.headers()["grpc-status"], "7", "{case}"),
                Some(reason) => {
                    let (status, problem) = problem(answer).await;
                    assert_eq!(
                        (status, &problem["reason"]),
                        (403, &reason.into()),
                        "{case}"
                    );
                }
            }
        }
    }
    let passed = table
        .iter()
        .filter(|(.., refused)| refused.is_none())
        .count();
    assert_eq!(
        hall.services.asked(UPDATE_ME).len(),
        2 * passed,
        "nothing refused got through"
    );
}

#[tokio::test]
async fn refreshing_by_cookie_needs_an_allowed_origin_and_no_csrf_token() {
    let hall = hall().await;
    let own = hall.origin();
    let send = |origin: Option<&str>, site: Option<&str>| {
        let mut request = client()
            .post(hall.url("/api/v1/auth/refresh"))
            .header("cookie", "__Secure-guildhall-refresh=r1")
            .json(&serde_json::json!({}));
        for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.send()
    };

    assert_eq!(
        send(Some(&own), Some("same-origin"))
            .await
            .expect("answers")
            .status(),
        200
    );
    assert_eq!(
        hall.services.asked(REFRESH)[0].header("x-gh-refresh"),
        Some("r1")
    );
    for (origin, site) in [
        (None, None),
        (None, Some("same-origin")),
        (Some("https://evil.example"), None),
        (Some(own.as_str()), Some("cross-site")),
        (Some("null"), None),
    ] {
        let (status, problem) = problem(send(origin, site).await.expect("answers")).await;
        assert_eq!(
            (status, &problem["reason"]),
            (403, &"REASON_ORIGIN_REFUSED".into()),
            "{origin:?} {site:?}"
        );
    }
    assert_eq!(hall.services.asked(REFRESH).len(), 1);

    // A program that brings its token in the body has no cookie to be abused.
    let native = client()
        .post(hall.url("/api/v1/auth/refresh"))
        .json(&serde_json::json!({"refreshToken": "r2"}))
        .send();
    assert_eq!(native.await.expect("answers").status(), 200);
}

#[tokio::test]
async fn an_old_cookie_does_not_keep_anybody_from_signing_in() {
    let hall = hall().await;

    let answer = client()
        .post(hall.url("/api/v1/auth/login"))
        .header(
            "cookie",
            format!(
                "__Host-guildhall-access={}; __Secure-guildhall-refresh=r",
                hall.expired_token()
            ),
        )
        .json(&serde_json::json!({"username": "alice", "password": "p", "cookie": true}))
        .send()
        .await
        .expect("answers");

    assert_eq!(answer.status(), 200);
    let asked = &hall.services.asked(LOGIN)[0];
    assert_eq!(
        (asked.header("authorization"), asked.header("x-gh-refresh")),
        (None, None)
    );
    assert_eq!(asked.header("x-gh-cookies-ok"), Some("1"), "loopback");
}

#[tokio::test]
async fn the_refresh_cookie_goes_to_nothing_that_has_no_use_for_it() {
    let hall = hall().await;
    let both = format!(
        "__Host-guildhall-access={}; __Secure-guildhall-refresh=r",
        hall.token()
    );

    let me = client()
        .get(hall.url("/api/v1/auth/me"))
        .header("cookie", both)
        .send()
        .await
        .expect("answers");

    assert_eq!(me.status(), 200);
    assert_eq!(hall.services.asked(GET_ME)[0].header("x-gh-refresh"), None);
}
