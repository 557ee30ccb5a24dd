use std::time::Duration;

use guildhall_mesh::{Reason, token::csrf_of};
use guildhall_proto::auth::v1 as pb;
use tonic::{Code, Request, metadata::MetadataMap};

use crate::support::{Hall, PASSWORD, application, credentials, fields, refusal, with_token};

fn over_https<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("x-gh-cookies-ok", "1".parse().expect("a value"));
    request
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> &'a str {
    metadata.get(name).expect(name).to_str().expect("text")
}

#[tokio::test]
async fn with_cookies_the_tokens_travel_beside_the_answer() {
    let hall = Hall::new().await;
    let request = pb::RegisterRequest {
        cookie: true,
        ..application("alice")
    };

    let answer = hall
        .accounts()
        .register(over_https(request))
        .await
        .expect("registers");

    let (metadata, message, _) = answer.into_parts();
    assert!(message.access_token.is_empty() && message.refresh_token.is_empty());
    let access = text(&metadata, "x-gh-access");
    assert_eq!(message.csrf_token, Some(csrf_of(access)));
    assert_eq!(text(&metadata, "x-gh-access-max-age"), "900");
    assert_eq!(text(&metadata, "x-gh-refresh-max-age"), "604800");
    let me = with_token(pb::GetMeRequest {}, access);
    assert!(hall.accounts().get_me(me).await.is_ok());
}

#[tokio::test]
async fn a_refresh_answers_the_way_its_token_came() {
    let hall = Hall::new().await;
    hall.person("alice").await;
    let request = pb::LoginRequest {
        cookie: true,
        ..credentials("alice", PASSWORD)
    };
    let opened = hall
        .sessions()
        .login(over_https(request))
        .await
        .expect("signs in");
    let cookie = text(opened.metadata(), "x-gh-refresh").to_owned();
    hall.clock.pass(Duration::from_secs(60));

    let mut request = Request::new(pb::RefreshRequest::default());
    request
        .metadata_mut()
        .insert("x-gh-refresh", cookie.parse().expect("a value"));
    let answer = hall.sessions().refresh(request).await.expect("refreshes");

    assert!(answer.get_ref().refresh_token.is_empty() && answer.get_ref().csrf_token.is_some());
    assert_ne!(text(answer.metadata(), "x-gh-refresh"), cookie);
    let next = text(answer.metadata(), "x-gh-refresh").to_owned();
    let by_field = hall.refresh(&next).await.expect("refreshes");
    assert!(!by_field.refresh_token.is_empty() && by_field.csrf_token.is_none());
}

#[tokio::test]
async fn cookies_that_browsers_would_drop_are_refused() {
    let hall = Hall::new().await;
    let register = pb::RegisterRequest {
        cookie: true,
        ..application("alice")
    };

    let refused = hall
        .accounts()
        .register(register)
        .await
        .expect_err("no TLS");

    assert_eq!(fields(&refused), ["cookie"]);
    assert_eq!(
        refusal(Err::<(), _>(refused)),
        (Code::InvalidArgument, Reason::CookiesNeedTls)
    );
    hall.person("alice").await;
    let login = pb::LoginRequest {
        cookie: true,
        ..credentials("alice", PASSWORD)
    };
    assert_eq!(
        refusal(hall.sessions().login(login).await).1,
        Reason::CookiesNeedTls
    );
}

#[tokio::test]
async fn logging_out_by_cookie_ends_the_session_and_clears_the_cookies() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let mut request = Request::new(pb::LogoutRequest::default());
    request
        .metadata_mut()
        .insert("x-gh-refresh", alice.refresh.parse().expect("a value"));

    let answer = hall.sessions().logout(request).await.expect("answers");

    assert_eq!(text(answer.metadata(), "x-gh-clear"), "1");
    assert_eq!(refusal(alice.me().await).1, Reason::SessionEnded);
}
