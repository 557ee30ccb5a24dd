//! HTTP request -> request message: body, then query, then header, then path, the later over the earlier.

use bytes::Bytes;
use http::{header, request::Parts};
use prost_reflect::{DynamicMessage, Kind, Value};

use crate::{
    decode, fields, json, mask,
    options::Options,
    problem::FieldError,
    query,
    route::{BodyRule, Route},
    router::Matched,
};

/// Builds the message, or says everything that is wrong with the request.
pub(crate) fn message(
    matched: &Matched<'_, '_>,
    parts: &Parts,
    body: Bytes,
    options: &Options,
) -> Result<DynamicMessage, Vec<FieldError>> {
    let route = matched.route;
    let mut errors = Vec::new();
    let (mut message, named) = match from_body(route, parts, body, options) {
        Ok(read) => read,
        Err(faults) => {
            errors = faults;
            (DynamicMessage::new(route.input.clone()), Vec::new())
        }
    };

    let asked = parts.uri.query().unwrap_or_default();
    errors.extend(query::bind(&mut message, asked, route, options.strict));
    if let Some(field) = &route.mask
        && !message.has_field(field)
    {
        message.set_field(field, field_mask(field, named));
    }
    if let Some(position) = &route.resume
        && let Some(id) = parts.headers.get("last-event-id")
    {
        match id.to_str() {
            Ok(id) => message.set_field(&position.taken, Value::String(id.to_owned())),
            Err(_) => errors.push(FieldError::new("Last-Event-ID", "it is not plain text")),
        }
    }
    errors.extend(bind_path(&mut message, matched, options.strict));

    if errors.is_empty() {
        Ok(message)
    } else {
        Err(errors)
    }
}

/// Reads the body. Beside the message come the paths of the keys that stood in it, if a mask wants them.
fn from_body(
    route: &Route,
    parts: &Parts,
    body: Bytes,
    options: &Options,
) -> Result<(DynamicMessage, Vec<String>), Vec<FieldError>> {
    let mut message = DynamicMessage::new(route.input.clone());
    if route.raw_body {
        put_raw(&mut message, route, parts, body);
        return Ok((message, Vec::new()));
    }
    if body.is_empty() && route.body_may_be_absent() {
        return Ok((message, Vec::new()));
    }
    match &route.body {
        BodyRule::None => Ok((message, Vec::new())),
        BodyRule::Whole => {
            let tree = json::parse(&body, options.max_depth).map_err(|error| vec![error])?;
            Ok((
                decode::message(&route.input, &tree, options.strict)?,
                Vec::new(),
            ))
        }
        BodyRule::Field(field) => {
            let tree = json::parse(&body, options.max_depth).map_err(|error| vec![error])?;
            let value = decode::field(field, &tree, options.strict)?;
            let named = match (&route.mask, field.kind()) {
                (Some(_), Kind::Message(desc)) => mask::of(&desc, &tree),
                _ => Vec::new(),
            };
            message.set_field(field, value);
            Ok((message, named))
        }
    }
}

fn put_raw(message: &mut DynamicMessage, route: &Route, parts: &Parts, body: Bytes) {
    let target = match &route.body {
        BodyRule::Field(field) => message.get_field_mut(field).as_message_mut(),
        BodyRule::Whole | BodyRule::None => Some(message),
    };
    let Some(target) = target else { return };
    let media = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    target.set_field_by_name(
        "content_type",
        Value::String(media.unwrap_or_default().to_owned()),
    );
    target.set_field_by_name("data", Value::Bytes(body));
}

fn field_mask(field: &prost_reflect::FieldDescriptor, paths: Vec<String>) -> Value {
    let Kind::Message(desc) = field.kind() else {
        return Value::List(Vec::new());
    };
    let mut mask = DynamicMessage::new(desc);
    let paths = paths.into_iter().map(Value::String).collect();
    mask.set_field_by_name("paths", Value::List(paths));
    Value::Message(mask)
}

fn bind_path(
    message: &mut DynamicMessage,
    matched: &Matched<'_, '_>,
    strict: bool,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, chain) in matched.route.bound.iter().enumerate() {
        let text = matched.value(index);
        let Some(field) = chain.last() else { continue };
        match fields::read(field, &text, strict) {
            Ok(value) => {
                if let Some(holder) = fields::holder(message, chain) {
                    holder.set_field(field, value);
                }
            }
            Err(description) => errors.push(FieldError::new(fields::json_path(chain), description)),
        }
    }
    errors
}
