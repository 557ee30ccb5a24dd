//! `buf.validate` rules of numbers.

use prost_reflect::DynamicMessage;
use serde_json::{Map, Value, json};

use super::rules::{also, get, plain, sets};

/// Adds the keywords that say the same.
pub(super) fn apply(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    if let Some(Value::Array(forms)) = schema.remove("anyOf") {
        // Infinities and NaN pass no bound; what is left is the number.
        let unbound = ["lt", "lte", "gt", "gte", "finite", "const", "in"]
            .iter()
            .all(|name| get(rules, name).is_none());
        match forms.first() {
            Some(Value::Object(number)) if !unbound => schema.extend(number.clone()),
            _ => {
                schema.insert("anyOf".into(), forms.into());
            }
        }
    }
    let bound = |name: &str| get(rules, name).map(|value| plain(&value));
    let lower = bound("gte")
        .map(|value| ("minimum", value))
        .or(bound("gt").map(|value| ("exclusiveMinimum", value)));
    let upper = bound("lte")
        .map(|value| ("maximum", value))
        .or(bound("lt").map(|value| ("exclusiveMaximum", value)));
    let crossed = match (&lower, &upper) {
        (Some((_, low)), Some((_, high))) => low.as_f64() > high.as_f64(),
        _ => false,
    };
    if crossed {
        // The bounds leave out what lies between them.
        let side = |bound: Option<(&str, Value)>| bound.map(|(name, value)| json!({name: value}));
        also(schema, json!({"anyOf": [side(lower), side(upper)]}));
    } else {
        for (name, value) in lower.into_iter().chain(upper) {
            let other = if name.contains("Min") || name == "minimum" {
                "minimum"
            } else {
                "maximum"
            };
            schema.remove(other);
            schema.insert(name.into(), value);
        }
    }
    sets(rules, schema, plain);
}

/// 64-bit numbers are strings in JSON: sets of them can be said, bounds cannot.
pub(super) fn apply_wide(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    sets(rules, schema, |value| match plain(value) {
        Value::Array(items) => items
            .iter()
            .map(|item| Value::from(item.to_string()))
            .collect(),
        other => Value::from(other.to_string()),
    });
}

/// Whether zero passes.
pub(super) fn zero_passes(rules: &DynamicMessage) -> bool {
    let bound = |name: &str| get(rules, name).and_then(|value| plain(&value).as_f64());
    let listed = |name: &str| {
        let items = get(rules, name).map(|value| plain(&value))?;
        Some(
            items
                .as_array()?
                .iter()
                .any(|item| item.as_f64() == Some(0.0)),
        )
    };
    let above = bound("gt").is_none_or(|bound| 0.0 > bound)
        && bound("gte").is_none_or(|bound| 0.0 >= bound);
    let below = bound("lt").is_none_or(|bound| 0.0 < bound)
        && bound("lte").is_none_or(|bound| 0.0 <= bound);
    let low = bound("gt").or(bound("gte"));
    let high = bound("lt").or(bound("lte"));
    let range = if low.zip(high).is_some_and(|(low, high)| low > high) {
        above || below
    } else {
        above && below
    };
    range
        && bound("const").is_none_or(|value| value == 0.0)
        && listed("in").is_none_or(|there| there)
        && listed("not_in").is_none_or(|there| !there)
}
