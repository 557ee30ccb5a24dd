//! Each rule of `buf.validate` and the keyword that says the same.

use guildhall_transcode::{
    Options, Transcoder,
    openapi::{Page, document},
};
use serde_json::{Value, json};

use crate::support::pool_of;

/// Declaration of a field, its schema but for what the type brings along, and whether it must be there.
type Row = (&'static str, Value, bool);

fn strings() -> Vec<Row> {
    vec![
        ("string", json!({}), false),
        ("string .string.min_len=2", json!({"minLength": 2}), true),
        ("string .string.max_len=9", json!({"maxLength": 9}), false),
        (
            "string .string.len=3",
            json!({"minLength": 3, "maxLength": 3}),
            true,
        ),
        ("string .string.min_bytes=9", json!({"minLength": 3}), true),
        ("string .string.max_bytes=9", json!({"maxLength": 9}), false),
        (
            "string .string.pattern=\"^[a-z]+$\"",
            json!({"pattern": "^[a-z]+$"}),
            true,
        ),
        (
            "string .string.pattern=\"^[a-z]*$\"",
            json!({"pattern": "^[a-z]*$"}),
            false,
        ),
        (
            "string .string.prefix=\"a.b\"",
            json!({"pattern": r"^a\.b"}),
            true,
        ),
        (
            "string .string.suffix=\"x\"",
            json!({"pattern": "x$"}),
            true,
        ),
        (
            "string .string.contains=\"x\"",
            json!({"pattern": "x"}),
            true,
        ),
        (
            "string .string.not_contains=\"x\"",
            json!({"allOf": [{"not": {"pattern": "x"}}]}),
            false,
        ),
        ("string .string.const=\"x\"", json!({"const": "x"}), true),
        (
            "string .string={in: [\"a\", \"\"]}",
            json!({"enum": ["a", ""]}),
            false,
        ),
        ("string .string={in: [\"a\"]}", json!({"enum": ["a"]}), true),
        (
            "string .string={not_in: [\"a\"]}",
            json!({"allOf": [{"not": {"enum": ["a"]}}]}),
            false,
        ),
        (
            "string .string.email=true",
            json!({"format": "email"}),
            true,
        ),
        (
            "string .string.hostname=true",
            json!({"format": "hostname"}),
            true,
        ),
        ("string .string.uri=true", json!({"format": "uri"}), true),
        (
            "string .string.uri_ref=true",
            json!({"format": "uri-reference"}),
            false,
        ),
        (
            "string .string.ip=true",
            json!({"allOf": [{"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}]}),
            true,
        ),
        ("string .required=true", json!({"minLength": 1}), true),
        (
            "optional string .string.min_len=2",
            json!({"minLength": 2}),
            false,
        ),
        ("optional string .required=true", json!({}), true),
    ]
}

fn numbers() -> Vec<Row> {
    vec![
        (
            "bytes .bytes={min_len: 1, max_len: 4}",
            json!({"minLength": 2, "maxLength": 8}),
            true,
        ),
        ("bool .bool.const=true", json!({"const": true}), true),
        ("bool .required=true", json!({"const": true}), true),
        (
            "int32 .int32={gte: 0, lte: 9}",
            json!({"minimum": 0, "maximum": 9}),
            false,
        ),
        (
            "int32 .int32={gt: 0, lt: 9}",
            json!({"exclusiveMinimum": 0, "exclusiveMaximum": 9}),
            true,
        ),
        ("int32 .int32={in: [1, 2]}", json!({"enum": [1, 2]}), true),
        (
            "int32 .int32={not_in: [7]}",
            json!({"allOf": [{"not": {"enum": [7]}}]}),
            false,
        ),
        (
            "int32 .int32={lt: 1, gt: 5}",
            json!({"allOf": [{"anyOf": [{"exclusiveMinimum": 5}, {"exclusiveMaximum": 1}]}]}),
            false,
        ),
        (
            "int32 .required=true",
            json!({"allOf": [{"not": {"const": 0}}]}),
            true,
        ),
        (
            "int64 .int64={in: [1, 2]}",
            json!({"enum": ["1", "2"]}),
            true,
        ),
        ("int64 .int64.gte=1", json!({}), true),
        (
            "int64 .required=true",
            json!({"allOf": [{"not": {"const": "0"}}]}),
            true,
        ),
        ("double .double={gte: 0.5}", json!({"minimum": 0.5}), true),
        ("float .float={lte: 0.1}", json!({"maximum": 0.1}), false),
    ]
}

fn others() -> Vec<Row> {
    vec![
        (
            "repeated string .repeated={min_items: 1, max_items: 3, unique: true}",
            json!({"minItems": 1, "maxItems": 3, "uniqueItems": true, "items": {"type": "string"}}),
            true,
        ),
        (
            "repeated string .repeated={items: {string: {max_len: 3}}}",
            json!({"items": {"type": "string", "maxLength": 3}}),
            false,
        ),
        (
            "repeated string .required=true",
            json!({"minItems": 1, "items": {"type": "string"}}),
            true,
        ),
        (
            "map<string, string> .map={min_pairs: 1, max_pairs: 3, keys: {string: {max_len: 2}}, values: {string: {min_len: 1}}}",
            json!({"minProperties": 1, "maxProperties": 3, "propertyNames": {"maxLength": 2}, "additionalProperties": {"type": "string", "minLength": 1}}),
            true,
        ),
        (
            "google.protobuf.StringValue .string.max_len=3",
            json!({"maxLength": 3}),
            false,
        ),
        (
            "Inner .required=true",
            json!({"$ref": "#/components/schemas/Inner"}),
            true,
        ),
        (
            "string .ignore=IGNORE_ALWAYS,.string.min_len=3",
            json!({}),
            false,
        ),
        (
            "string .ignore=IGNORE_IF_ZERO_VALUE,.string.min_len=3",
            json!({"anyOf": [{"type": "string", "minLength": 3}, {"const": ""}]}),
            false,
        ),
        ("E .enum={not_in: [0]}", json!({"enum": ["E_ONE"]}), true),
        ("E .enum.const=1", json!({"enum": ["E_ONE"]}), true),
        ("E .required=true", json!({"enum": ["E_ONE"]}), true),
        (
            "E .enum.defined_only=true",
            json!({"$ref": "#/components/schemas/E"}),
            false,
        ),
        (
            "E .ignore=IGNORE_IF_ZERO_VALUE,.enum={in: [1]}",
            json!({"$ref": "#/components/schemas/E"}),
            false,
        ),
    ]
}

#[test]
fn every_rule_has_its_keyword() {
    let table = [strings(), numbers(), others()].concat();
    let fields: Vec<String> = table
        .iter()
        .enumerate()
        .map(|(index, (declaration, ..))| {
            let (kind, rules) = declaration.split_once(" .").unwrap_or((declaration, ""));
            let rules: Vec<String> = rules
                .split(",.")
                .filter(|rule| !rule.is_empty())
                .map(|rule| {
                    let at = rule.find(['=', '.']).unwrap();
                    let (head, tail) = rule.split_at(at);
                    match tail.strip_prefix('.') {
                        Some(rest) => format!("(buf.validate.field).{head}.{rest}"),
                        None => format!("(buf.validate.field).{head}{tail}"),
                    }
                })
                .collect();
            let options = if rules.is_empty() {
                String::new()
            } else {
                format!("[{}]", rules.join(","))
            };
            format!("{kind} f{index} = {} {options};", index + 1)
        })
        .collect();
    let pool = pool_of(&format!(
        "enum E {{ E_ZERO = 0; E_ONE = 1; }} message Ruled {{ {} }}\n\
         service S {{ rpc A(Ruled) returns (Out) {{ option (google.api.http) = {{post: \"/a\" body: \"*\"}}; }} }}",
        fields.join("\n")
    ));
    let rest = Transcoder::build(
        pool,
        Options {
            strict: true,
            ..Options::default()
        },
    )
    .unwrap();

    let page = document(&rest, &Page::default());

    let schema = &page["components"]["schemas"]["Ruled"];
    let required = schema["required"].as_array().unwrap();
    for (index, (declaration, keywords, must)) in table.into_iter().enumerate() {
        let name = format!("f{index}");
        let found = without_type(&schema["properties"][&name], &keywords);
        assert_eq!(found, keywords, "{declaration}");
        assert_eq!(
            required.contains(&json!(name)),
            must,
            "{declaration} must be there"
        );
    }
}

/// Leaves out what the type alone brings along.
fn without_type(schema: &Value, keywords: &Value) -> Value {
    let mut schema = schema.as_object().unwrap().clone();
    let by_type = [
        "type",
        "format",
        "minimum",
        "maximum",
        "pattern",
        "contentEncoding",
    ];
    schema.retain(|name, _| !by_type.contains(&name.as_str()) || keywords.get(name).is_some());
    schema.into()
}
