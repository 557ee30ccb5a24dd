use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use guildhall_kernel::Role;
use guildhall_mesh::{
    access::{Access, AccessSettings, Refused, Watched},
    token::BadToken,
};

use crate::support::{FakeSource, Signer, Stopped, session, space, user};

fn cache(source: &Arc<FakeSource>, clock: &Arc<Stopped>) -> Access {
    Access::new(source.clone(), clock.clone(), &AccessSettings::default())
}

#[tokio::test]
async fn a_token_is_verified_once_and_then_remembered() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    let access = cache(&source, &clock);
    let token = signer.token(user(1), session(2));

    for _ in 0..3 {
        assert_eq!(access.verify(&token).await.expect("good").user, user(1));
    }

    assert_eq!(source.asked_sessions.load(Ordering::SeqCst), 1);
    assert_eq!(source.asked_keys.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_remembered_token_still_expires() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let access = cache(&FakeSource::with(&signer), &clock);
    let token = signer.token(user(1), session(2));
    access.verify(&token).await.expect("good");

    clock.pass(Duration::from_secs(906));

    let refused = access.verify(&token).await.expect_err("expired");
    assert!(
        matches!(refused, Refused::Bad(BadToken::Expired)),
        "{refused}"
    );
}

#[tokio::test]
async fn a_session_that_ended_opens_nothing_more() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    let access = cache(&source, &clock);
    let token = signer.token(user(1), session(2));
    access.verify(&token).await.expect("good");

    source.end(user(1), session(2));
    access.catch_up().await.expect("answers");

    assert!(matches!(
        access.verify(&token).await,
        Err(Refused::SessionEnded)
    ));
}

#[tokio::test]
async fn a_role_is_asked_once_and_asked_anew_after_a_change() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    source.let_in(user(1), space(1), Some(Role::Member));
    let access = cache(&source, &clock);
    access.catch_up().await.expect("answers");

    for _ in 0..3 {
        assert_eq!(
            access.role(user(1), space(1)).await.expect("known"),
            Some(Role::Member)
        );
    }
    assert_eq!(source.asked_roles.load(Ordering::SeqCst), 1);

    source.let_in(user(1), space(1), Some(Role::Owner));
    access.catch_up().await.expect("answers");
    assert_eq!(
        access.role(user(1), space(1)).await.expect("known"),
        Some(Role::Owner)
    );

    source.delete(space(1));
    access.catch_up().await.expect("answers");
    assert_eq!(access.role(user(1), space(1)).await.expect("known"), None);
}

#[tokio::test]
async fn an_answer_older_than_an_applied_change_is_not_kept() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    source.let_in(user(1), space(1), Some(Role::Member));
    let access = cache(&source, &clock);
    // Two changes are applied, and then the source answers as if it had seen none of them.
    source.let_in(user(2), space(1), Some(Role::Member));
    access.catch_up().await.expect("answers");
    source.changes.lock().expect("whole").clear();

    access.role(user(1), space(1)).await.expect("answers");
    access.role(user(1), space(1)).await.expect("answers");

    assert_eq!(source.asked_roles.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn when_auth_is_away_known_rights_hold_for_a_minute_and_then_nothing_does() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    source.let_in(user(1), space(1), Some(Role::Member));
    let access = cache(&source, &clock);
    let token = signer.token(user(1), session(2));
    access.catch_up().await.expect("answers");
    access.verify(&token).await.expect("good");
    access.role(user(1), space(1)).await.expect("known");
    let seats = access.seats(user(1)).await.expect("known");

    source.away.store(true, Ordering::SeqCst);
    clock.pass(Duration::from_secs(60));
    assert!(access.verify(&token).await.is_ok());
    assert_eq!(
        access.role(user(1), space(1)).await.expect("known"),
        Some(Role::Member)
    );
    assert_eq!(access.seats(user(1)).await.expect("known"), seats);

    clock.pass(Duration::from_secs(1));
    assert!(matches!(
        access.verify(&token).await,
        Err(Refused::Unknown(_))
    ));
    assert!(matches!(
        access.role(user(1), space(1)).await,
        Err(Refused::Unknown(_))
    ));
    assert!(matches!(
        access.seats(user(1)).await,
        Err(Refused::Unknown(_))
    ));
}

#[tokio::test]
async fn all_seats_of_a_user_are_asked_once_and_asked_anew_after_a_change() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    source.let_in(user(1), space(1), Some(Role::Member));
    let access = cache(&source, &clock);
    access.catch_up().await.expect("answers");
    let spaces = async || {
        let seats = access.seats(user(1)).await.expect("known");
        let mut spaces: Vec<_> = seats.keys().copied().collect();
        spaces.sort_unstable();
        spaces
    };

    for _ in 0..3 {
        assert_eq!(spaces().await, [space(1)]);
    }
    assert_eq!(source.asked_lists.load(Ordering::SeqCst), 1);
    assert!(
        access
            .role(user(1), space(1))
            .await
            .expect("known")
            .is_some()
    );
    assert_eq!(source.asked_roles.load(Ordering::SeqCst), 0, "it is listed");

    source.let_in(user(1), space(2), Some(Role::Guest));
    access.catch_up().await.expect("answers");
    assert_eq!(spaces().await, [space(1), space(2)]);
    source.let_in(user(1), space(1), None);
    access.catch_up().await.expect("answers");
    assert_eq!(spaces().await, [space(2)]);
    source.delete(space(2));
    access.catch_up().await.expect("answers");
    assert_eq!(spaces().await, []);
}

#[tokio::test]
async fn who_has_just_come_is_let_in_before_the_change_is_heard_and_then_listed() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    let access = cache(&source, &clock);
    assert!(access.seats(user(1)).await.expect("answers").is_empty());

    source.let_in(user(1), space(1), Some(Role::Member));
    let role = access.role(user(1), space(1)).await.expect("answers");
    let seats = access.seats(user(1)).await.expect("answers");

    assert_eq!(role, Some(Role::Member));
    assert!(seats.contains_key(&space(1)));
}

#[tokio::test]
async fn a_list_older_than_an_applied_change_is_not_kept() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    let access = cache(&source, &clock);
    // A change is applied, and then the source answers as if it had not seen it.
    source.let_in(user(1), space(1), Some(Role::Member));
    access.catch_up().await.expect("answers");
    source.changes.lock().expect("whole").clear();

    access.seats(user(1)).await.expect("answers");
    access.seats(user(1)).await.expect("answers");

    assert_eq!(source.asked_lists.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_ends_when_dropped() {
    let (old, new, clock) = (Signer::new("k1"), Signer::new("k2"), Stopped::new());
    let source = FakeSource::with(&old);
    let access = cache(&source, &clock);
    let before = old.token(user(1), session(2));
    access.verify(&before).await.expect("good");

    *source.jwks.lock().expect("whole") = new.jwks();
    clock.pass(Duration::from_secs(3));

    assert!(access.verify(&new.token(user(1), session(2))).await.is_ok());
    assert!(matches!(
        access.verify(&before).await,
        Err(Refused::Bad(BadToken::UnknownKey))
    ));
}

#[tokio::test]
async fn tokens_with_unknown_keys_do_not_make_us_ask_all_the_time() {
    let (signer, stranger, clock) = (Signer::new("k1"), Signer::new("k9"), Stopped::new());
    let source = FakeSource::with(&signer);
    let access = cache(&source, &clock);

    for n in 0..50 {
        assert!(
            access
                .verify(&stranger.token(user(n), session(2)))
                .await
                .is_err()
        );
    }

    assert_eq!(source.asked_keys.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_watcher_hears_every_change_in_order_after_it_was_applied() {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    let access = cache(&source, &clock);
    let mut watch = access.watch();

    source.let_in(user(1), space(1), Some(Role::Guest));
    source.let_in(user(1), space(1), None);
    source.end(user(1), session(1));
    access.catch_up().await.expect("answers");

    for n in 1..=3 {
        match watch.recv().await.expect("hears") {
            Watched::Change(change) => assert_eq!(change.n, n),
            Watched::Everything => panic!("nothing was lost"),
        }
    }
}
