//! Single values as JSON Schema.

use prost_reflect::Kind;
use serde_json::{Map, Value, json};

use super::{rules::Rule, schema::Side};
use crate::scalar::is_wide;

/// Both alphabets, padding or none: what the reader takes, exactly.
const BASE64: &str = "^(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}(?:==)?|[A-Za-z0-9+/_-]{3}=?)?$";

/// The schema of a scalar. `wide` names every spelling that proto JSON lets a reader take.
pub(super) fn schema(kind: &Kind, side: Side, wide: bool) -> Map<String, Value> {
    let input = side != Side::Output;
    let schema = match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String => json!({"type": "string"}),
        Kind::Bytes if input => {
            json!({"type": "string", "contentEncoding": "base64", "pattern": BASE64})
        }
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX})
        }
        Kind::Uint32 | Kind::Fixed32 => {
            json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": u32::MAX})
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({"type": "string", "format": "int64", "pattern": digits("-?", if input { 17 } else { 18 })})
        }
        Kind::Uint64 | Kind::Fixed64 => {
            json!({"type": "string", "format": "uint64", "pattern": digits("", if input { 18 } else { 19 })})
        }
        Kind::Float if input => floating(&json!({
            "type": "number", "format": "float", "minimum": f64::from(f32::MIN), "maximum": f64::from(f32::MAX)
        })),
        Kind::Float => floating(&json!({"type": "number", "format": "float"})),
        Kind::Double => floating(&json!({"type": "number", "format": "double"})),
        Kind::Message(_) | Kind::Enum(_) => json!({}),
    };
    let mut schema = match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    if wide {
        widen(kind, &mut schema);
    }
    schema
}

/// The schema of the keys of a map, where not every string is one.
pub(super) fn key(kind: &Kind, rule: &Rule) -> Option<Value> {
    let mut schema = match kind {
        Kind::String => Map::new(),
        Kind::Bool => Map::from_iter([("enum".into(), json!(["true", "false"]))]),
        Kind::Uint32 | Kind::Fixed32 => pattern(&digits("", 8)),
        Kind::Uint64 | Kind::Fixed64 => pattern(&digits("", 18)),
        kind if is_wide(kind) => pattern(&digits("-?", 17)),
        _ => pattern(&digits("-?", 8)),
    };
    if *kind == Kind::String {
        rule.apply(&mut schema);
    }
    (!schema.is_empty()).then(|| schema.into())
}

/// Messages whose JSON is a string, or anything.
pub(super) fn well_known(name: &str) -> Option<Value> {
    let path = "[a-z][a-zA-Z0-9]*(?:\\.[a-z][a-zA-Z0-9]*)*";
    Some(match name {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => json!({
            "type": "string",
            "pattern": "^-?(?:0|[1-9][0-9]{0,10})(?:\\.[0-9]{1,9})?s$",
            "examples": ["1.5s"]
        }),
        "FieldMask" => json!({
            "type": "string", "pattern": format!("^(?:{path}(?:,{path})*)?$"), "examples": ["name,topic"]
        }),
        "Struct" => json!({"type": "object", "additionalProperties": true}),
        "ListValue" => json!({"type": "array", "items": {}}),
        "Value" => json!({}),
        "Any" => json!({
            "type": "object",
            "properties": {"@type": {"type": "string"}},
            "required": ["@type"],
            "additionalProperties": true
        }),
        _ => return None,
    })
}

/// Takes null as well, which stands for absence.
pub(super) fn or_null(schema: Value) -> Value {
    let Value::Object(mut object) = schema else {
        return schema;
    };
    if object.is_empty() {
        return object.into();
    }
    let closed = object.contains_key("enum") || object.contains_key("const");
    let types = match object.get("type") {
        Some(Value::String(name)) if !closed => json!([name, "null"]),
        Some(Value::Array(names)) if !closed => {
            names.iter().cloned().chain([Value::from("null")]).collect()
        }
        _ => return json!({"anyOf": [object, {"type": "null"}]}),
    };
    object.insert("type".into(), types);
    object.into()
}

/// Takes the zero value as well, whatever the rules say.
pub(super) fn or_zero(schema: Map<String, Value>) -> Value {
    let zero = match schema.get("type").and_then(Value::as_str) {
        Some("string") if is_wide_text(&schema) => {
            json!({"const": "0"})
        }
        Some("string") => json!({"const": ""}),
        Some("integer" | "number") => json!({"const": 0}),
        Some("boolean") => json!({"const": false}),
        Some("array") => json!({"type": "array", "maxItems": 0}),
        Some("object") => json!({"type": "object", "maxProperties": 0}),
        _ => return schema.into(),
    };
    json!({"anyOf": [schema, zero]})
}

/// Refuses the zero value: the field has no presence, so zero counts as missing.
pub(super) fn not_zero(schema: &mut Map<String, Value>) {
    let least = |schema: &mut Map<String, Value>, keyword: &str| {
        if schema.get(keyword).and_then(Value::as_u64).unwrap_or(0) == 0 {
            schema.insert(keyword.into(), 1.into());
        }
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("string") if is_wide_text(schema) => {
            super::rules::also(schema, json!({"not": {"const": "0"}}));
        }
        Some("string") => least(schema, "minLength"),
        Some("array") => least(schema, "minItems"),
        Some("object") => least(schema, "minProperties"),
        Some("boolean") => {
            schema.insert("const".into(), true.into());
        }
        Some("integer" | "number") => super::rules::also(schema, json!({"not": {"const": 0}})),
        _ => {}
    }
}

/// Whether the string is a 64-bit number.
fn is_wide_text(schema: &Map<String, Value>) -> bool {
    schema
        .get("format")
        .is_some_and(|format| format == "int64" || format == "uint64")
}

/// Adds what a lenient reader takes beside the printed form.
fn widen(kind: &Kind, schema: &mut Map<String, Value>) {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            schema.insert("type".into(), json!(["integer", "string"]));
            schema.insert("pattern".into(), digits("-?", 8).into());
        }
        Kind::Uint32 | Kind::Fixed32 => {
            schema.insert("type".into(), json!(["integer", "string"]));
            schema.insert("pattern".into(), digits("", 8).into());
        }
        kind if is_wide(kind) => {
            schema.insert("type".into(), json!(["string", "integer"]));
        }
        _ => {}
    }
}

/// A floating point number, or what JSON has no number for.
fn floating(number: &Value) -> Value {
    json!({"anyOf": [number, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]})
}

/// Whole numbers of up to `more` digits after the first, none of which is a needless zero.
fn digits(sign: &str, more: u32) -> String {
    format!("^{sign}(?:0|[1-9][0-9]{{0,{more}}})$")
}

fn pattern(text: &str) -> Map<String, Value> {
    Map::from_iter([("pattern".into(), text.into())])
}
