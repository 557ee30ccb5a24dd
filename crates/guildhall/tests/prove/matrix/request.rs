//! Requests, built from the descriptors by the names of their fields.

use anyhow::{Context as _, bail};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::door::{PASSWORD, Target, unique};

/// A password that follows [`PASSWORD`].
pub(crate) const NEXT_PASSWORD: &str = "ten callers at another door";

/// A request of this kind about this target.
pub(crate) fn build(input: &MessageDescriptor, target: &Target) -> anyhow::Result<DynamicMessage> {
    let mut message = DynamicMessage::new(input.clone());
    for field in input.fields() {
        if let Some(value) = value(input, &field, target)? {
            message.set_field(&field, value);
        } else if is_required(&field) {
            bail!(
                "{} requires `{}`, and the matrix knows no value for it: add one to `value` in matrix/request.rs",
                input.full_name(),
                field.name()
            );
        }
    }
    Ok(message)
}

fn value(
    input: &MessageDescriptor,
    field: &FieldDescriptor,
    target: &Target,
) -> anyhow::Result<Option<Value>> {
    let text = |text: &str| Value::String(text.to_owned());
    let many = |text: &str| Value::List(vec![Value::String(text.to_owned())]);
    let is_login = input.name() == "LoginRequest";
    Ok(Some(match field.name() {
        "space_id" => text(&target.space),
        "channel_id" => text(&target.channel),
        "message_id" => text(&target.message),
        "user_id" => text(&target.user),
        "session_id" => text(&target.session),
        "user_ids" => many(&target.user),
        "channel_ids" => many(&target.channel),
        "kind" => number(field, "SPACE_KIND_TEAM")?,
        // The lowest: members could give it, were they not stopped at the door.
        "role" if input.name() == "AddMemberRequest" => number(field, "SPACE_ROLE_GUEST")?,
        "role" => number(field, "SPACE_ROLE_MEMBER")?,
        "text" | "topic" | "display_name" | "status_text" => text("as it was made by the matrix"),
        "q" => text("foreig"),
        // One of both names an account.
        "email" if is_login => return Ok(None),
        "email" => text(&format!("{}@example.org", unique())),
        "username" if is_login => text(&target.login),
        "name" | "key" | "username" => text(&unique()),
        "password" | "current_password" => text(PASSWORD),
        "new_password" => text(NEXT_PASSWORD),
        "refresh_token" => text(&target.refresh),
        // A client frame says one thing: Hello, with the wish in it.
        "subscribe" if input.name() == "ClientFrame" => return Ok(None),
        "subscribe" | "hello" | "frame" => {
            let Kind::Message(inner) = field.kind() else {
                bail!("{} is no message", field.full_name());
            };
            Value::Message(build(&inner, target)?)
        }
        _ => return Ok(None),
    }))
}

fn number(field: &FieldDescriptor, name: &str) -> anyhow::Result<Value> {
    let Kind::Enum(values) = field.kind() else {
        bail!("{} is no enum", field.full_name());
    };
    let value = values
        .get_value_by_name(name)
        .with_context(|| format!("no {name}"))?;
    Ok(Value::EnumNumber(value.number()))
}

/// Whether the proto says that requests must have it.
fn is_required(field: &FieldDescriptor) -> bool {
    const REQUIRED: i32 = 2;
    let Some(behaviour) =
        guildhall_proto::pool().get_extension_by_name("google.api.field_behavior")
    else {
        return false;
    };
    let options = field.options();
    let said = options.get_extension(&behaviour);
    said.as_list()
        .into_iter()
        .flatten()
        .any(|said| said.as_enum_number() == Some(REQUIRED))
}
