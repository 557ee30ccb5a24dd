use std::sync::Arc;

use guildhall_mesh::Reason;
use sea_orm::{ConnectionTrait as _, Statement};
use svc_auth::{
    AuthError, AuthSettings,
    admin::Admin,
    model::{DisplayName, Email, Username},
};

use crate::support::{Data, Hall, refusal};

async fn admin(data: &Data) -> Admin {
    let clock = Arc::new(data.clock.clone());
    Admin::open(
        &data.place.home,
        &AuthSettings::default(),
        clock,
        Arc::new(data.ids.clone()),
    )
    .await
    .expect("opens")
}

#[tokio::test]
async fn an_operator_sets_a_password_on_a_stopped_hall_and_all_sessions_end() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let data = hall.stop().await;
    let new = "seven green kettles";

    let admin = admin(&data).await;
    admin
        .set_password("Alice@example.org", new.to_owned().into())
        .await
        .expect("sets");
    let nobody = admin.set_password("mallory", new.to_owned().into()).await;
    let weak = admin
        .set_password("alice", "password1".to_owned().into())
        .await;
    admin.close().await;
    let hall = Hall::start(data).await;

    assert!(
        matches!(nobody, Err(AuthError::NotFound("account"))),
        "{nobody:?}"
    );
    assert!(
        matches!(weak, Err(AuthError::PasswordWeak { .. })),
        "{weak:?}"
    );
    assert!(hall.try_login("alice", new).await.is_ok());
    assert_eq!(
        refusal(hall.refresh(&alice.refresh).await).1,
        Reason::RefreshRefused
    );
}

#[tokio::test]
async fn imported_bcrypt_hashes_sign_in_and_become_argon2id() {
    let vectors = [
        (
            "ann",
            "U*U",
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        ),
        (
            "ben",
            "U*U*",
            "$2b$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
        ),
        (
            "cat",
            "U*U*U",
            "$2y$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
        ),
    ];
    let data = Hall::new().await.stop().await;
    let admin = admin(&data).await;
    for (name, _, hash) in vectors {
        let username = Username::parse(name).expect("a name");
        let email = Email::parse(&format!("{name}@example.org")).expect("an address");
        let shown = DisplayName::parse("").expect("a name");
        admin
            .import(&username, &email, &shown, hash)
            .await
            .expect("imports");
        let again = admin.import(&username, &email, &shown, hash).await;
        assert!(
            matches!(
                again,
                Err(AuthError::NamesTaken {
                    username: true,
                    email: true
                })
            ),
            "{again:?}"
        );
    }
    admin.close().await;
    let hall = Hall::start(data).await;

    for (name, password, _) in vectors {
        assert_eq!(
            refusal(hall.try_login(name, "U*U*U*U").await).1,
            Reason::WrongCredentials
        );
        hall.try_login(name, password).await.expect("signs in");
        hall.try_login(name, password)
            .await
            .expect("signs in with the new hash");
    }

    let database = hall.database().await;
    let ask = "SELECT password_hash AS h FROM account";
    let ask = Statement::from_string(database.get_database_backend(), ask);
    let rows = database.query_all_raw(ask).await.expect("reads");
    assert_eq!(rows.len(), 3);
    for row in rows {
        let hash: String = row.try_get("", "h").expect("a hash");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
    }
}
