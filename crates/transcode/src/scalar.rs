//! Single values: JSON or plain text -> protobuf value, by the kind of the field.
//!
//! Two grammars. *Any* takes every spelling that proto JSON allows on input. *Strict* takes the one that is printed, so
//! that a schema can name exactly what is taken.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, MessageDescriptor, Value};

use crate::json::Json;

/// Padding is optional and the bits that no byte uses may be anything, as proto JSON wants of a reader.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a value may not be, in words for the caller.
pub(crate) type Refusal = String;

/// Reads a scalar or enum from JSON. Messages are not scalars.
pub(crate) fn from_json(kind: &Kind, json: &Json<'_>, strict: bool) -> Result<Value, Refusal> {
    let wrong = |expected: &str| Err(format!("expected {expected}, got {}", json.kind()));
    match (kind, json) {
        (Kind::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (Kind::Bool, _) => wrong("a boolean"),
        (Kind::String, Json::String(text)) => Ok(Value::String(text.to_string())),
        (Kind::String, _) => wrong("a string"),
        (Kind::Bytes, Json::String(text)) => bytes(text),
        (Kind::Bytes, _) => wrong("a string of base64"),
        (Kind::Enum(desc), Json::String(name)) => enum_name(desc, name),
        (Kind::Enum(_), Json::Unsigned(_) | Json::Signed(_) | Json::Float(_)) if !strict => {
            whole(json).and_then(narrow).map(Value::EnumNumber)
        }
        (Kind::Enum(desc), _) => wrong(&format!("a name of {}", desc.name())),
        (Kind::Double | Kind::Float, Json::String(text)) => match special(text) {
            Some(value) => float(kind, value),
            None if strict => wrong("a number"),
            None => number(text).and_then(|json| float(kind, as_float(&json))),
        },
        (Kind::Double | Kind::Float, Json::Unsigned(_) | Json::Signed(_) | Json::Float(_)) => {
            float(kind, as_float(json))
        }
        (Kind::Double | Kind::Float, _) => wrong("a number"),
        (_, Json::String(text)) if is_wide(kind) => integer_text(kind, text, strict),
        (_, Json::String(text)) if !strict => integer_text(kind, text, strict),
        (_, Json::Unsigned(_) | Json::Signed(_) | Json::Float(_)) if !strict || !is_wide(kind) => {
            whole(json).and_then(|value| integer(kind, value))
        }
        _ if is_wide(kind) => wrong("a string of digits"),
        _ => wrong("a whole number"),
    }
}

/// Reads a scalar or enum from the text of a path or a query.
pub(crate) fn from_text(kind: &Kind, text: &str, strict: bool) -> Result<Value, Refusal> {
    match kind {
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("expected true or false".into()),
        },
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bytes => bytes(text),
        Kind::Enum(desc) => match digits(text) {
            Ok(value) if !strict => narrow(value).map(Value::EnumNumber),
            _ => enum_name(desc, text),
        },
        Kind::Double | Kind::Float => match special(text) {
            Some(value) => float(kind, value),
            None => number(text).and_then(|json| float(kind, as_float(&json))),
        },
        Kind::Message(desc) => Err(format!("a {} cannot be written as text", desc.name())),
        _ => digits(text).and_then(|value| integer(kind, value)),
    }
}

/// Reads one of the well-known messages whose JSON form is a string. `None`: it is none of them.
pub(crate) fn from_string_form(
    desc: &MessageDescriptor,
    text: &str,
) -> Option<Result<DynamicMessage, Refusal>> {
    let expected = match desc.full_name() {
        "google.protobuf.Timestamp" => "a time such as 2026-01-31T12:00:00Z",
        "google.protobuf.Duration" => "a number of seconds such as 1.5s",
        "google.protobuf.FieldMask" => "names of fields with commas between",
        _ => return None,
    };
    let plain = match desc.name() {
        "Duration" => is_duration(text),
        "FieldMask" => text.is_empty() || text.split(',').all(is_mask_path),
        _ => true,
    };
    let read = if plain {
        well_known(desc, serde_json::Value::from(text)).ok()
    } else {
        None
    };
    Some(read.ok_or_else(|| format!("expected {expected}")))
}

/// Whole seconds without a needless zero, then at most nine decimals, then `s`.
fn is_duration(text: &str) -> bool {
    let Some(seconds) = text.strip_suffix('s') else {
        return false;
    };
    match seconds.split_once('.') {
        None => digits(seconds).is_ok(),
        Some((whole, parts)) => {
            digits(whole).is_ok()
                && (1..=9).contains(&parts.len())
                && parts.bytes().all(|byte| byte.is_ascii_digit())
        }
    }
}

/// JSON names with dots between.
fn is_mask_path(path: &str) -> bool {
    path.split('.').all(|name| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Reads a well-known message in its special JSON form.
pub(crate) fn well_known(
    desc: &MessageDescriptor,
    json: serde_json::Value,
) -> Result<DynamicMessage, Refusal> {
    DynamicMessage::deserialize(desc.clone(), json).map_err(|error| error.to_string())
}

/// Whether the integer has 64 bits, which JSON writes as a string.
pub(crate) fn is_wide(kind: &Kind) -> bool {
    use Kind::{Fixed64, Int64, Sfixed64, Sint64, Uint64};
    matches!(kind, Int64 | Uint64 | Sint64 | Fixed64 | Sfixed64)
}

fn integer_text(kind: &Kind, text: &str, strict: bool) -> Result<Value, Refusal> {
    let value = match digits(text) {
        Ok(value) => value,
        Err(refusal) if strict => return Err(refusal),
        Err(_) => whole(&number(text)?)?,
    };
    integer(kind, value)
}

/// A whole number as JSON writes it: no plus, no needless zero, no blank.
fn digits(text: &str) -> Result<i128, Refusal> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let plain = !unsigned.is_empty()
        && unsigned.bytes().all(|byte| byte.is_ascii_digit())
        && (unsigned == "0" || !unsigned.starts_with('0'));
    match text.parse() {
        Ok(value) if plain => Ok(value),
        _ => Err("expected a whole number".into()),
    }
}

/// A number by the grammar of JSON, out of a string.
fn number(text: &str) -> Result<Json<'static>, Refusal> {
    let expected = || "expected a number".to_owned();
    if !text.ends_with(|last: char| last.is_ascii_digit()) || text.starts_with(char::is_whitespace)
    {
        return Err(expected());
    }
    let number: serde_json::Number = serde_json::from_str(text).map_err(|_| expected())?;
    if let Some(value) = number.as_u64() {
        return Ok(Json::Unsigned(value));
    }
    if let Some(value) = number.as_i64() {
        return Ok(Json::Signed(value));
    }
    number.as_f64().map(Json::Float).ok_or_else(expected)
}

/// The integer that a JSON number stands for; `1.0` and `1e2` are integers too.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and within 2^64"
)]
fn whole(json: &Json<'_>) -> Result<i128, Refusal> {
    match json {
        Json::Unsigned(value) => Ok(i128::from(*value)),
        Json::Signed(value) => Ok(i128::from(*value)),
        Json::Float(value) if value.fract() == 0.0 && value.abs() < 2f64.powi(65) => {
            Ok(*value as i128)
        }
        _ => Err("expected a whole number".into()),
    }
}

fn integer(kind: &Kind, value: i128) -> Result<Value, Refusal> {
    let done = match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => return narrow(value).map(Value::I32),
        Kind::Uint32 | Kind::Fixed32 => u32::try_from(value).ok().map(Value::U32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => i64::try_from(value).ok().map(Value::I64),
        _ => u64::try_from(value).ok().map(Value::U64),
    };
    done.ok_or_else(out_of_range)
}

fn narrow(value: i128) -> Result<i32, Refusal> {
    i32::try_from(value).map_err(|_| out_of_range())
}

fn out_of_range() -> Refusal {
    "the number is out of range".into()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a float holds the nearest value, as JSON has it"
)]
fn as_float(json: &Json<'_>) -> f64 {
    match json {
        Json::Unsigned(value) => *value as f64,
        Json::Signed(value) => *value as f64,
        Json::Float(value) => *value,
        _ => f64::NAN,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is wanted, overflow is checked"
)]
fn float(kind: &Kind, value: f64) -> Result<Value, Refusal> {
    if *kind == Kind::Double {
        return Ok(Value::F64(value));
    }
    let narrow = value as f32;
    if value.is_finite() && narrow.is_infinite() {
        return Err(out_of_range());
    }
    Ok(Value::F32(narrow))
}

fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn enum_name(desc: &EnumDescriptor, name: &str) -> Result<Value, Refusal> {
    match desc.get_value_by_name(name) {
        Some(value) => Ok(Value::EnumNumber(value.number())),
        None => Err(format!("expected a name of {}", desc.name())),
    }
}

/// Takes both alphabets, also mixed.
fn bytes(text: &str) -> Result<Value, Refusal> {
    let decoded = if text.contains(['-', '_']) {
        BASE64.decode(text.replace('-', "+").replace('_', "/"))
    } else {
        BASE64.decode(text)
    };
    match decoded {
        Ok(bytes) => Ok(Value::Bytes(bytes.into())),
        Err(_) => Err("expected base64".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<'_> {
        crate::json::parse(text.as_bytes(), 8).unwrap()
    }

    #[test]
    fn every_spelling_is_taken_unless_strict() {
        for (kind, text, value, also_strict) in [
            (Kind::Int32, "1", Value::I32(1), true),
            (Kind::Int32, "1.0", Value::I32(1), true),
            (Kind::Int32, "1e2", Value::I32(100), true),
            (Kind::Int32, "\"-7\"", Value::I32(-7), false),
            (Kind::Int32, "\"1e5\"", Value::I32(100_000), false),
            (Kind::Uint32, "4294967295", Value::U32(u32::MAX), true),
            (
                Kind::Int64,
                "\"-9223372036854775808\"",
                Value::I64(i64::MIN),
                true,
            ),
            (Kind::Int64, "12", Value::I64(12), false),
            (
                Kind::Uint64,
                "\"18446744073709551615\"",
                Value::U64(u64::MAX),
                true,
            ),
            (Kind::Double, "1", Value::F64(1.0), true),
            (
                Kind::Double,
                "\"-Infinity\"",
                Value::F64(f64::NEG_INFINITY),
                true,
            ),
            (Kind::Double, "\"1.5\"", Value::F64(1.5), false),
            (Kind::Float, "3.4028235e38", Value::F32(f32::MAX), true),
            (
                Kind::Bytes,
                "\"-_8=\"",
                Value::Bytes(vec![0xfb, 0xff].into()),
                true,
            ),
            (
                Kind::Bytes,
                "\"+/8\"",
                Value::Bytes(vec![0xfb, 0xff].into()),
                true,
            ),
            (Kind::Bytes, "\"\"", Value::Bytes(vec![].into()), true),
        ] {
            assert_eq!(
                from_json(&kind, &json(text), false),
                Ok(value.clone()),
                "{text}"
            );
            assert_eq!(
                from_json(&kind, &json(text), true).is_ok(),
                also_strict,
                "strict {text}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_either_way() {
        for (kind, text) in [
            (Kind::Int32, "2147483648"),
            (Kind::Int32, "0.5"),
            (Kind::Int32, "true"),
            (Kind::Int32, "\"\""),
            (Kind::Int32, "\" 1\""),
            (Kind::Int32, "\"1 \""),
            (Kind::Int32, "\"+1\""),
            (Kind::Int32, "\"0x1\""),
            (Kind::Uint32, "-1"),
            (Kind::Int64, "\"9223372036854775808\""),
            (Kind::Uint64, "1e30"),
            (Kind::Float, "1e39"),
            (Kind::Double, "\"inf\""),
            (Kind::Double, "\"nan\""),
            (Kind::Bool, "\"true\""),
            (Kind::Bool, "1"),
            (Kind::String, "1"),
            (Kind::Bytes, "\"a\""),
            (Kind::Bytes, "\"a b=\""),
        ] {
            for strict in [false, true] {
                assert!(
                    from_json(&kind, &json(text), strict).is_err(),
                    "{kind:?} {text}"
                );
            }
        }
    }

    #[test]
    fn text_is_read_by_the_grammar_of_json_numbers() {
        for (kind, text) in [
            (Kind::Int32, "007"),
            (Kind::Int32, "+1"),
            (Kind::Int32, "1.0"),
            (Kind::Int32, ""),
            (Kind::Int32, "-"),
            (Kind::Bool, "True"),
            (Kind::Double, "inf"),
            (Kind::Double, "1."),
            (Kind::Double, " 1"),
        ] {
            assert!(from_text(&kind, text, false).is_err(), "{text}");
        }
        assert_eq!(from_text(&Kind::Int32, "-0", true), Ok(Value::I32(0)));
        assert_eq!(
            from_text(&Kind::Double, "1e3", true),
            Ok(Value::F64(1000.0))
        );
    }
}
