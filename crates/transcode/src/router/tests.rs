//! The tree against a matcher that tries every template.

use http::Method;
use proptest::{collection::vec, prelude::*};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use prost_types::{
    DescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};

use super::{Miss, Router, split_verb};
use crate::{
    route::{BodyRule, Route},
    template::{Segment, Template},
};

fn rpc() -> MethodDescriptor {
    let method = MethodDescriptorProto {
        name: Some("Call".into()),
        input_type: Some(".M".into()),
        output_type: Some(".M".into()),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("S".into()),
        method: vec![method],
        ..ServiceDescriptorProto::default()
    };
    let message = DescriptorProto {
        name: Some("M".into()),
        ..DescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("m.proto".into()),
        syntax: Some("proto3".into()),
        message_type: vec![message],
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    let pool = DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file: vec![file] });
    pool.unwrap()
        .get_service_by_name("S")
        .unwrap()
        .methods()
        .next()
        .unwrap()
}

fn route(rpc: &MethodDescriptor, template: &Template, method: Method) -> Route {
    Route {
        method,
        template: template.clone(),
        bound: Vec::new(),
        rpc: rpc.clone(),
        input: rpc.input(),
        output: rpc.output(),
        grpc: "/S/Call".parse().unwrap(),
        body: BodyRule::None,
        raw_body: false,
        answer: None,
        raw_answer: false,
        mask: None,
        resume: None,
        binding: 0,
    }
}

/// Whether the path matches, segment by segment.
fn matches(template: &Template, path: &str) -> bool {
    let mut segments: Vec<&str> = path[1..].split('/').collect();
    if let Some(verb) = &template.verb {
        match segments.last().and_then(|last| split_verb(last)) {
            Some((stem, found)) if found == verb => {
                let last = segments.len() - 1;
                segments[last] = stem;
            }
            _ => return false,
        }
        if template.ends_open() && segments.len() < template.segments.len() {
            return false;
        }
    }
    let fixed = template.segments.len() - usize::from(template.ends_open());
    let fits = if template.ends_open() {
        segments.len() >= fixed
    } else {
        segments.len() == fixed
    };
    let mut pairs = template.segments[..fixed].iter().zip(&segments);
    fits && pairs.all(|(segment, text)| match segment {
        Segment::Literal(literal) => literal == text,
        Segment::One => !text.is_empty(),
        Segment::Rest => true,
    })
}

fn any_template() -> impl Strategy<Value = Template> {
    let tail = proptest::option::of(Just("**".to_owned()));
    (vec("a|b|\\*", 1..4), tail, proptest::option::of("v|w")).prop_map(|(head, tail, verb)| {
        let segments: Vec<String> = head.into_iter().chain(tail).collect();
        let verb = verb.map(|verb| format!(":{verb}")).unwrap_or_default();
        Template::parse(&format!("/{}{verb}", segments.join("/"))).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_narrowest_template_that_matches_is_found(
        templates in vec(any_template(), 1..6),
        paths in vec("(/(a|b|c|)(:(v|w))?){1,4}", 1..8),
    ) {
        let rpc = rpc();
        let routes = templates.iter().map(|template| route(&rpc, template, Method::GET)).collect();
        let Ok(router) = Router::build(routes) else { return Ok(()) };
        for path in &paths {
            let fitting: Vec<&Template> =
                templates.iter().filter(|template| matches(template, path)).collect();
            match router.find(&Method::GET, path) {
                Ok(found) => {
                    let found = &found.route.template;
                    prop_assert!(fitting.contains(&found), "{found} does not match {path}");
                    for other in &fitting {
                        prop_assert!(found.within(other), "{found} before {other} for {path}");
                    }
                }
                Err(miss) => {
                    prop_assert_eq!(&miss, &Miss::NoRoute);
                    prop_assert!(fitting.is_empty(), "{} missed for {}", fitting[0], path);
                }
            }
            let wrong = router.find(&Method::PUT, path).map(|_| ()).unwrap_err();
            prop_assert_eq!(matches!(wrong, Miss::WrongMethod(_)), !fitting.is_empty());
        }
    }
}
