use guildhall_kernel::Time;
use guildhall_mesh::token::{BadToken, Keys, csrf_of};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{NOW, Signer, claims, session, user};

fn now() -> Time {
    Time::from_micros(NOW * 1_000_000)
}

#[test]
fn a_good_token_says_who_and_until_when() {
    let signer = Signer::new("k1");
    let keys = Keys::parse(&signer.jwks()).expect("keys");

    let verified = keys
        .verify(&signer.token(user(1), session(2)), now())
        .expect("good");

    assert_eq!((verified.user, verified.session), (user(1), session(2)));
    assert_eq!(verified.expires_at.seconds(), NOW + 900);
}

#[test]
fn a_claim_that_is_wrong_missing_or_of_the_wrong_type_opens_nothing() {
    let signer = Signer::new("k1");
    let keys = Keys::parse(&signer.jwks()).expect("keys");
    let good = serde_json::to_value(claims(user(1), session(2))).expect("claims");
    let changes: &[(&str, Option<Value>, BadToken)] = &[
        ("iss", Some(json!("other")), BadToken::Invalid),
        ("aud", Some(json!("guildhall/upload")), BadToken::Invalid),
        ("sub", Some(json!("admin")), BadToken::Invalid),
        ("sid", Some(json!("")), BadToken::Invalid),
        ("exp", Some(json!(NOW - 5)), BadToken::Expired),
        ("exp", Some(json!("9999999999")), BadToken::Invalid),
        ("exp", Some(json!(1e300)), BadToken::Invalid),
        ("exp", Some(Value::Null), BadToken::Invalid),
        ("nbf", Some(json!(NOW + 6)), BadToken::Invalid),
        ("nbf", Some(json!("soon")), BadToken::Invalid),
        ("iss", None, BadToken::Invalid),
        ("aud", None, BadToken::Invalid),
        ("sub", None, BadToken::Invalid),
        ("sid", None, BadToken::Invalid),
        ("exp", None, BadToken::Invalid),
        ("nbf", None, BadToken::Invalid),
    ];

    for (claim, value, why) in changes {
        let mut bad = good.clone();
        let claims = bad.as_object_mut().expect("an object");
        match value {
            Some(value) => claims.insert((*claim).into(), value.clone()),
            None => claims.remove(*claim),
        };
        let token = signer.sign(&signer.header(), &bad);
        assert_eq!(keys.verify(&token, now()), Err(*why), "{claim} {value:?}");
    }
}

#[test]
fn a_header_that_chooses_its_own_key_or_rules_opens_nothing() {
    let signer = Signer::new("k1");
    let keys = Keys::parse(&signer.jwks()).expect("keys");
    let claims = claims(user(1), session(2));
    let bend = |bend: fn(&mut Header)| {
        let mut header = signer.header();
        bend(&mut header);
        signer.sign(&header, &claims)
    };

    for (name, token) in [
        ("no typ", bend(|header| header.typ = None)),
        ("typ JWT", bend(|header| header.typ = Some("JWT".into()))),
        ("no kid", bend(|header| header.kid = None)),
        (
            "jku",
            bend(|header| header.jku = Some("http://127.0.0.1/keys".into())),
        ),
        (
            "x5u",
            bend(|header| header.x5u = Some("http://127.0.0.1/cert".into())),
        ),
        (
            "crit",
            bend(|header| header.crit = Some(vec!["exp".into()])),
        ),
    ] {
        assert_eq!(keys.verify(&token, now()), Err(BadToken::Invalid), "{name}");
    }
    for kid in ["k2", "../../dev/null", "' OR 1=1 --"] {
        let mut header = signer.header();
        header.kid = Some(kid.into());
        assert_eq!(
            keys.verify(&signer.sign(&header, &claims), now()),
            Err(BadToken::UnknownKey),
            "{kid}"
        );
    }
}

#[test]
fn another_algorithm_or_no_signature_opens_nothing() {
    let signer = Signer::new("k1");
    let keys = Keys::parse(&signer.jwks()).expect("keys");
    let claims = claims(user(1), session(2));
    let good = signer.token(user(1), session(2));
    let (head, tail) = good.split_once('.').expect("three parts");
    let (body, signature) = tail.split_once('.').expect("three parts");
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".into());
    header.typ = Some("at+jwt".into());
    let secret = EncodingKey::from_secret(signer.jwks().as_bytes());

    for token in [
        jsonwebtoken::encode(&header, &claims, &secret).expect("signs"),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoiazEifQ.{body}."),
        format!("{head}.{body}."),
        format!(
            "{head}.{body}.{}",
            signature.chars().rev().collect::<String>()
        ),
        format!("{head}.{}.{signature}", body.replace('A', "B")),
        String::new(),
        "a.b.c".into(),
        "x".repeat(100_000),
    ] {
        assert_eq!(
            keys.verify(&token, now()),
            Err(BadToken::Invalid),
            "{token:.60}"
        );
    }
}

#[test]
fn the_csrf_token_belongs_to_one_access_token() {
    assert_eq!(csrf_of("a"), csrf_of("a"));
    assert_ne!(csrf_of("a"), csrf_of("b"));
}
