//! Messages, fields and enums as JSON Schema 2020-12.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use prost_types::FieldOptions;
use serde_json::{Map, Value, json};

use super::{
    comments::Comments,
    rules::{Ignore, Rule, Rules},
    scalar,
};
use crate::decode;

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// In a request body: as much as is taken, unknown fields excluded.
    Input,
    /// In a path, query or header: as text.
    Text,
    /// In an answer: as it is printed. Open, for later versions may print more.
    Output,
}

/// Collects the schemas that pages refer to.
pub(super) struct Schemas {
    pub(super) comments: Comments,
    pub(super) rules: Rules,
    pub(super) strict: bool,
    /// Messages that stand on both sides and therefore have two schemas.
    both: HashSet<String>,
    pub(super) names: HashMap<Key, String>,
    taken: HashMap<String, String>,
    pub(super) done: BTreeMap<String, Value>,
}

/// One schema: a type, its side, and the fields that are left out because a path gives them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) full_name: String,
    pub(super) input: bool,
    pub(super) without: Vec<u32>,
}

impl Schemas {
    pub(super) fn new(pool: &DescriptorPool, strict: bool, both: HashSet<String>) -> Self {
        let reserved = ["Problem", "FieldError"].map(|name| (name.to_owned(), name.to_owned()));
        Self {
            comments: Comments::of(pool),
            rules: Rules::of(pool),
            strict,
            both,
            names: HashMap::new(),
            taken: HashMap::from(reserved),
            done: BTreeMap::new(),
        }
    }

    pub(super) fn finish(self) -> BTreeMap<String, Value> {
        self.done
    }

    /// Refers to the schema of a message.
    pub(super) fn message(&mut self, desc: &MessageDescriptor, side: Side) -> Value {
        self.message_without(desc, side, &[])
    }

    /// Refers to the schema of a message without some of its fields.
    pub(super) fn message_without(
        &mut self,
        desc: &MessageDescriptor,
        side: Side,
        without: &[FieldDescriptor],
    ) -> Value {
        if let Some(schema) = self.special(desc, side) {
            return schema;
        }
        let input = side != Side::Output;
        let key = Key {
            full_name: desc.full_name().into(),
            input: input && self.both.contains(desc.full_name()),
            without: without.iter().map(FieldDescriptor::number).collect(),
        };
        if let Some(name) = self.names.get(&key) {
            return reference(name);
        }
        let short = short_name(desc.full_name(), desc.package_name());
        let suffix = if key.input { "Input" } else { "" };
        let name = self.name(
            &format!("{short}{suffix}"),
            &format!("{}{suffix}", desc.full_name()),
        );
        self.names.insert(key, name.clone());
        self.done.insert(name.clone(), Value::Null);
        let schema = self.object(desc, side, without);
        self.done.insert(name.clone(), schema);
        reference(&name)
    }

    /// The schema of a field's value, with its comment.
    pub(super) fn field(&mut self, field: &FieldDescriptor, side: Side) -> Value {
        let may_be_null = side == Side::Input && !self.strict && !self.is_required(field);
        self.described_field(field, side, may_be_null)
    }

    /// The schema of a body that is one field; nothing is not a body.
    pub(super) fn body(&mut self, field: &FieldDescriptor) -> Value {
        self.described_field(field, Side::Input, false)
    }

    fn described_field(&mut self, field: &FieldDescriptor, side: Side, may_be_null: bool) -> Value {
        let mut rule = match side {
            Side::Output => Rule::default(),
            Side::Input | Side::Text => self.rules.get(field),
        };
        if !field.supports_presence() && rule.required() {
            rule = rule.without_zero();
        }
        let mut schema = self.bare_field(field, &rule, side);
        if may_be_null {
            schema = scalar::or_null(schema);
        }
        let comment = self
            .comments
            .get(&field.parent_message().parent_file(), field.path());
        if let (Value::Object(schema), Some(comment)) = (&mut schema, comment) {
            schema.insert("description".into(), comment.into());
        }
        if let Value::Object(schema) = &mut schema {
            if self.rules.behaves(field, "OUTPUT_ONLY") {
                schema.insert("readOnly".into(), true.into());
            }
            if field
                .field_descriptor_proto()
                .options
                .as_ref()
                .is_some_and(FieldOptions::deprecated)
            {
                schema.insert("deprecated".into(), true.into());
            }
        }
        schema
    }

    /// Whether a request without this field is refused.
    pub(super) fn is_required(&self, field: &FieldDescriptor) -> bool {
        let rule = self.rules.get(field);
        rule.required()
            || self.rules.behaves(field, "REQUIRED")
            || (!field.supports_presence() && !rule.zero_passes())
    }

    fn bare_field(&mut self, field: &FieldDescriptor, rule: &Rule, side: Side) -> Value {
        let mut schema = if field.is_list() {
            let items = self.one(&field.kind(), &rule.inner("items"), side);
            Map::from_iter([("type".into(), "array".into()), ("items".into(), items)])
        } else if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            self.map(&entry, rule, side)
        } else {
            match self.one(&field.kind(), rule, side) {
                Value::Object(schema) => schema,
                other => return other,
            }
        };
        if field.is_list() || field.is_map() {
            rule.apply(&mut schema);
        }
        // Names of enums are listed with or without the zero.
        let is_enum = matches!(field.kind(), Kind::Enum(_)) && !field.is_list();
        if !field.supports_presence() && rule.required() && !is_enum {
            scalar::not_zero(&mut schema);
        }
        match rule.ignore() {
            Ignore::IfZero if !field.supports_presence() && !is_enum => scalar::or_zero(schema),
            _ => Value::Object(schema),
        }
    }

    fn map(&mut self, entry: &MessageDescriptor, rule: &Rule, side: Side) -> Map<String, Value> {
        let values = entry.map_entry_value_field();
        let values = self.one(&values.kind(), &rule.inner("values"), side);
        let mut schema = Map::from_iter([
            ("type".into(), "object".into()),
            ("additionalProperties".into(), values),
        ]);
        let keys = scalar::key(&entry.map_entry_key_field().kind(), &rule.inner("keys"));
        if let Some(keys) = keys {
            schema.insert("propertyNames".into(), keys);
        }
        schema
    }

    /// The schema of a value that is neither list nor map.
    fn one(&mut self, kind: &Kind, rule: &Rule, side: Side) -> Value {
        match kind {
            Kind::Message(desc) => self.message_value(desc, rule, side),
            Kind::Enum(desc) => self.enumeration(desc, rule, side),
            _ => {
                let wide = side == Side::Input && !self.strict;
                let mut schema = scalar::schema(kind, side, wide);
                rule.apply(&mut schema);
                Value::Object(schema)
            }
        }
    }

    fn message_value(&mut self, desc: &MessageDescriptor, rule: &Rule, side: Side) -> Value {
        let mut schema = self.message(desc, side);
        // The rules of a wrapped scalar are those of the scalar.
        if let (Value::Object(schema), Some(decode::Form::Wrapper)) =
            (&mut schema, decode::special_form(desc))
        {
            rule.apply(schema);
        }
        schema
    }

    fn object(
        &mut self,
        desc: &MessageDescriptor,
        side: Side,
        without: &[FieldDescriptor],
    ) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in desc.fields().filter(|field| !without.contains(field)) {
            properties.insert(field.json_name().into(), self.field(&field, side));
            let needed = match side {
                Side::Output => !field.supports_presence(),
                Side::Input | Side::Text => self.is_required(&field),
            };
            if needed {
                required.push(Value::from(field.json_name()));
            }
        }
        let mut schema = json!({"type": "object"});
        if let Some(comment) = self.comments.get(&desc.parent_file(), desc.path()) {
            schema["description"] = comment.into();
        }
        schema["properties"] = properties.into();
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if side != Side::Output {
            schema["additionalProperties"] = false.into();
            let oneofs: Vec<Value> = desc
                .oneofs()
                .filter(|oneof| !oneof.is_synthetic())
                .filter_map(|oneof| self.exclusive(&oneof))
                .collect();
            if !oneofs.is_empty() {
                schema["allOf"] = oneofs.into();
            }
        }
        schema
    }

    /// At most one member of the oneof, or exactly one where a rule wants it.
    fn exclusive(&self, oneof: &OneofDescriptor) -> Option<Value> {
        let present: Vec<Value> = oneof
            .fields()
            .map(|field| json!({"required": [field.json_name()]}))
            .collect();
        let required = self.rules.oneof_required(oneof);
        if present.len() < 2 && !required {
            return None;
        }
        let mut ways = present.clone();
        if !required {
            ways.push(json!({"not": {"anyOf": present}}));
        }
        Some(json!({"oneOf": ways}))
    }

    /// Messages with a JSON form of their own.
    fn special(&mut self, desc: &MessageDescriptor, side: Side) -> Option<Value> {
        match decode::special_form(desc)? {
            decode::Form::Wrapper => {
                let inner = desc.get_field(1)?;
                Some(self.one(&inner.kind(), &Rule::default(), side))
            }
            decode::Form::Text | decode::Form::Free => scalar::well_known(desc.name()),
        }
    }

    /// Picks a name that no other schema has.
    pub(super) fn name(&mut self, short: &str, full: &str) -> String {
        let mut name = short.to_owned();
        let mut count = 1;
        while let Some(owner) = self.taken.get(&name) {
            name = match owner == full {
                true => {
                    count += 1;
                    format!("{short}{count}")
                }
                false if name != full => full.to_owned(),
                false => format!("{full}_"),
            };
        }
        self.taken.insert(name.clone(), full.to_owned());
        name
    }
}

/// All messages that can be reached from here, itself included.
pub(super) fn reach(desc: &MessageDescriptor, seen: &mut HashSet<String>) {
    if decode::special_form(desc).is_some() || !seen.insert(desc.full_name().into()) {
        return;
    }
    for field in desc.fields() {
        if let Kind::Message(inner) = field.kind() {
            reach(&inner, seen);
        }
    }
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

pub(super) fn short_name(full_name: &str, package: &str) -> String {
    full_name
        .strip_prefix(package)
        .unwrap_or(full_name)
        .trim_start_matches('.')
        .to_owned()
}
