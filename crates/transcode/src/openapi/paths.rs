//! Path templates the way OpenAPI writes them: one named parameter for each wild card.

use std::collections::HashMap;

use prost_reflect::FieldDescriptor;
use serde_json::{Value, json};

use super::schema::{Schemas, Side};
use crate::{
    route::Route,
    template::{Segment, Template},
};

/// Names the wild cards of paths, so that two templates of one shape use the same names, as OpenAPI demands.
#[derive(Default)]
pub(super) struct Paths {
    names: HashMap<String, Vec<String>>,
}

/// A template as OpenAPI writes it.
pub(super) struct Path {
    pub(super) text: String,
    wild: Vec<Wild>,
}

struct Wild {
    name: String,
    open: bool,
    /// The variable that this wild card is the whole value of.
    whole: Option<usize>,
}

impl Paths {
    pub(super) fn write(&mut self, template: &Template, fields: &[Vec<FieldDescriptor>]) -> Path {
        let mut wild = Vec::new();
        let mut shape = String::new();
        for (at, segment) in template.segments.iter().enumerate() {
            shape.push('/');
            if let Segment::Literal(text) = segment {
                shape.push_str(text);
                continue;
            }
            shape.push_str("{}");
            let variable = template
                .variables
                .iter()
                .position(|it| it.start <= at && at < it.end);
            let name = match variable.and_then(|index| fields.get(index)) {
                Some(chain) => {
                    let names: Vec<&str> = chain.iter().map(FieldDescriptor::json_name).collect();
                    names.join("_")
                }
                None => "segment".into(),
            };
            let alone = variable.filter(|&index| {
                template.variables[index].end - template.variables[index].start == 1
            });
            wild.push(Wild {
                name,
                open: *segment == Segment::Rest,
                whole: alone,
            });
        }
        if let Some(verb) = &template.verb {
            shape.push(':');
            shape.push_str(verb);
        }
        number_repeats(&mut wild);
        let names = self
            .names
            .entry(shape.clone())
            .or_insert_with(|| wild.iter().map(|it| it.name.clone()).collect());
        for (wild, name) in wild.iter_mut().zip(names) {
            wild.name.clone_from(name);
        }

        let mut pieces = shape.split("{}");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (piece, wild) in pieces.zip(&wild) {
            text.extend(["{", wild.name.as_str(), "}", piece]);
        }
        Path { text, wild }
    }
}

impl Path {
    pub(super) fn parameters(&self, route: &Route, schemas: &mut Schemas) -> Vec<Value> {
        self.wild
            .iter()
            .map(|wild| parameter(wild, route, schemas))
            .collect()
    }
}

fn parameter(wild: &Wild, route: &Route, schemas: &mut Schemas) -> Value {
    let field = wild
        .whole
        .and_then(|index| route.bound.get(index))
        .and_then(|chain| chain.last());
    let mut schema = match field {
        Some(field) => schemas.field(field, Side::Text),
        None => json!({"type": "string"}),
    };
    let mut parameter = json!({"name": wild.name, "in": "path", "required": true});
    if let Some(schema) = schema.as_object_mut() {
        if let Some(text) = schema.remove("description") {
            parameter["description"] = text;
        }
        if wild.open {
            schema.insert("pattern".into(), "^.*$".into());
        } else if schema.get("type").is_some_and(|kind| kind == "string")
            && !["minLength", "pattern", "format", "enum", "const"]
                .iter()
                .any(|it| schema.contains_key(*it))
        {
            // An empty segment is no segment.
            schema.insert("minLength".into(), 1.into());
        }
    }
    parameter["schema"] = schema;
    parameter
}

/// `name`, `name` -> `name1`, `name2`.
fn number_repeats(wild: &mut [Wild]) {
    let names: Vec<String> = wild.iter().map(|it| it.name.clone()).collect();
    for (index, it) in wild.iter_mut().enumerate() {
        if names.iter().filter(|name| **name == it.name).count() > 1 {
            let before = names[..index]
                .iter()
                .filter(|name| **name == it.name)
                .count();
            it.name = format!("{}{}", it.name, before + 1);
        }
    }
}
