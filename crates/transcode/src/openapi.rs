//! OpenAPI 3.1 of the routes of a transcoder, from the same descriptors and settings.
//!
//! Schemas of requests are as exact as JSON Schema can be: what they refuse the server refuses. Schemas of answers are open,
//! so that a later version may print more. In the order of the page: `operation` (over `paths` and `query`), `schema` (over `enums`, `scalar`,
//! and `rules` with `strings` and `numbers` for `buf.validate`), `comments`.

mod comments;
mod enums;
mod numbers;
mod operation;
mod paths;
mod query;
mod rules;
mod scalar;
mod schema;
mod strings;

use std::{collections::HashSet, fmt, sync::Arc};

use serde_json::{Map, Value, json};

use crate::{MethodFilter, Transcoder, problem, route::Route};
use paths::Paths;
use schema::Schemas;

/// What a page says beside the routes. `..Page::default()` fills in the rest.
#[derive(Clone)]
pub struct Page {
    /// Name of the API.
    pub title: String,
    /// Its version.
    pub version: String,
    /// A few sentences in Markdown.
    pub description: String,
    /// Base URLs. Empty: where the page itself is served.
    pub servers: Vec<String>,
    /// `components.securitySchemes`, an object; null: none.
    pub security_schemes: Value,
    /// What rpcs that are not public require: a list, one of which is enough; null: nothing.
    pub security: Value,
    /// Which rpcs need no sign-in. All.
    pub public: MethodFilter,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            title: String::new(),
            version: "1".into(),
            description: String::new(),
            servers: Vec::new(),
            security_schemes: Value::Null,
            security: Value::Null,
            public: Arc::new(|_| true),
        }
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("title", &self.title)
            .field("version", &self.version)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// Writes the page.
pub fn document(transcoder: &Transcoder, page: &Page) -> Value {
    let routes = transcoder.routes();
    let mut schemas = Schemas::new(
        transcoder.pool(),
        transcoder.options().strict,
        both_sides(routes),
    );
    let mut names = Paths::default();
    let mut items: Map<String, Value> = Map::new();
    for route in routes {
        let path = names.write(&route.template, &route.bound);
        let operation = operation::describe(route, &path, page, &mut schemas);
        let item = items.entry(path.text).or_insert_with(|| json!({}));
        item[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    let tags = tags(routes, &schemas);

    let mut info = json!({"title": page.title, "version": page.version});
    if !page.description.is_empty() {
        info["description"] = page.description.as_str().into();
    }
    let mut document = json!({"openapi": "3.1.0", "info": info});
    if !page.servers.is_empty() {
        document["servers"] = page.servers.iter().map(|url| json!({"url": url})).collect();
    }
    document["tags"] = tags;
    document["paths"] = items.into();
    let mut components: Map<String, Value> = schemas.finish().into_iter().collect();
    components.insert("FieldError".into(), field_error());
    components.insert("Problem".into(), problem_schema());
    document["components"] = json!({"schemas": components, "responses": operation::problems()});
    if page.security_schemes.is_object() {
        document["components"]["securitySchemes"] = page.security_schemes.clone();
    }
    document
}

/// Messages that some request and some answer hold.
fn both_sides(routes: &[Arc<Route>]) -> HashSet<String> {
    let (mut inputs, mut outputs) = (HashSet::new(), HashSet::new());
    for route in routes {
        schema::reach(&route.input, &mut inputs);
        schema::reach(&route.output, &mut outputs);
    }
    inputs.intersection(&outputs).cloned().collect()
}

fn tags(routes: &[Arc<Route>], schemas: &Schemas) -> Value {
    let mut seen = HashSet::new();
    let mut tags = Vec::new();
    for route in routes {
        let service = route.rpc.parent_service();
        if seen.insert(service.full_name().to_owned()) {
            let mut tag = json!({"name": service.name()});
            if let Some(text) = schemas.comments.get(&service.parent_file(), service.path()) {
                tag["description"] = text.into();
            }
            tags.push(tag);
        }
    }
    tags.into()
}

fn field_error() -> Value {
    json!({
        "type": "object",
        "description": "What is wrong with one field.",
        "properties": {
            "field": {
                "type": "string",
                "description": "JSON path of the field, the name of a header, or `$` for the whole body."
            },
            "description": {"type": "string", "description": "What is wrong, in words."}
        },
        "required": ["field", "description"]
    })
}

fn problem_schema() -> Value {
    let codes: Vec<Value> = (1..=16)
        .map(|code| problem::code_name(tonic::Code::from_i32(code)).into())
        .collect();
    json!({
        "type": "object",
        "description": "Why a call failed (RFC 9457).",
        "properties": {
            "type": {"type": "string", "description": "A URI of the kind of problem, `about:blank` where there is none."},
            "title": {"type": "string", "description": "The status in words."},
            "status": {"type": "integer", "description": "The status of the answer."},
            "detail": {"type": "string", "description": "One sentence for people."},
            "code": {"type": "string", "enum": codes, "description": "The gRPC code."},
            "reason": {"type": "string", "description": "What programs decide by."},
            "errors": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/FieldError"},
                "description": "What is wrong field by field."
            },
            "correlationId": {"type": "string", "description": "Finds this call in the logs."}
        },
        "required": ["type", "title", "status", "detail", "code"]
    })
}
