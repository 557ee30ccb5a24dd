//! Who is believed about where a call comes from: proxies on the list, pages on the list.

use guildhall_gateway::GatewaySettings;

use crate::support::{client, hall_with, roomy};

const GET_ME: &str = "/guildhall.auth.v1.AccountService/GetMe";

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_who_the_proxy_says() {
    let settings = GatewaySettings {
        trusted_proxies: vec!["127.0.0.0/8".into()],
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, roomy()).await;
    let send = |proto: &'static str| {
        client()
            .get(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token())
            .header("x-forwarded-for", "1.2.3.4, 198.51.100.7")
            .header("x-forwarded-proto", proto)
            .send()
    };

    let https = send("https").await.expect("answers");
    let http = send("http").await.expect("answers");

    assert!(https.headers().contains_key("strict-transport-security"));
    assert!(!http.headers().contains_key("strict-transport-security"));
    let asked = hall.services.asked(GET_ME);
    assert!(
        asked
            .iter()
            .all(|asked| asked.header("x-gh-client") == Some("198.51.100.7"))
    );
    assert_eq!(
        (
            asked[0].header("x-gh-cookies-ok"),
            asked[1].header("x-gh-cookies-ok")
        ),
        (Some("1"), None)
    );
}

#[tokio::test]
async fn pages_of_listed_sites_may_call_and_read_and_others_may_not() {
    let settings = GatewaySettings {
        origins: vec!["https://app.example.org".into()],
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, roomy()).await;
    let ask = |origin: &'static str| {
        client()
            .request(http::Method::OPTIONS, hall.url("/api/v1/auth/me"))
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            )
            .send()
    };

    let listed = ask("https://app.example.org").await.expect("answers");
    assert_eq!(listed.status(), 204);
    assert_eq!(
        listed.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
    assert!(
        listed.headers()["access-control-allow-methods"]
            .to_str()
            .expect("text")
            .contains("PATCH")
    );

    let other = ask("https://evil.example").await.expect("answers");
    assert!(
        other
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("access-control-"))
    );
    assert!(hall.services.asked(GET_ME).is_empty());

    let call = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .header("origin", "https://app.example.org")
        .send()
        .await
        .expect("answers");
    assert_eq!(
        call.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
    assert!(
        call.headers()["access-control-expose-headers"]
            .to_str()
            .expect("text")
            .contains("grpc-status")
    );
    assert!(
        call.headers()
            .get_all("vary")
            .iter()
            .any(|vary| vary == "origin")
    );
}
