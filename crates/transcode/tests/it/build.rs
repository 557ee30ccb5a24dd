//! What is found wrong with rules before anything is served.

use std::sync::Arc;

use guildhall_transcode::{BuildError, Options, Resume, Transcoder};
use prost_reflect::DescriptorPool;

use crate::support::{pool, pool_of};

fn build(rules: &str) -> Result<Transcoder, BuildError> {
    let pool = pool_of(&format!("service S {{ {rules} }}"));
    Transcoder::build(pool, Options::default())
}

fn rpc(name: &str, rule: &str) -> String {
    format!("rpc {name}(In) returns (Out) {{ option (google.api.http) = {{ {rule} }}; }}")
}

#[test]
fn two_rules_for_the_same_requests_are_refused() {
    for (first, second) in [
        ("/v1/a", "/v1/a"),
        ("/v1/{id}", "/v1/{inner.id}"),
        ("/v1/a/*", "/v1/*/b"),
        ("/v1/x/**", "/v1/*/y"),
        ("/v1/{id}:go", "/v1/{inner.id}:go"),
        ("/v1/**", "/{id=**}"),
    ] {
        let rules =
            rpc("A", &format!("get: \"{first}\"")) + &rpc("B", &format!("get: \"{second}\""));
        let built = build(&rules).map(drop);
        if first == "/v1/**" {
            assert_eq!(built, Ok(()), "one is narrower");
            continue;
        }
        let Err(BuildError::Ambiguous {
            first_rpc,
            second_rpc,
            ..
        }) = built
        else {
            panic!("{first} {second}: {built:?}");
        };
        assert_eq!(
            (first_rpc.as_str(), second_rpc.as_str()),
            ("t.S.A", "t.S.B")
        );
    }
}

#[test]
fn a_rule_may_not_clash_with_its_own_additional_binding() {
    let rule = "get: \"/v1/{id}\" additional_bindings { get: \"/v1/{inner.id}\" }";

    assert!(matches!(
        build(&rpc("A", rule)),
        Err(BuildError::Ambiguous { .. })
    ));
}

#[test]
fn the_path_decides_before_the_method() {
    let crossed = rpc("A", "get: \"/v1/a/*\"") + &rpc("B", "post: \"/v1/*/b\"");
    let narrower = rpc("A", "get: \"/v1/me\"") + &rpc("B", "post: \"/v1/{id}\"");

    assert!(matches!(build(&crossed), Err(BuildError::Ambiguous { .. })));
    assert!(
        build(&narrower)
            .unwrap()
            .find(&http::Method::POST, "/v1/me")
            .is_none()
    );
}

#[test]
fn narrower_rules_and_other_methods_stand_side_by_side() {
    let rules = [
        rpc("A", "get: \"/v1/{id}\""),
        rpc("B", "get: \"/v1/search\""),
        rpc("C", "post: \"/v1/{id}\""),
        rpc("D", "get: \"/v1/{id}:go\""),
        rpc("E", "get: \"/v1/**\""),
        rpc("F", "custom: { kind: \"PURGE\" path: \"/v1/{id}\" }"),
    ]
    .concat();

    let rest = build(&rules).unwrap();

    for (method, path, name) in [
        ("GET", "/v1/a", "A"),
        ("GET", "/v1/search", "B"),
        ("POST", "/v1/a", "C"),
        ("GET", "/v1/search:go", "D"),
        ("GET", "/v1/a/b", "E"),
        ("GET", "/v1", "E"),
        ("PURGE", "/v1/a", "F"),
    ] {
        let found = rest.find(&method.parse().unwrap(), path).unwrap();
        assert_eq!(found.name(), name, "{method} {path}");
    }
}

#[test]
fn rules_that_name_what_is_not_there_are_refused() {
    for (rule, role) in [
        ("get: \"/v1/{nope}\"", "path"),
        ("get: \"/v1/{inner.nope}\"", "path"),
        ("get: \"/v1/{inner}\"", "path"),
        ("get: \"/v1/{ids}\"", "path"),
        ("post: \"/v1\" body: \"nope\"", "body"),
        ("get: \"/v1\" body: \"*\"", "body"),
        ("post: \"/v1/{inner.id}\" body: \"inner.id\"", "body"),
        ("post: \"/v1/{id}\" body: \"id\"", "body"),
        ("get: \"/v1\" response_body: \"nope\"", "response_body"),
    ] {
        match build(&rpc("A", rule)).map(drop) {
            Err(BuildError::Field {
                role: found, rpc, ..
            }) => {
                assert_eq!((found, rpc.as_str()), (role, "t.S.A"), "{rule}");
            }
            other => panic!("{rule}: {other:?}"),
        }
    }
    assert!(matches!(
        build(&rpc("A", "get: \"v1\"")),
        Err(BuildError::Template { .. })
    ));
    assert!(matches!(
        build(&rpc("A", "body: \"*\"")),
        Err(BuildError::NoMethod { .. })
    ));
    let streaming = "rpc A(stream In) returns (Out) { option (google.api.http) = {get: \"/v1\"}; }";
    assert!(matches!(
        build(streaming),
        Err(BuildError::ClientStreaming { .. })
    ));
}

#[test]
fn a_resume_field_must_be_text() {
    for (request_field, response_field) in [
        ("nope", "event_id"),
        ("room_ids", "event_id"),
        ("last_event_id", "room"),
    ] {
        let resume = Resume {
            request_field: request_field.into(),
            response_field: response_field.into(),
        };
        let options = Options {
            resume: Arc::new(move |rpc| (rpc.name() == "Watch").then(|| resume.clone())),
            ..Options::default()
        };
        let built = Transcoder::build(pool(), options);
        assert!(matches!(
            built,
            Err(BuildError::Field { role: "resume", .. })
        ));
    }
}

#[test]
fn a_pool_without_http_rules_is_refused() {
    let built = Transcoder::build(DescriptorPool::new(), Options::default());

    assert!(matches!(built, Err(BuildError::NoHttpOption)));
}
