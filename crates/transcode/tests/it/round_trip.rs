//! Message -> JSON -> message keeps everything, and no input makes it panic.

use std::{collections::HashMap, sync::LazyLock};

use proptest::{collection::vec, option, prelude::*};
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, Value};
use serde_json::json;

use crate::support::{ask_for, ask_with, grpc, pool, rest, rest_with, send};
use guildhall_transcode::{Options, Transcoder};

static ANY: LazyLock<Transcoder> = LazyLock::new(rest);
static STRICT: LazyLock<Transcoder> = LazyLock::new(|| {
    rest_with(Options {
        strict: true,
        ..Options::default()
    })
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// What the backend sends is printed, sent back as a request and printed by the backend again.
    #[test]
    fn what_is_printed_is_read_back(message in everything(2)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for rest in [&*ANY, &*STRICT] {
            let wire = prost::Message::encode_to_vec(&message);
            let printed = runtime.block_on(ask_with(rest, send("POST", "/v1/echo", "{}"), |_| {
                grpc(&[wire.into()], &tonic::Status::ok(""))
            }));
            prop_assert_eq!(printed.status, 200);
            let json = String::from_utf8(printed.body.to_vec()).unwrap();

            let again = runtime.block_on(ask_for(rest, send("POST", "/v1/echo", &json), "{}"));

            prop_assert_eq!(again.status, 200, "{:?} {}", again.body, json);
            let expected = serde_json::to_value(&message).unwrap();
            prop_assert_eq!(again.asked(), expected);
        }
    }

    #[test]
    fn no_body_makes_it_panic(body in "[\\[\\]{}\":,a-zA-Z0-9.\\\\ -]{0,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let reply = runtime.block_on(ask_for(&ANY, send("POST", "/v1/echo", &body), "{}"));
        prop_assert!(reply.status == 200 || reply.status == 400);
    }

    #[test]
    fn no_value_of_a_field_makes_it_panic(
        field in prop::sample::select(names()),
        value in prop::sample::select(vec![
            json!(null), json!(true), json!(0), json!(-1), json!(1.5), json!(1e300), json!(""), json!("a"), json!("-9"),
            json!("9999999999999999999999"), json!("2026-13-01T00:00:00Z"), json!("0001-01-01T00:00:00Z"), json!("1s"),
            json!("-0.5s"), json!("a,b.c"), json!([]), json!([null]), json!([[]]), json!({}), json!({"a": null}),
            json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}), json!({"@type": "nope"}),
        ]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let body = json!({field: value}).to_string();
        for rest in [&*ANY, &*STRICT] {
            let reply = runtime.block_on(ask_for(rest, send("POST", "/v1/echo", &body), "{}"));
            prop_assert!(reply.status == 200 || reply.status == 400);
        }
    }

    #[test]
    fn no_path_or_query_makes_it_panic(path in "(/[a-z0-9%:*.+]{0,6}){0,4}", query in "[a-zA-Z0-9=&%.+]{0,30}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for path in [format!("/v1{path}?{query}"), format!("/v1/rooms?{query}"), format!("/v1/rooms/{query}")] {
            let request = http::Request::get(path).body(http_body_util::Full::default()).unwrap();
            let reply = runtime.block_on(ask_for(&ANY, request, "{}"));
            prop_assert!(reply.status.as_u16() < 500);
        }
    }
}

fn desc() -> MessageDescriptor {
    pool()
        .get_message_by_name("test.rooms.v1.Everything")
        .unwrap()
}

fn names() -> Vec<String> {
    desc()
        .fields()
        .map(|field| field.json_name().to_owned())
        .collect()
}

/// A message with some of its fields set.
fn everything(depth: u32) -> BoxedStrategy<DynamicMessage> {
    let desc = desc();
    let fields: Vec<_> = desc
        .fields()
        .filter(|field| depth > 0 || !matches!(field.kind(), Kind::Message(_)))
        .filter(|field| !matches!(field.name(), "any" | "object" | "value" | "values"))
        .collect();
    let values: Vec<_> = fields
        .iter()
        .map(|field| {
            if field.is_map() {
                let Kind::Message(entry) = field.kind() else {
                    return none();
                };
                let keys = scalar(&entry.map_entry_key_field().kind(), 0);
                let values = scalar(&entry.map_entry_value_field().kind(), depth);
                let map = vec((keys, values), 0..3).prop_map(|entries| {
                    let keyed = entries
                        .into_iter()
                        .map(|(key, value)| (map_key(key), value));
                    Value::Map(keyed.collect::<HashMap<_, _>>())
                });
                option::weighted(0.3, map).boxed()
            } else if field.is_list() {
                let list = vec(scalar(&field.kind(), depth), 0..3).prop_map(Value::List);
                option::weighted(0.3, list).boxed()
            } else {
                option::weighted(0.4, scalar(&field.kind(), depth)).boxed()
            }
        })
        .collect();
    values
        .prop_map(move |values| {
            let mut message = DynamicMessage::new(desc.clone());
            for (field, value) in fields.iter().zip(values) {
                if let Some(value) = value {
                    message.set_field(field, value);
                }
            }
            message
        })
        .boxed()
}

fn none() -> BoxedStrategy<Option<Value>> {
    Just(None).boxed()
}

fn map_key(value: Value) -> MapKey {
    value.into_map_key().unwrap()
}

fn scalar(kind: &Kind, depth: u32) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => any::<i32>().prop_map(Value::I32).boxed(),
        Kind::Uint32 | Kind::Fixed32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => any::<i64>().prop_map(Value::I64).boxed(),
        Kind::Uint64 | Kind::Fixed64 => any::<u64>().prop_map(Value::U64).boxed(),
        Kind::Float => prop_oneof![
            any::<f32>().prop_map(Value::F32),
            prop::sample::select(vec![
                f32::MAX,
                f32::MIN_POSITIVE,
                f32::INFINITY,
                f32::NEG_INFINITY
            ])
            .prop_map(Value::F32),
        ]
        .boxed(),
        Kind::Double => prop_oneof![
            any::<f64>().prop_map(Value::F64),
            prop::sample::select(vec![f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN])
                .prop_map(Value::F64),
        ]
        .boxed(),
        Kind::String => any::<String>().prop_map(Value::String).boxed(),
        Kind::Bytes => vec(any::<u8>(), 0..9)
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
        Kind::Enum(desc) => {
            let last = i32::try_from(desc.values().len()).unwrap();
            (0..last).prop_map(Value::EnumNumber).boxed()
        }
        Kind::Message(desc) => match desc.name() {
            "Everything" => everything(depth.saturating_sub(1))
                .prop_map(Value::Message)
                .boxed(),
            _ => well_known(desc.clone()).prop_map(Value::Message).boxed(),
        },
    }
}

fn well_known(desc: MessageDescriptor) -> BoxedStrategy<DynamicMessage> {
    let numbers = match desc.name() {
        "Timestamp" => (-62_135_596_800_i64..=253_402_300_799, 0..1_000_000_000_i32).boxed(),
        _ => (0..=315_576_000_000_i64, 0..1_000_000_000_i32).boxed(),
    };
    (numbers, "[a-z]{1,5}(_[a-z]{1,5})?", any::<String>())
        .prop_map(move |((seconds, nanos), path, text)| {
            let mut message = DynamicMessage::new(desc.clone());
            match desc.name() {
                "Timestamp" | "Duration" => {
                    message.set_field_by_name("seconds", Value::I64(seconds));
                    message.set_field_by_name("nanos", Value::I32(nanos));
                }
                "FieldMask" => {
                    message.set_field_by_name("paths", Value::List(vec![Value::String(path)]));
                }
                "StringValue" => message.set_field_by_name("value", Value::String(text)),
                _ => {}
            }
            message
        })
        .boxed()
}
