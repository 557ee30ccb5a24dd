//! Query string -> fields of the request message.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, FieldDescriptor};

use crate::{
    decode, fields,
    problem::FieldError,
    route::{BodyRule, Route},
    router,
};

/// Sets the fields that the query names. What path or body bind already is refused, not overwritten.
pub(crate) fn bind(
    message: &mut DynamicMessage,
    query: &str,
    route: &Route,
    strict: bool,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen: Vec<fields::Chain> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(key), Some(value)) = (unescape(key), unescape(value)) else {
            let key = unescape(key).map_or_else(|| key.to_owned(), Cow::into_owned);
            errors.push(FieldError::new(
                key,
                "its percent escapes are broken or not UTF-8",
            ));
            continue;
        };
        if let Err(description) = set(message, &key, &value, route, strict, &mut seen) {
            errors.push(FieldError::new(key, description));
        }
    }
    errors
}

fn set(
    message: &mut DynamicMessage,
    key: &str,
    value: &str,
    route: &Route,
    strict: bool,
    seen: &mut Vec<fields::Chain>,
) -> Result<(), String> {
    let chain = fields::find(&route.input, key).ok_or("there is no such parameter")?;
    if let Some(by) = bound_by(&chain, route) {
        return Err(format!("the {by} gives it already"));
    }
    let (field, holder) = match (chain.last(), fields::holder(message, &chain)) {
        (Some(field), Some(holder)) if fields::is_leaf(field) => (field, holder),
        _ => return Err("it cannot be given in the query".into()),
    };
    let read = fields::read(field, value, strict)?;

    if field.is_list() {
        if let Some(items) = holder.get_field_mut(field).as_list_mut() {
            items.push(read);
        }
        return Ok(());
    }
    if let Some(other) = decode::rival(holder, field) {
        return Err(format!(
            "it cannot stand together with {}",
            other.json_name()
        ));
    }
    holder.set_field(field, read);
    if seen.contains(&chain) {
        return Err("it stands twice".into());
    }
    seen.push(chain);
    Ok(())
}

/// Whether path or body have a say in this field, in the message around it or in one within.
fn bound_by(chain: &[FieldDescriptor], route: &Route) -> Option<&'static str> {
    let meets = |bound: &fields::Chain| {
        let both = bound.len().min(chain.len());
        bound[..both] == chain[..both]
    };
    if route.bound.iter().any(meets) {
        return Some("path");
    }
    match &route.body {
        BodyRule::None => None,
        BodyRule::Whole => Some("body"),
        BodyRule::Field(field) => (chain[0] == *field).then_some("body"),
    }
}

/// Undoes form encoding: a plus is a blank.
fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return router::unescape(text);
    }
    let blanks = text.replace('+', " ");
    router::unescape(&blanks).map(|text| Cow::Owned(text.into_owned()))
}
