use guildhall_mesh::Reason;
use guildhall_proto::auth::v1 as pb;
use tonic::Code;

use crate::support::{Hall, Person, application, refusal};

async fn found(who: &Person, q: &str) -> Vec<String> {
    let request = who.asks(pb::SearchUsersRequest { q: q.into() });
    let users = who
        .people()
        .search_users(request)
        .await
        .expect("searches")
        .into_inner()
        .users;
    users.into_iter().map(|user| user.username).collect()
}

#[tokio::test]
async fn people_are_seen_without_their_address() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let get = async |id: &str| {
        let request = alice.asks(pb::GetUserRequest { user_id: id.into() });
        alice
            .people()
            .get_user(request)
            .await
            .map(|answer| answer.into_inner().user.expect("a user"))
    };

    assert_eq!(get(&bob.id).await.expect("answers").username, "bob");
    assert_eq!(get("me").await.expect("answers").username, "alice");
    let nobody = uuid::Uuid::from_u128(1).to_string();
    assert_eq!(
        refusal(get(&nobody).await),
        (Code::NotFound, Reason::NotFound)
    );
    // A person has no field for it; should one come, this says where to look.
    let user = guildhall_proto::pool()
        .get_message_by_name("guildhall.auth.v1.User")
        .expect("the message");
    assert!(user.get_field_by_name("email").is_none());
}

#[tokio::test]
async fn many_people_come_once_each_in_the_order_asked() {
    let hall = Hall::new().await;
    let (alice, bob) = (hall.person("alice").await, hall.person("bob").await);
    let nobody = uuid::Uuid::from_u128(1).to_string();
    let user_ids = vec![
        bob.id.clone(),
        nobody,
        "me".into(),
        bob.id.clone(),
        alice.id.clone(),
    ];

    let answer = alice
        .people()
        .batch_get_users(alice.asks(pb::BatchGetUsersRequest { user_ids }))
        .await;

    let names: Vec<_> = answer
        .expect("answers")
        .into_inner()
        .users
        .into_iter()
        .map(|u| u.username)
        .collect();
    assert_eq!(names, ["bob", "alice"]);
}

#[tokio::test]
async fn people_are_found_by_the_beginning_of_a_name_or_word() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    for (name, shown) in [
        ("jlp", "Jean-Luc Picard"),
        ("al_x", "Éva 100% Müller"),
        ("alyx", "Zed"),
    ] {
        let request = pb::RegisterRequest {
            display_name: Some(shown.into()),
            ..application(name)
        };
        hall.accounts().register(request).await.expect("registers");
    }

    for (q, expected) in [
        ("AL", vec!["al_x", "alice", "alyx"]),
        ("al_", vec!["al_x"]),
        ("pic", vec!["jlp"]),
        ("luc p", vec!["jlp"]),
        ("jean-l", vec!["jlp"]),
        ("jean-", vec!["jlp"]),
        ("jea-", vec![]),
        ("MÜL", vec!["al_x"]),
        ("éva", vec!["al_x"]),
        ("ean", vec![]),
        ("%%", vec![]),
        ("__", vec![]),
        ("\\%", vec![]),
        ("' OR 1=1", vec![]),
    ] {
        assert_eq!(found(&alice, q).await, expected, "{q}");
    }
    let blank = alice.asks(pb::SearchUsersRequest { q: "   ".into() });
    let blank = alice.people().search_users(blank).await;
    assert_eq!(refusal(blank).0, Code::InvalidArgument);
}
