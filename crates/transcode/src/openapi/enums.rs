//! Enums as JSON Schema: by name, and by number where a lenient reader takes it.

use prost_reflect::{EnumDescriptor, EnumValueDescriptor};
use serde_json::{Value, json};

use super::{
    rules::Rule,
    schema::{Key, Schemas, Side, reference, short_name},
};

impl Schemas {
    /// The schema of an enum's value.
    pub(super) fn enumeration(&mut self, desc: &EnumDescriptor, rule: &Rule, side: Side) -> Value {
        if desc.full_name() == "google.protobuf.NullValue" && side == Side::Output {
            return json!({"type": "null"});
        }
        let (allowed, refused): (Vec<_>, Vec<_>) =
            desc.values().partition(|value| rule.allows(value.number()));
        let schema = if desc.full_name() == "google.protobuf.NullValue" && side == Side::Input {
            json!({"enum": [null, "NULL_VALUE"]})
        } else if refused.is_empty() {
            self.enum_reference(desc)
        } else {
            let names: Vec<&str> = allowed.iter().map(EnumValueDescriptor::name).collect();
            json!({"type": "string", "enum": names})
        };
        if side == Side::Output || self.strict {
            return schema;
        }
        let mut number =
            json!({"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX});
        let numbers = |values: &[EnumValueDescriptor]| -> Vec<i32> {
            values.iter().map(EnumValueDescriptor::number).collect()
        };
        if rule.only_declared() {
            number["enum"] = numbers(&allowed).into();
        } else if !refused.is_empty() {
            number["not"] = json!({"enum": numbers(&refused)});
        }
        json!({"anyOf": [schema, number]})
    }

    fn enum_reference(&mut self, desc: &EnumDescriptor) -> Value {
        let key = Key {
            full_name: desc.full_name().into(),
            input: false,
            without: Vec::new(),
        };
        if let Some(name) = self.names.get(&key) {
            return reference(name);
        }
        let short = short_name(desc.full_name(), desc.package_name());
        let name = self.name(&short, desc.full_name());
        self.names.insert(key, name.clone());
        let names: Vec<Value> = desc
            .values()
            .map(|value| Value::from(value.name()))
            .collect();
        let mut schema = json!({"type": "string", "enum": names});
        let text = self.enum_text(desc);
        if !text.is_empty() {
            schema["description"] = text.into();
        }
        self.done.insert(name.clone(), schema);
        reference(&name)
    }

    fn enum_text(&self, desc: &EnumDescriptor) -> String {
        let file = desc.parent_file();
        let mut text = self
            .comments
            .get(&file, desc.path())
            .unwrap_or_default()
            .to_owned();
        let mut list = String::new();
        for value in desc.values() {
            if let Some(comment) = self.comments.get(&file, value.path()) {
                let comment = comment.replace('\n', " ");
                list.extend(["\n- `", value.name(), "`: ", comment.as_str()]);
            }
        }
        if !list.is_empty() {
            text.push('\n');
            text.push_str(&list);
        }
        text.trim().to_owned()
    }
}
