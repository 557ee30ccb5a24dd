use std::{collections::HashSet, time::Duration};

use guildhall_mesh::Reason;
use guildhall_proto::auth::v1::{self as pb, access_change::What};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::{Hall, refusal, with_token};

const REFUSED: (Code, Reason) = (Code::Unauthenticated, Reason::RefreshRefused);

#[tokio::test]
async fn a_refresh_goes_on_with_the_session() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    hall.clock.pass(Duration::from_secs(60));

    let next = hall.refresh(&alice.refresh).await.expect("refreshes");

    assert_ne!(next.refresh_token, alice.refresh);
    assert_eq!(
        next.access_expires_at.expect("a time").seconds,
        hall.now() + 15 * 60
    );
    let me = with_token(pb::GetMeRequest {}, &next.access_token);
    assert!(hall.accounts().get_me(me).await.is_ok());
    assert!(hall.refresh(&next.refresh_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_refreshes_at_once_get_one_successor() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let mut tasks = JoinSet::new();

    for _ in 0..1_000 {
        let (mut sessions, refresh_token) = (hall.sessions(), alice.refresh.clone());
        tasks.spawn(async move { sessions.refresh(pb::RefreshRequest { refresh_token }).await });
    }
    let answers = tasks.join_all().await;

    let pairs: HashSet<_> = answers
        .into_iter()
        .map(|answer| answer.expect("refreshes").into_inner())
        .map(|answer| (answer.refresh_token, answer.access_token))
        .collect();
    assert_eq!(pairs.len(), 1);
    let (successor, _) = pairs.into_iter().next().expect("one");
    assert!(hall.refresh(&successor).await.is_ok());
}

#[tokio::test]
async fn a_lost_answer_is_repeated_for_ten_seconds() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let first = hall.refresh(&alice.refresh).await.expect("refreshes");

    hall.clock.pass(Duration::from_secs(10));
    let again = hall.refresh(&alice.refresh).await.expect("in time");
    hall.clock.pass(Duration::from_secs(1));
    let late = hall.refresh(&alice.refresh).await;

    assert_eq!(
        (again.refresh_token, again.access_token),
        (first.refresh_token, first.access_token)
    );
    assert_eq!(refusal(late), REFUSED);
}

#[tokio::test]
async fn once_the_successor_was_used_its_parent_is_a_reuse_and_ends_the_session() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let other = hall.login("alice").await;
    let second = hall.refresh(&alice.refresh).await.expect("refreshes");
    let third = hall
        .refresh(&second.refresh_token)
        .await
        .expect("refreshes");
    let mut told = hall.catch::<pb::AccessChanged>().await;

    assert_eq!(refusal(hall.refresh(&alice.refresh).await), REFUSED);

    assert_eq!(refusal(hall.refresh(&third.refresh_token).await), REFUSED);
    let me = hall
        .accounts()
        .get_me(with_token(pb::GetMeRequest {}, &third.access_token))
        .await;
    assert_eq!(refusal(me), (Code::Unauthenticated, Reason::SessionEnded));
    let change = told
        .event::<pb::AccessChanged>()
        .await
        .change
        .expect("a change");
    assert!(matches!(change.what, Some(What::SessionEnded(ended)) if ended.user_id == alice.id));
    assert!(other.me().await.is_ok(), "other sessions go on");
}

#[tokio::test]
async fn what_was_made_up_is_refused_and_ends_nothing() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let mut forged = alice.refresh.clone().into_bytes();
    let last = forged.len() - 30;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("text");

    for token in [
        forged.as_str(),
        "",
        "A",
        &alice.token[..150],
        &"A".repeat(91),
    ] {
        assert_eq!(refusal(hall.refresh(token).await), REFUSED, "{token}");
    }

    assert!(hall.refresh(&alice.refresh).await.is_ok());
}

#[tokio::test]
async fn a_session_ends_when_it_rests_for_a_week() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;

    hall.clock.pass(Duration::from_hours(7 * 24));

    assert_eq!(refusal(hall.refresh(&alice.refresh).await), REFUSED);
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_and_its_last_access_token_with_it() {
    let hall = Hall::new().await;
    let mut token = hall.person("alice").await.refresh;
    for _ in 0..29 {
        hall.clock.pass(Duration::from_hours(24));
        token = hall
            .refresh(&token)
            .await
            .expect("within its time")
            .refresh_token;
    }
    hall.clock
        .pass(Duration::from_hours(24) - Duration::from_secs(60));

    let last = hall.refresh(&token).await.expect("a minute before");
    hall.clock.pass(Duration::from_secs(60));

    assert_eq!(last.access_expires_at.expect("a time").seconds, hall.now());
    assert_eq!(refusal(hall.refresh(&last.refresh_token).await), REFUSED);
}

#[tokio::test]
async fn sessions_outlive_a_restart() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;

    let hall = hall.restart().await;

    let me = with_token(pb::GetMeRequest {}, &alice.token);
    assert!(hall.accounts().get_me(me).await.is_ok());
    assert!(hall.refresh(&alice.refresh).await.is_ok());
}
