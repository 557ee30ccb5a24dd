//! Dotted paths of fields: finding them in descriptors, setting them in messages, writing them for the caller.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::{decode, scalar};

/// Fields from the outermost message inwards; never empty.
pub(crate) type Chain = Vec<FieldDescriptor>;

/// Finds a field by a dotted path of proto or JSON names. Only plain messages lead on; lists, maps and messages with a
/// JSON form of their own do not.
pub(crate) fn find(desc: &MessageDescriptor, path: &str) -> Option<Chain> {
    let mut chain = Chain::new();
    let mut at = Some(desc.clone());
    for name in path.split('.') {
        let desc = at?;
        let field = desc
            .get_field_by_name(name)
            .or_else(|| desc.get_field_by_json_name(name))?;
        at = inner_message(&field);
        chain.push(field);
    }
    Some(chain)
}

/// The message inside a field that a dotted path may enter.
pub(crate) fn inner_message(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(desc)
            if !field.is_list() && !field.is_map() && decode::special_form(&desc).is_none() =>
        {
            Some(desc)
        }
        _ => None,
    }
}

/// Whether a path or query text can be the value of the field, or of one element if it is a list.
pub(crate) fn is_leaf(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(desc) => {
            !field.is_map()
                && matches!(
                    decode::special_form(&desc),
                    Some(decode::Form::Text | decode::Form::Wrapper)
                )
        }
        _ => true,
    }
}

/// Reads a text as a value of the field, or as one element if it is a list.
pub(crate) fn read(field: &FieldDescriptor, text: &str, strict: bool) -> Result<Value, String> {
    let Kind::Message(desc) = field.kind() else {
        return scalar::from_text(&field.kind(), text, strict);
    };
    if let Some(read) = scalar::from_string_form(&desc, text) {
        return read.map(Value::Message);
    }
    match (decode::special_form(&desc), desc.get_field(1)) {
        (Some(decode::Form::Wrapper), Some(inner)) => {
            let value = scalar::from_text(&inner.kind(), text, strict)?;
            let mut message = DynamicMessage::new(desc);
            message.set_field(&inner, value);
            Ok(Value::Message(message))
        }
        _ => Err(format!("a {} cannot be written as text", desc.name())),
    }
}

/// The message that holds the last field of the chain, made on the way if absent.
pub(crate) fn holder<'m>(
    message: &'m mut DynamicMessage,
    chain: &[FieldDescriptor],
) -> Option<&'m mut DynamicMessage> {
    let mut at = message;
    for field in chain.iter().take(chain.len().saturating_sub(1)) {
        at = at.get_field_mut(field).as_message_mut()?;
    }
    Some(at)
}

/// Writes a chain the way JSON names it.
pub(crate) fn json_path(chain: &[FieldDescriptor]) -> String {
    let names: Vec<&str> = chain.iter().map(FieldDescriptor::json_name).collect();
    names.join(".")
}

/// Turns a violation's path of proto names into one of JSON names: `user_ids[2]` -> `userIds[2]`. Names that the
/// descriptor does not know are turned by rule. A body that is one field has its name cut off, as the caller wrote none.
pub(crate) fn for_caller(
    desc: &MessageDescriptor,
    path: &str,
    body: Option<&FieldDescriptor>,
) -> String {
    let mut written = String::with_capacity(path.len());
    let mut at = Some(desc.clone());
    let mut rest = path;
    let mut first = true;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            continue;
        }
        if rest.starts_with('[') {
            let end = subscript_end(rest);
            written.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let field = at.as_ref().and_then(|desc| {
            desc.get_field_by_name(name)
                .or_else(|| desc.get_field_by_json_name(name))
        });
        at = field.as_ref().and_then(message_of);
        let is_body = first && !after.is_empty() && field.is_some() && field.as_ref() == body;
        if !is_body {
            if !written.is_empty() {
                written.push('.');
            }
            match &field {
                Some(field) => written.push_str(field.json_name()),
                None => push_camel(&mut written, name),
            }
        }
        first = false;
        rest = after;
    }
    written
}

/// The message that follows in a path, through lists and map values as well.
fn message_of(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let Kind::Message(desc) = field.kind() else {
        return None;
    };
    if !desc.is_map_entry() {
        return Some(desc);
    }
    match desc.map_entry_value_field().kind() {
        Kind::Message(value) => Some(value),
        _ => None,
    }
}

/// One past the bracket that closes; a string inside may hold brackets of its own.
fn subscript_end(text: &str) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn push_camel(written: &mut String, name: &str) {
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
        } else if upper {
            written.extend(letter.to_uppercase());
            upper = false;
        } else {
            written.push(letter);
        }
    }
}
