//! One route as one operation.

use prost_reflect::FieldDescriptor;
use prost_types::MethodOptions;
use serde_json::{Map, Value, json};

use super::{
    Page, comments,
    paths::Path,
    query,
    schema::{Schemas, Side},
};
use crate::route::{BodyRule, Route};

/// Every status of a problem, its name among the components, and what it means.
const PROBLEMS: [(&str, &str, &str); 10] = [
    (
        "400",
        "BadInput",
        "The request does not fit: `errors` names the fields.",
    ),
    (
        "401",
        "Unauthenticated",
        "Nobody is signed in, or the sign-in has ended.",
    ),
    ("403", "PermissionDenied", "The caller may not do this."),
    ("404", "NotFound", "It is not there, or not for the caller."),
    (
        "406",
        "NotAcceptable",
        "The `Accept` header leaves out what this call answers with.",
    ),
    ("409", "Conflict", "It does not fit the present state."),
    ("413", "TooLarge", "The body is too long."),
    (
        "415",
        "UnsupportedMediaType",
        "The body is not `application/json`.",
    ),
    (
        "429",
        "TooManyCalls",
        "Too many calls; `Retry-After` says when to come back.",
    ),
    ("default", "Failed", "The call failed."),
];

/// Writes the answers that operations refer to.
pub(super) fn problems() -> Value {
    let content =
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    PROBLEMS
        .iter()
        .map(|(_, name, text)| {
            (
                (*name).to_owned(),
                json!({"description": text, "content": content}),
            )
        })
        .collect::<Map<String, Value>>()
        .into()
}

/// Writes the operation of a route.
pub(super) fn describe(route: &Route, path: &Path, page: &Page, schemas: &mut Schemas) -> Value {
    let rpc = &route.rpc;
    let service = rpc.parent_service();
    let suffix = if route.binding == 0 {
        String::new()
    } else {
        format!("_{}", route.binding + 1)
    };
    let mut operation = Map::new();
    operation.insert("tags".into(), json!([service.name()]));
    operation.insert(
        "operationId".into(),
        format!("{}_{}{suffix}", service.name(), rpc.name()).into(),
    );
    if let Some(text) = schemas.comments.get(&rpc.parent_file(), rpc.path()) {
        operation.insert("summary".into(), comments::summary(text).into());
        operation.insert("description".into(), text.into());
    }
    if rpc
        .method_descriptor_proto()
        .options
        .as_ref()
        .is_some_and(MethodOptions::deprecated)
    {
        operation.insert("deprecated".into(), true.into());
    }

    let mut parameters = path.parameters(route, schemas);
    parameters.extend(query::parameters(route, schemas));
    if let Some(position) = &route.resume {
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": format!("Where to go on: the last `id` read. Goes before `{}`.", position.taken.json_name()),
            "schema": {"type": "string"}
        }));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    if let Some(body) = body(route, schemas) {
        operation.insert("requestBody".into(), body);
    }
    operation.insert("responses".into(), responses(route, schemas));
    if (page.public)(rpc) {
        operation.insert("security".into(), json!([]));
    } else if page.security.is_array() {
        operation.insert("security".into(), page.security.clone());
    }
    operation.into()
}

fn body(route: &Route, schemas: &mut Schemas) -> Option<Value> {
    if route.raw_body {
        return Some(json!({"required": false, "content": {"*/*": {"schema": {}}}}));
    }
    let (schema, required) = match &route.body {
        BodyRule::None => return None,
        BodyRule::Whole => {
            let without: Vec<FieldDescriptor> = route
                .input
                .fields()
                .filter(|field| route.binds(field))
                .collect();
            let schema = schemas.message_without(&route.input, Side::Input, &without);
            (schema, !route.body_may_be_absent())
        }
        BodyRule::Field(field) => (schemas.body(field), true),
    };
    Some(json!({"required": required, "content": {"application/json": {"schema": schema}}}))
}

fn responses(route: &Route, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    responses.insert("200".into(), success(route, schemas));
    for (status, name, _) in PROBLEMS {
        let arises = match status {
            "406" => !route.raw_answer,
            "413" => route.body != BodyRule::None,
            "415" => route.body != BodyRule::None && !route.raw_body,
            _ => true,
        };
        if arises {
            let reference = format!("#/components/responses/{name}");
            responses.insert(status.into(), json!({"$ref": reference}));
        }
    }
    responses.into()
}

fn success(route: &Route, schemas: &mut Schemas) -> Value {
    if route.raw_answer {
        return json!({"description": "The content as it is.", "content": {"*/*": {"schema": {}}}});
    }
    let schema = match &route.answer {
        Some(field) => schemas.field(field, Side::Output),
        None => schemas.message(&route.output, Side::Output),
    };
    if !route.rpc.is_server_streaming() {
        return json!({"description": "Done.", "content": {"application/json": {"schema": schema}}});
    }
    json!({
        "description": "A stream of events. The schema is that of one event: the `data` of an event stream, a line of \
                        `application/x-ndjson`. A stream that fails ends with `event: error` and a Problem, or with a \
                        line `{\"error\": Problem}`.",
        "content": {
            "text/event-stream": {"schema": schema},
            "application/x-ndjson": {"schema": schema}
        }
    })
}
