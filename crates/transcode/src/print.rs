//! Response message -> what the caller reads.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, SerializeOptions, Value};
use tonic::Status;

use crate::{route::Route, stream::Event};

/// A response message that is an HTTP body as it is.
pub(crate) struct Raw {
    pub(crate) media_type: String,
    pub(crate) data: Bytes,
}

/// Prints the answer of a unary call.
pub(crate) fn json(route: &Route, message: Bytes) -> Result<Bytes, Status> {
    let room = 2 * message.len() + 64;
    let message = decode(route, message)?;
    match &route.answer {
        None => print(&message, room),
        Some(field) => print_field(&message, field, room),
    }
}

/// Prints one message of a stream. A message whose answer field is not set prints nothing but its id.
pub(crate) fn event(route: &Route, message: Bytes) -> Result<Event, Status> {
    let room = 2 * message.len() + 64;
    let message = decode(route, message)?;
    let id = route.resume.as_ref().and_then(|position| {
        let id = message.get_field(&position.given);
        id.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    });
    let data = match &route.answer {
        None => Some(print(&message, room)?),
        Some(field) if field.supports_presence() && !message.has_field(field) => None,
        Some(field) => Some(print_field(&message, field, room)?),
    };
    Ok(Event { id, data })
}

/// Takes the HTTP body out of a response message.
pub(crate) fn raw(route: &Route, message: Bytes) -> Result<Raw, Status> {
    let mut message = decode(route, message)?;
    if let Some(field) = &route.answer {
        message = match message.take_field(field) {
            Some(Value::Message(inner)) => inner,
            _ => {
                return Ok(Raw {
                    media_type: String::new(),
                    data: Bytes::new(),
                });
            }
        };
    }
    let media_type = match message.take_field_by_name("content_type") {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let data = match message.take_field_by_name("data") {
        Some(Value::Bytes(data)) => data,
        _ => Bytes::new(),
    };
    Ok(Raw { media_type, data })
}

fn decode(route: &Route, message: Bytes) -> Result<DynamicMessage, Status> {
    DynamicMessage::decode(route.output.clone(), message).map_err(|error| {
        Status::internal(format!("the backend's message does not decode: {error}"))
    })
}

fn print(message: &DynamicMessage, room: usize) -> Result<Bytes, Status> {
    let mut text = Vec::with_capacity(room);
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options())
        .map_err(|error| unprintable(&error))?;
    Ok(text.into())
}

fn print_field(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    room: usize,
) -> Result<Bytes, Status> {
    let value = message.get_field(field);
    if let Value::Message(inner) = value.as_ref() {
        return print(inner, room);
    }
    // Lists, maps and scalars have no printer of their own: print a message with that field alone and take it out.
    let mut alone = DynamicMessage::new(message.descriptor());
    alone.set_field(field, value.into_owned());
    let mut object = alone
        .serialize_with_options(serde_json::value::Serializer, &options())
        .map_err(|error| unprintable(&error))?;
    let value = object
        .get_mut(field.json_name())
        .map(serde_json::Value::take)
        .unwrap_or_default();
    Ok(value.to_string().into())
}

fn options() -> SerializeOptions {
    SerializeOptions::new().skip_default_fields(false)
}

fn unprintable(error: &serde_json::Error) -> Status {
    Status::internal(format!("the backend's message has no JSON form: {error}"))
}
