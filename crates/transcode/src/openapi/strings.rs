//! `buf.validate` rules of strings.

use prost_reflect::DynamicMessage;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::rules::{also, copy, flag, get, plain, sets};

/// Rules that JSON Schema knows as a format, with the pattern that makes it binding where there is an exact one.
const FORMATS: [(&str, &str, Option<&str>); 7] = [
    ("email", "email", None),
    ("hostname", "hostname", None),
    ("ipv4", "ipv4", None),
    ("ipv6", "ipv6", None),
    ("uri", "uri", None),
    ("uri_ref", "uri-reference", None),
    (
        "uuid",
        "uuid",
        Some("^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"),
    ),
];

/// Rules that are a pattern.
const PATTERNS: [(&str, &str); 2] = [
    ("tuuid", "^[0-9a-fA-F]{32}$"),
    ("ulid", "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"),
];

/// Rules that any string breaks which is empty, and that a schema cannot say.
const OTHERS: [&str; 11] = [
    "ip",
    "address",
    "ip_with_prefixlen",
    "ipv4_with_prefixlen",
    "ipv6_with_prefixlen",
    "ip_prefix",
    "ipv4_prefix",
    "ipv6_prefix",
    "host_and_port",
    "protobuf_fqn",
    "protobuf_dot_fqn",
];

/// Adds the keywords that say the same.
pub(super) fn apply(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    copy(
        rules,
        schema,
        &[("min_len", "minLength"), ("max_len", "maxLength")],
    );
    copy(rules, schema, &[("len", "minLength"), ("len", "maxLength")]);
    bytes(rules, schema);
    for (rule, format, exact) in FORMATS {
        if flag(rules, rule) {
            schema.insert("format".into(), format.into());
            if let Some(exact) = exact {
                pattern(schema, exact);
            }
        }
    }
    for (rule, exact) in PATTERNS {
        if flag(rules, rule) {
            pattern(schema, exact);
        }
    }
    if flag(rules, "ip") {
        also(
            schema,
            json!({"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
        );
    }
    let text = |name: &str| get(rules, name).and_then(|value| value.as_str().map(str::to_owned));
    if let Some(text) = text("pattern") {
        // Both dialects anchor with ^ and $; only ours has these two spellings as well.
        pattern(schema, &text.replace(r"\A", "^").replace(r"\z", "$"));
    }
    if let Some(text) = text("prefix") {
        pattern(schema, &format!("^{}", regex::escape(&text)));
    }
    if let Some(text) = text("suffix") {
        pattern(schema, &format!("{}$", regex::escape(&text)));
    }
    if let Some(text) = text("contains") {
        pattern(schema, &regex::escape(&text));
    }
    if let Some(text) = text("not_contains") {
        also(schema, json!({"not": {"pattern": regex::escape(&text)}}));
    }
    sets(rules, schema, plain);
}

/// Whether the empty string passes.
pub(super) fn empty_passes(rules: &DynamicMessage) -> bool {
    let above_zero = |name: &str| get(rules, name).and_then(|value| value.as_u64()) > Some(0);
    let text = |name: &str| get(rules, name).and_then(|value| value.as_str().map(str::to_owned));
    let listed = |name: &str| {
        let items = get(rules, name).map(|value| plain(&value))?;
        Some(items.as_array()?.iter().any(|item| item == ""))
    };
    !["len", "min_len", "len_bytes", "min_bytes"]
        .into_iter()
        .any(above_zero)
        && ["const", "prefix", "suffix", "contains"]
            .into_iter()
            .all(|name| text(name).is_none_or(|text| text.is_empty()))
        && text("pattern")
            .is_none_or(|text| Regex::new(&text).is_ok_and(|regex| regex.is_match("")))
        && listed("in").is_none_or(|there| there)
        && listed("not_in").is_none_or(|there| !there)
        && !FORMATS
            .iter()
            .any(|(rule, ..)| *rule != "uri_ref" && flag(rules, rule))
        && !PATTERNS.iter().any(|(rule, _)| flag(rules, rule))
        && !OTHERS.iter().any(|rule| flag(rules, rule))
}

/// Lengths in bytes: a schema counts characters, which are at most as many.
fn bytes(rules: &DynamicMessage, schema: &mut Map<String, Value>) {
    let length = |name: &str| get(rules, name).and_then(|value| value.as_u64());
    let exact = length("len_bytes");
    if let Some(least) = exact.or(length("min_bytes")) {
        // Four bytes are the most that one character takes.
        let least = least.div_ceil(4);
        if schema
            .get("minLength")
            .and_then(Value::as_u64)
            .is_none_or(|other| other < least)
        {
            schema.insert("minLength".into(), least.into());
        }
    }
    if let Some(most) = exact.or(length("max_bytes"))
        && schema
            .get("maxLength")
            .and_then(Value::as_u64)
            .is_none_or(|other| other > most)
    {
        schema.insert("maxLength".into(), most.into());
    }
}

fn pattern(schema: &mut Map<String, Value>, pattern: &str) {
    if schema.contains_key("pattern") {
        also(schema, json!({"pattern": pattern}));
    } else {
        schema.insert("pattern".into(), pattern.into());
    }
}
