use std::time::Duration;

use guildhall_mesh::Reason;
use guildhall_proto::auth::v1::{self as pb, access_change::What};
use tonic::{Code, Request};

use crate::support::{Hall, PASSWORD, Person, credentials, refusal};

#[tokio::test]
async fn one_signs_in_by_either_name_in_any_case() {
    let hall = Hall::new().await;
    hall.person("alice").await;
    let email = pb::LoginRequest {
        account: Some(pb::login_request::Account::Email(
            "ALICE@example.org".into(),
        )),
        ..credentials("", PASSWORD)
    };

    assert!(hall.try_login("ALICE", PASSWORD).await.is_ok());
    assert!(hall.sessions().login(email).await.is_ok());
}

#[tokio::test]
async fn nobody_learns_whether_an_account_exists() {
    let hall = Hall::new().await;
    hall.person("alice").await;

    let wrong = hall
        .try_login("alice", "not the password")
        .await
        .expect_err("refused");
    let nobody = hall
        .try_login("mallory", "not the password")
        .await
        .expect_err("refused");

    assert_eq!(
        (wrong.code(), wrong.message(), wrong.details()),
        (nobody.code(), nobody.message(), nobody.details())
    );
    assert_eq!(
        refusal(Err::<(), _>(wrong)),
        (Code::Unauthenticated, Reason::WrongCredentials)
    );
    // They wait alike, too.
    for name in ["alice", "mallory"] {
        for _ in 0..4 {
            let _ = hall.try_login(name, "not the password").await;
        }
        let refused = refusal(hall.try_login(name, "not the password").await);
        assert_eq!(
            refused,
            (Code::ResourceExhausted, Reason::RateLimited),
            "{name}"
        );
    }
    hall.clock.pass(Duration::from_secs(1));
    assert!(
        hall.try_login("alice", PASSWORD).await.is_ok(),
        "a wait, not a lock"
    );
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_ended_one_by_one() {
    let hall = Hall::new().await;
    let first = hall.person("alice").await;
    let mut request = Request::new(credentials("alice", PASSWORD));
    request
        .metadata_mut()
        .insert("x-gh-agent", "curl/8".parse().expect("a value"));
    hall.sessions().login(request).await.expect("signs in");
    let third = hall.login("alice").await;

    let (page, token) = list(&third, 2, "").await;
    let (rest, end) = list(&third, 2, &token).await;
    let all: Vec<_> = page.into_iter().chain(rest).collect();

    assert_eq!(
        all.iter()
            .map(|s| (s.current, s.user_agent.as_str()))
            .collect::<Vec<_>>(),
        [(true, ""), (false, "curl/8"), (false, "")]
    );
    assert!(end.is_empty());
    assert_eq!(
        all[0].expires_at.expect("a time").seconds,
        hall.now() + 7 * 86_400
    );

    let end = async |who: &Person, id: &str| {
        let request = pb::EndSessionRequest {
            session_id: id.into(),
        };
        who.sessions().end_session(who.asks(request)).await
    };
    let bob = hall.person("bob").await;
    let foreign = end(&bob, &all[2].id).await;
    let absent = end(&bob, &uuid::Uuid::from_u128(9).to_string()).await;
    let (foreign, absent) = (foreign.expect_err("his"), absent.expect_err("none"));
    assert_eq!(
        (foreign.code(), foreign.message()),
        (absent.code(), absent.message())
    );
    assert!(first.me().await.is_ok());

    for _ in 0..2 {
        end(&third, &all[2].id).await.expect("ends, again too");
    }
    assert_eq!(
        refusal(first.me().await),
        (Code::Unauthenticated, Reason::SessionEnded)
    );
    assert_eq!(list(&third, 0, "").await.0.len(), 2);
    assert_eq!(
        refusal(list_at(&third, "???").await).0,
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn logging_out_ends_the_session_and_tells_nothing() {
    let hall = Hall::new().await;
    let by_token = hall.person("alice").await;
    let by_bearer = hall.login("alice").await;
    let stays = hall.login("alice").await;
    let logout = async |token: &str| {
        let request = pb::LogoutRequest {
            refresh_token: token.into(),
        };
        hall.sessions()
            .logout(request)
            .await
            .expect("answers")
            .into_inner()
    };

    for token in [
        by_token.refresh.as_str(),
        by_token.refresh.as_str(),
        "no token at all",
        "",
    ] {
        logout(token).await;
    }
    let request = by_bearer.asks(pb::LogoutRequest::default());
    hall.sessions().logout(request).await.expect("answers");

    for gone in [by_token, by_bearer] {
        assert_eq!(refusal(gone.me().await).1, Reason::SessionEnded);
        assert_eq!(
            refusal(hall.refresh(&gone.refresh).await).1,
            Reason::RefreshRefused
        );
    }
    assert!(stays.me().await.is_ok());
}

async fn list(who: &Person, size: u32, token: &str) -> (Vec<pb::Session>, String) {
    let request = pb::ListSessionsRequest {
        page_size: size,
        page_token: token.into(),
    };
    let answer = who
        .sessions()
        .list_sessions(who.asks(request))
        .await
        .expect("lists")
        .into_inner();
    (answer.sessions, answer.next_page_token)
}

async fn list_at(who: &Person, token: &str) -> Result<(), tonic::Status> {
    let request = pb::ListSessionsRequest {
        page_size: 0,
        page_token: token.into(),
    };
    who.sessions()
        .list_sessions(who.asks(request))
        .await
        .map(drop)
}

#[tokio::test]
async fn a_session_whose_time_has_come_is_ended_and_told_like_any_other() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let mut told = hall.catch::<pb::AccessChanged>().await;
    hall.clock.pass(Duration::from_mins(7 * 24 * 60 - 10));
    let stays = hall.login("alice").await;

    hall.clock.pass(Duration::from_mins(10));
    let change = told.event::<pb::AccessChanged>().await.change;

    let Some(What::SessionEnded(ended)) = change.and_then(|change| change.what) else {
        panic!("the end of a session is told");
    };
    assert_eq!(ended.user_id, alice.id);
    let (left, _) = list(&stays, 0, "").await;
    assert!(left.len() == 1 && left[0].id != ended.session_id);
    assert_eq!(hall.changes(0).await.changes.len(), 1, "the other goes on");
}

#[tokio::test]
async fn a_name_that_no_database_can_hold_is_nobody_s() {
    let hall = Hall::new().await;
    hall.person("alice").await;

    let signed_in = hall.try_login("ali\0ce", crate::support::PASSWORD).await;

    assert_eq!(refusal(signed_in).1, Reason::WrongCredentials);
}
