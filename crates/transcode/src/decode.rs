//! JSON tree -> message, by descriptor, collecting what is wrong with each field.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::{
    json::{Json, WHOLE},
    problem::FieldError,
    scalar,
};

/// A caller learns of at most so many faults at once.
const MOST_ERRORS: usize = 20;

/// Reads a whole JSON value as a message.
pub(crate) fn message(
    desc: &MessageDescriptor,
    json: &Json<'_>,
    strict: bool,
) -> Result<DynamicMessage, Vec<FieldError>> {
    let mut decoder = Decoder {
        strict,
        path: String::new(),
        errors: Vec::new(),
    };
    match decoder.message(desc, json) {
        Some(message) if decoder.errors.is_empty() => Ok(message),
        _ => Err(decoder.errors),
    }
}

/// Reads a whole JSON value as the value of a field, for bodies that are one field.
pub(crate) fn field(
    field: &FieldDescriptor,
    json: &Json<'_>,
    strict: bool,
) -> Result<Value, Vec<FieldError>> {
    let mut decoder = Decoder {
        strict,
        path: String::new(),
        errors: Vec::new(),
    };
    match decoder.field(field, json) {
        Some(value) if decoder.errors.is_empty() => Ok(value),
        _ => Err(decoder.errors),
    }
}

struct Decoder {
    strict: bool,
    /// JSON path of the value in hand; empty for the whole.
    path: String,
    errors: Vec<FieldError>,
}

impl Decoder {
    fn message(&mut self, desc: &MessageDescriptor, json: &Json<'_>) -> Option<DynamicMessage> {
        match special_form(desc) {
            Some(Form::Text) => {
                let Json::String(text) = json else {
                    return self.refuse(format!("expected a string, got {}", json.kind()));
                };
                match scalar::from_string_form(desc, text)? {
                    Ok(message) => Some(message),
                    Err(refusal) => self.refuse(refusal),
                }
            }
            Some(Form::Wrapper) => {
                let inner = desc.get_field(1)?;
                let value = self.one(&inner.kind(), json)?;
                let mut message = DynamicMessage::new(desc.clone());
                message.set_field(&inner, value);
                Some(message)
            }
            Some(Form::Free) => match scalar::well_known(desc, json.to_serde()) {
                Ok(message) => Some(message),
                Err(refusal) => self.refuse(refusal),
            },
            None => self.fields(desc, json),
        }
    }

    fn fields(&mut self, desc: &MessageDescriptor, json: &Json<'_>) -> Option<DynamicMessage> {
        let Json::Object(entries) = json else {
            return self.refuse(format!("expected an object, got {}", json.kind()));
        };
        let mut message = DynamicMessage::new(desc.clone());
        let mut seen: Vec<u32> = Vec::with_capacity(entries.len());
        for (key, json) in entries {
            let known = desc
                .get_field_by_json_name(key)
                .or_else(|| desc.get_field_by_name(key));
            let Some(field) = known else {
                self.within(&name_step(&self.path, key), |it| {
                    it.refuse::<()>("unknown field")
                });
                continue;
            };
            self.within(&name_step(&self.path, field.json_name()), |it| {
                if seen.contains(&field.number()) {
                    it.refuse::<()>("this field stands twice");
                    return;
                }
                seen.push(field.number());
                it.set(&mut message, &field, json);
            });
        }
        Some(message)
    }

    fn set(&mut self, message: &mut DynamicMessage, field: &FieldDescriptor, json: &Json<'_>) {
        if *json == Json::Null && !takes_null(field) {
            if self.strict {
                self.refuse::<()>("null is not a value here; leave the field out");
            }
            return;
        }
        if let Some(other) = rival(message, field) {
            let name = other.json_name().to_owned();
            self.refuse::<()>(format!("it cannot stand together with {name}"));
            return;
        }
        if let Some(value) = self.field(field, json) {
            message.set_field(field, value);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, json: &Json<'_>) -> Option<Value> {
        if field.is_list() {
            self.list(&field.kind(), json)
        } else if field.is_map() {
            self.map(field.kind().as_message()?, json)
        } else {
            self.one(&field.kind(), json)
        }
    }

    fn list(&mut self, kind: &Kind, json: &Json<'_>) -> Option<Value> {
        let Json::Array(items) = json else {
            return self.refuse(format!("expected a list, got {}", json.kind()));
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let value = self.within(&format!("[{index}]"), |it| it.one(kind, item));
            values.extend(value);
        }
        Some(Value::List(values))
    }

    fn map(&mut self, entry: &MessageDescriptor, json: &Json<'_>) -> Option<Value> {
        let Json::Object(entries) = json else {
            return self.refuse(format!("expected an object, got {}", json.kind()));
        };
        let key_kind = entry.map_entry_key_field().kind();
        let value_kind = entry.map_entry_value_field().kind();
        let mut map = HashMap::with_capacity(entries.len());
        for (key, item) in entries {
            let step = format!("[{}]", serde_json::Value::from(key.as_ref()));
            self.within(&step, |it| {
                let Some(key) = map_key(&key_kind, key) else {
                    it.refuse::<()>("the key is not of the kind that this map has");
                    return;
                };
                if let Some(value) = it.one(&value_kind, item) {
                    map.insert(key, value);
                }
            });
        }
        Some(Value::Map(map))
    }

    /// Reads a value that is neither list nor map.
    fn one(&mut self, kind: &Kind, json: &Json<'_>) -> Option<Value> {
        let read = match kind {
            Kind::Message(desc) => return self.message(desc, json).map(Value::Message),
            Kind::Enum(desc) if is_null_value(desc.full_name()) && *json == Json::Null => {
                return Some(Value::EnumNumber(0));
            }
            scalar => scalar::from_json(scalar, json, self.strict),
        };
        match read {
            Ok(value) => Some(value),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn within<T>(&mut self, step: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        self.path.push_str(step);
        let done = work(self);
        self.path.truncate(before);
        done
    }

    fn refuse<T>(&mut self, description: impl Into<String>) -> Option<T> {
        if self.errors.len() < MOST_ERRORS {
            let field = if self.path.is_empty() {
                WHOLE
            } else {
                &self.path
            };
            self.errors.push(FieldError::new(field, description));
        }
        None
    }
}

/// Messages that JSON writes in another way than as an object of their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A string: Timestamp, Duration, FieldMask.
    Text,
    /// The value alone: the wrappers.
    Wrapper,
    /// A form of its own: Any, Struct, Value, ListValue.
    Free,
}

/// How JSON writes this message, if not as an object of its fields.
pub(crate) fn special_form(desc: &MessageDescriptor) -> Option<Form> {
    match desc.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" | "Duration" | "FieldMask" => Some(Form::Text),
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
        | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => Some(Form::Wrapper),
        "Any" | "Struct" | "Value" | "ListValue" => Some(Form::Free),
        _ => None,
    }
}

/// Another member of the same oneof that is set already.
pub(crate) fn rival(message: &DynamicMessage, field: &FieldDescriptor) -> Option<FieldDescriptor> {
    let oneof = field.containing_oneof()?;
    oneof
        .fields()
        .find(|other| other != field && message.has_field(other))
}

/// Whether null is a value of this field rather than its absence.
fn takes_null(field: &FieldDescriptor) -> bool {
    if field.is_list() || field.is_map() {
        return false;
    }
    match field.kind() {
        Kind::Message(desc) => desc.full_name() == "google.protobuf.Value",
        Kind::Enum(desc) => is_null_value(desc.full_name()),
        _ => false,
    }
}

fn is_null_value(full_name: &str) -> bool {
    full_name == "google.protobuf.NullValue"
}

fn map_key(kind: &Kind, text: &str) -> Option<MapKey> {
    match scalar::from_text(kind, text, true).ok()? {
        Value::Bool(key) => Some(MapKey::Bool(key)),
        Value::I32(key) => Some(MapKey::I32(key)),
        Value::I64(key) => Some(MapKey::I64(key)),
        Value::U32(key) => Some(MapKey::U32(key)),
        Value::U64(key) => Some(MapKey::U64(key)),
        Value::String(key) => Some(MapKey::String(key)),
        _ => None,
    }
}

fn name_step(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!(".{name}")
    }
}
