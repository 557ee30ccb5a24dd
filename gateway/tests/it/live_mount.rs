//! The live feed's socket, as far as the edge guards it.

use crate::support::{client, hall, problem};

#[tokio::test]
async fn a_page_of_another_site_opens_no_socket() {
    let hall = hall().await;
    let open = |origin: String, cookie: Option<String>| {
        let mut request = client()
            .get(hall.url("/live"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        request.send()
    };
    let cookie = || Some(format!("__Host-guildhall-access={}", hall.token()));

    for (origin, cookie) in [
        ("https://evil.example".to_owned(), None),
        ("https://evil.example".to_owned(), cookie()),
        ("null".to_owned(), None),
        // A cookie needs a page of ours, and a page has an origin.
        (String::new(), cookie()),
    ] {
        let (status, refused) = problem(open(origin.clone(), cookie).await.expect("answers")).await;
        assert_eq!(
            (status, &refused["reason"]),
            (403, &"REASON_ORIGIN_REFUSED".into()),
            "{origin}"
        );
    }
    for (origin, cookie) in [
        (hall.origin(), cookie()),
        (hall.origin(), None),
        (String::new(), None),
    ] {
        let answer = open(origin.clone(), cookie).await.expect("answers");
        assert_ne!(answer.status(), 403, "{origin}");
    }
}
