//! Query parameters: every leaf of the request message that path and body leave.

use prost_reflect::{FieldDescriptor, MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value, json};

use super::schema::{Schemas, Side};
use crate::{
    fields,
    route::{BodyRule, Route},
};

/// Describes the query of a route.
pub(super) fn parameters(route: &Route, schemas: &mut Schemas) -> Vec<Value> {
    let mut walk = Walk {
        route,
        schemas,
        parameters: Vec::new(),
        chain: Vec::new(),
    };
    if route.body != BodyRule::Whole {
        walk.message(&route.input, true);
    }
    walk.parameters
}

struct Walk<'w> {
    route: &'w Route,
    schemas: &'w mut Schemas,
    parameters: Vec<Value>,
    /// From the request message to the field in hand.
    chain: fields::Chain,
}

impl Walk<'_> {
    fn message(&mut self, desc: &MessageDescriptor, required: bool) {
        let mut grouped = Vec::new();
        for field in desc.fields() {
            let group = field
                .containing_oneof()
                .filter(|oneof| self.leaves(oneof).len() > 1);
            match group {
                Some(oneof) if fields::is_leaf(&field) => {
                    if !grouped.contains(&oneof) {
                        self.alternatives(&oneof);
                        grouped.push(oneof);
                    }
                }
                _ => self.field(&field, required),
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, required: bool) {
        self.chain.push(field.clone());
        if self.is_free() {
            let required = required && self.schemas.is_required(field);
            if let Some(inner) = fields::inner_message(field) {
                let recurs = self
                    .chain
                    .iter()
                    .any(|outer| *outer.parent_message() == inner);
                if !recurs {
                    self.message(&inner, required);
                }
            } else if fields::is_leaf(field) {
                self.single(field, required);
            }
        }
        self.chain.pop();
    }

    fn single(&mut self, field: &FieldDescriptor, required: bool) {
        let mut schema = self.schemas.field(field, Side::Text);
        let mut parameter = json!({"name": fields::json_path(&self.chain), "in": "query"});
        if let Some(text) = schema
            .as_object_mut()
            .and_then(|schema| schema.remove("description"))
        {
            parameter["description"] = text;
        }
        if required {
            parameter["required"] = true.into();
        }
        parameter["schema"] = schema;
        self.parameters.push(parameter);
    }

    /// Parameters of which at most one may be given. OpenAPI says that by an object whose members are the parameters.
    fn alternatives(&mut self, oneof: &OneofDescriptor) {
        let mut properties = Map::new();
        for field in self.leaves(oneof) {
            let schema = self.schemas.field(&field, Side::Text);
            self.chain.push(field);
            properties.insert(fields::json_path(&self.chain), schema);
            self.chain.pop();
        }
        let required = self.schemas.rules.oneof_required(oneof);
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "maxProperties": 1
        });
        if required {
            schema["minProperties"] = 1.into();
        }
        let mut name = fields::json_path(&self.chain);
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(oneof.name());
        self.parameters.push(json!({
            "name": name,
            "in": "query",
            "description": "One of these parameters.",
            "required": required,
            "style": "form",
            "explode": true,
            "schema": schema
        }));
    }

    /// The members of a oneof that the query may give; none of an optional field's own oneof.
    fn leaves(&mut self, oneof: &OneofDescriptor) -> Vec<FieldDescriptor> {
        if oneof.is_synthetic() {
            return Vec::new();
        }
        let mut leaves = Vec::new();
        for field in oneof.fields().filter(fields::is_leaf) {
            self.chain.push(field.clone());
            if self.is_free() {
                leaves.push(field);
            }
            self.chain.pop();
        }
        leaves
    }

    /// Whether neither path nor body gives the field in hand.
    fn is_free(&self) -> bool {
        let is_body = matches!(
            &self.route.body,
            BodyRule::Field(body) if self.chain.as_slice() == std::slice::from_ref(body)
        );
        !is_body && !self.route.bound.contains(&self.chain)
    }
}
