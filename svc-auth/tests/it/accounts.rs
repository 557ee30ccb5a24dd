use guildhall_mesh::Reason;
use guildhall_proto::auth::v1 as pb;
use svc_auth::{AuthSettings, config::Registration};
use tonic::Code;

use crate::support::{Hall, PASSWORD, application, fields, refusal};

#[tokio::test]
async fn who_registers_is_signed_in() {
    let hall = Hall::new().await;

    let answer = hall
        .accounts()
        .register(application("Alice"))
        .await
        .expect("registers")
        .into_inner();

    let account = answer.account.expect("an account");
    assert_eq!(account.email, "Alice@example.org");
    assert_eq!(account.user.expect("a user").display_name, "Alice");
    assert_eq!(
        answer.access_expires_at.expect("a time").seconds,
        hall.now() + 15 * 60
    );
    assert!(answer.csrf_token.is_none() && !answer.refresh_token.is_empty());
    let alice = hall.login("alice").await;
    assert_eq!(
        alice
            .me()
            .await
            .expect("answers")
            .user
            .expect("a user")
            .username,
        "Alice"
    );
}

#[tokio::test]
async fn a_taken_name_is_told_by_its_field_in_any_spelling() {
    let hall = Hall::new().await;
    hall.person("alice").await;

    let same_name = pb::RegisterRequest {
        email: "b@example.org".into(),
        ..application("ALICE")
    };
    let same_email = pb::RegisterRequest {
        email: "Alice@Example.ORG".into(),
        ..application("bob")
    };

    for (request, code, field) in [
        (same_name, Reason::UsernameTaken, vec!["username"]),
        (same_email, Reason::EmailTaken, vec!["email"]),
        (
            application("Alice"),
            Reason::UsernameTaken,
            vec!["username", "email"],
        ),
    ] {
        let refused = hall.accounts().register(request).await.expect_err("taken");
        assert_eq!(fields(&refused), field);
        assert_eq!(refusal(Err::<(), _>(refused)), (Code::AlreadyExists, code));
    }
}

#[tokio::test]
async fn of_many_who_want_one_name_one_gets_it() {
    let hall = Hall::new().await;
    let tries = (0..4).map(|n| {
        let mut accounts = hall.accounts();
        let request = pb::RegisterRequest {
            email: format!("{n}@example.org"),
            ..application("alice")
        };
        async move { accounts.register(request).await }
    });

    let (a, b, c, d) = {
        let mut tries: Vec<_> = tries.map(Box::pin).collect();
        let (d, c) = (tries.remove(3), tries.remove(2));
        let (b, a) = (tries.remove(1), tries.remove(0));
        tokio::join!(a, b, c, d)
    };

    let got = [a, b, c, d];
    assert_eq!(got.iter().filter(|answer| answer.is_ok()).count(), 1);
    for lost in got.into_iter().filter(Result::is_err) {
        assert_eq!(refusal(lost), (Code::AlreadyExists, Reason::UsernameTaken));
    }
}

#[tokio::test]
async fn weak_passwords_and_closed_doors_are_refused() {
    let hall = Hall::new().await;
    for password in ["password1", "newcomer99", "guildhall1"] {
        let request = pb::RegisterRequest {
            password: password.into(),
            ..application("newcomer")
        };
        let refused = hall.accounts().register(request).await.expect_err("weak");
        assert_eq!(fields(&refused), ["password"], "{password}");
        assert_eq!(
            refusal(Err::<(), _>(refused)),
            (Code::InvalidArgument, Reason::PasswordWeak)
        );
    }

    let closed = AuthSettings {
        registration: Registration::Closed,
        ..AuthSettings::default()
    };
    let closed = Hall::with(closed).await;

    let refused = closed.accounts().register(application("alice")).await;
    assert_eq!(
        refusal(refused),
        (Code::PermissionDenied, Reason::RegistrationClosed)
    );
}

#[tokio::test]
async fn a_profile_changes_where_asked_and_is_told_once() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let mut told = hall.catch::<pb::UserChanged>().await;
    let update = async |name: Option<&str>, status: Option<&str>| {
        let request = pb::UpdateMeRequest {
            display_name: name.map(Into::into),
            status_text: status.map(Into::into),
        };
        let answer = alice
            .accounts()
            .update_me(alice.asks(request))
            .await
            .expect("updates");
        answer
            .into_inner()
            .account
            .and_then(|account| account.user)
            .expect("a user")
    };

    let renamed = update(Some("Alice B."), None).await;
    update(Some("Alice B."), None).await;
    let busy = update(None, Some("busy")).await;
    let cleared = update(Some(""), Some("")).await;

    assert_eq!(
        (renamed.display_name.as_str(), renamed.status_text.as_str()),
        ("Alice B.", "")
    );
    assert_eq!(
        (busy.display_name.as_str(), busy.status_text.as_str()),
        ("Alice B.", "busy")
    );
    assert_eq!(
        (cleared.display_name.as_str(), cleared.status_text.as_str()),
        ("alice", "")
    );
    for expected in [renamed, busy, cleared] {
        assert_eq!(told.event::<pb::UserChanged>().await.user, Some(expected));
    }
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let hall = Hall::new().await;
    let other = hall.person("alice").await;
    let alice = hall.login("alice").await;
    let new = "seven green kettles";
    let change = async |current: &str, new: &str| {
        let request = pb::ChangePasswordRequest {
            current_password: current.into(),
            new_password: new.into(),
        };
        alice.accounts().change_password(alice.asks(request)).await
    };

    let wrong = change("something else", new).await.expect_err("wrong");
    assert_eq!(fields(&wrong), ["current_password"]);
    let weak = change(PASSWORD, "alice12345").await.expect_err("weak");
    assert_eq!(fields(&weak), ["new_password"]);
    change(PASSWORD, new).await.expect("changes");

    assert!(alice.me().await.is_ok());
    assert_eq!(
        refusal(other.me().await),
        (Code::Unauthenticated, Reason::SessionEnded)
    );
    assert_eq!(
        refusal(hall.refresh(&other.refresh).await).1,
        Reason::RefreshRefused
    );
    assert_eq!(
        refusal(hall.try_login("alice", PASSWORD).await).1,
        Reason::WrongCredentials
    );
    assert!(hall.try_login("alice", new).await.is_ok());
}
