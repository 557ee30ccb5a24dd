use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use guildhall_kernel::Ids as _;
use guildhall_mesh::Reason;
use guildhall_proto::auth::v1 as pb;
use guildhall_testkit::CountedIds;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{Hall, refusal, with_token};

/// The hall's own signing key: the first thing that it draws.
fn key() -> Ed25519KeyPair {
    let mut seed = [0; 32];
    CountedIds::new().random(&mut seed);
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed")
}

fn part(token: &str, n: usize) -> Value {
    let part = token.split('.').nth(n).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn sign(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let text = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", text(header), text(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn with(value: &Value, changes: &Value) -> Value {
    let mut changed = value.clone();
    for (name, change) in changes.as_object().expect("an object") {
        let fields = changed.as_object_mut().expect("an object");
        if change.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), change.clone());
        }
    }
    changed
}

async fn me(hall: &Hall, token: &str) -> Result<(), tonic::Status> {
    hall.accounts()
        .get_me(with_token(pb::GetMeRequest {}, token))
        .await
        .map(drop)
}

#[tokio::test]
async fn a_token_that_is_not_exactly_ours_opens_nothing() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;
    let (header, claims) = (part(&alice.token, 0), part(&alice.token, 1));
    let now = hall.now();
    let own = |header: Value, claims: Value| sign(&key(), &header, &claims);
    assert!(
        me(&hall, &own(header.clone(), claims.clone()))
            .await
            .is_ok(),
        "the key is the hall's"
    );

    let other_key = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a seed");
    let stripped = alice.token.rsplit_once('.').expect("parts").0.to_owned();
    let mut attacks = vec![
        ("signed by another key", sign(&other_key, &header, &claims)),
        ("no signature", format!("{stripped}.")),
        ("two parts", stripped),
        ("no token", "abc".into()),
        (
            "none",
            own(with(&header, &json!({"alg": "none"})), claims.clone()),
        ),
        ("none, unsigned", {
            let whole = own(with(&header, &json!({"alg": "none"})), claims.clone());
            format!("{}.", whole.rsplit_once('.').expect("parts").0)
        }),
    ];
    for change in [
        json!({"alg": "HS256"}),
        json!({"alg": "RS256"}),
        json!({"alg": "ES256"}),
        json!({"kid": null}),
        json!({"kid": "../../etc/passwd"}),
        json!({"kid": "' OR 1=1 --"}),
        json!({"kid": ""}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}}),
        json!({"x5u": "https://evil.example/cert"}),
        json!({"x5c": ["AAAA"]}),
        json!({"crit": ["exp"]}),
        json!({"typ": "JWT"}),
        json!({"typ": null}),
        json!({"typ": "refresh+jwt"}),
    ] {
        attacks.push(("a bad header", own(with(&header, &change), claims.clone())));
    }
    for change in [
        json!({"aud": "guildhall/upload"}),
        json!({"aud": null}),
        json!({"iss": "evil"}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"sub": "nobody"}),
        json!({"sid": null}),
        json!({"exp": null}),
        json!({"exp": "9999999999"}),
        json!({"exp": {"at": 9_999_999_999_u64}}),
        json!({"exp": 1e300}),
        json!({"nbf": null}),
        json!({"nbf": "0"}),
        json!({"nbf": now + 60}),
    ] {
        attacks.push(("bad claims", own(header.clone(), with(&claims, &change))));
    }
    assert!(attacks.len() >= 35);
    for (name, token) in attacks {
        let found = refusal(me(&hall, &token).await);
        assert_eq!(
            found,
            (Code::Unauthenticated, Reason::TokenInvalid),
            "{name}: {token}"
        );
    }
    let expired = own(header.clone(), with(&claims, &json!({"exp": now - 6})));
    assert_eq!(refusal(me(&hall, &expired).await).1, Reason::TokenExpired);
    let of_another = own(
        header,
        with(
            &claims,
            &json!({"sub": uuid::Uuid::from_u128(7).to_string()}),
        ),
    );
    assert_eq!(
        refusal(me(&hall, &of_another).await).1,
        Reason::SessionEnded
    );
}

#[tokio::test]
async fn a_token_ends_by_the_clock() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;

    hall.clock.pass(Duration::from_secs(15 * 60 - 1));
    assert!(alice.me().await.is_ok());
    hall.clock.pass(Duration::from_secs(7));

    assert_eq!(
        refusal(alice.me().await),
        (Code::Unauthenticated, Reason::TokenExpired)
    );
}

#[tokio::test]
async fn no_token_and_a_refresh_token_are_told_apart_from_an_access_token() {
    let hall = Hall::new().await;
    let alice = hall.person("alice").await;

    let none = hall.accounts().get_me(pb::GetMeRequest {}).await;

    assert_eq!(refusal(none), (Code::Unauthenticated, Reason::TokenMissing));
    assert_eq!(
        refusal(me(&hall, &alice.refresh).await).1,
        Reason::TokenInvalid
    );
}

#[tokio::test]
async fn a_new_key_takes_over_and_tokens_of_the_old_one_live_out_their_time() {
    let hall = Hall::new().await;
    hall.person("alice").await;
    let keys = async |hall: &Hall| {
        let jwks = hall
            .access()
            .get_keys(pb::GetKeysRequest {})
            .await
            .expect("answers");
        let set: Value = serde_json::from_str(&jwks.into_inner().jwks).expect("JSON");
        set["keys"].as_array().expect("keys").clone()
    };
    let first = keys(&hall).await;
    assert_eq!(first.len(), 1);
    assert_eq!(
        (&first[0]["kty"], &first[0]["crv"], &first[0]["alg"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
    );
    assert!(first[0].get("d").is_none(), "public parts only");

    hall.clock
        .pass(Duration::from_hours(30 * 24) - Duration::from_secs(300));
    let old = hall.login("alice").await;
    hall.clock.pass(Duration::from_secs(300));
    let hall = hall.restart().await;
    let between = hall.login("alice").await;
    let both = keys(&hall).await;
    hall.clock.pass(Duration::from_secs(120));
    let hall = hall.restart().await;
    let new = hall.login("alice").await;

    assert_eq!(both.len(), 2);
    assert_eq!(both[1], first[0]);
    assert_eq!(part(&old.token, 0)["kid"], first[0]["kid"]);
    // Other processes may not know the new one yet.
    assert_eq!(part(&between.token, 0)["kid"], first[0]["kid"]);
    assert_eq!(part(&new.token, 0)["kid"], both[0]["kid"]);
    assert!(me(&hall, &old.token).await.is_ok() && me(&hall, &new.token).await.is_ok());

    hall.clock.pass(Duration::from_secs(32 * 60));
    let hall = hall.restart().await;

    assert_eq!(keys(&hall).await, [both[0].clone()]);
}
