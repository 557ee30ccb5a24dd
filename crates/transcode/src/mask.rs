//! Which fields a PATCH body means to change, read off the keys that stand in it.

use prost_reflect::MessageDescriptor;

use crate::{fields, json::Json};

/// Proto paths of the keys present. Plain messages are entered; an empty object names the field itself, and so do lists,
/// maps and messages with a JSON form of their own.
pub(crate) fn of(desc: &MessageDescriptor, json: &Json<'_>) -> Vec<String> {
    let mut paths = Vec::new();
    collect(desc, json, "", &mut paths);
    paths
}

fn collect(desc: &MessageDescriptor, json: &Json<'_>, prefix: &str, paths: &mut Vec<String>) {
    let Json::Object(entries) = json else { return };
    for (key, value) in entries {
        let known = desc
            .get_field_by_json_name(key)
            .or_else(|| desc.get_field_by_name(key));
        let Some(field) = known else { continue };
        let path = format!("{prefix}{}", field.name());
        match (fields::inner_message(&field), value) {
            (Some(inner), Json::Object(entries)) if !entries.is_empty() => {
                collect(&inner, value, &format!("{path}."), paths);
            }
            _ => paths.push(path),
        }
    }
}
