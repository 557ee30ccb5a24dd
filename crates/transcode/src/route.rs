//! One http rule of one rpc, with every name in it looked up.

use http::{Method, Uri};
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor,
};

use crate::{
    error::BuildError,
    fields::{self, Chain},
    options::Options,
    template::Template,
};

/// The message that is an HTTP body as it is.
const HTTP_BODY: &str = "google.api.HttpBody";

pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) template: Template,
    /// The field of each variable of the template, in its order.
    pub(crate) bound: Vec<Chain>,
    pub(crate) rpc: MethodDescriptor,
    pub(crate) input: MessageDescriptor,
    pub(crate) output: MessageDescriptor,
    /// `/package.Service/Method`.
    pub(crate) grpc: Uri,
    pub(crate) body: BodyRule,
    pub(crate) raw_body: bool,
    /// The field that is the answer, if not the whole message.
    pub(crate) answer: Option<FieldDescriptor>,
    pub(crate) raw_answer: bool,
    /// The field mask that a PATCH body fills.
    pub(crate) mask: Option<FieldDescriptor>,
    pub(crate) resume: Option<Position>,
    /// 0 for the rule itself, then its additional bindings.
    pub(crate) binding: usize,
}

impl Route {
    /// Whether nothing is left for a body to say, because the path binds all there is.
    pub(crate) fn body_may_be_absent(&self) -> bool {
        match self.body {
            BodyRule::None => true,
            BodyRule::Field(_) => false,
            BodyRule::Whole => self.input.fields().all(|field| self.binds(&field)),
        }
    }

    /// Whether the path gives this field of the request message as a whole.
    pub(crate) fn binds(&self, field: &FieldDescriptor) -> bool {
        self.bound
            .iter()
            .any(|chain| chain.as_slice() == std::slice::from_ref(field))
    }
}

/// What of the request message is the HTTP body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyRule {
    None,
    Whole,
    Field(FieldDescriptor),
}

/// The looked-up fields of [`Resume`](crate::Resume).
pub(crate) struct Position {
    pub(crate) taken: FieldDescriptor,
    pub(crate) given: FieldDescriptor,
}

/// Reads the rules of all rpcs that the filter lets through.
pub(crate) fn collect(pool: &DescriptorPool, options: &Options) -> Result<Vec<Route>, BuildError> {
    let http = pool
        .get_extension_by_name("google.api.http")
        .ok_or(BuildError::NoHttpOption)?;
    let mut routes = Vec::new();
    for rpc in pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        if let Some(rule) = rule(&rpc, &http)
            && (options.filter)(&rpc)
        {
            if rpc.is_client_streaming() {
                return Err(BuildError::ClientStreaming {
                    rpc: rpc.full_name().into(),
                });
            }
            routes.push(read(&rpc, &rule, 0, options)?);
            for (index, more) in additional(&rule).iter().enumerate() {
                routes.push(read(&rpc, more, index + 1, options)?);
            }
        }
    }
    Ok(routes)
}

fn rule(rpc: &MethodDescriptor, http: &ExtensionDescriptor) -> Option<DynamicMessage> {
    let options = rpc.options();
    if !options.has_extension(http) {
        return None;
    }
    options.get_extension(http).as_message().cloned()
}

fn additional(rule: &DynamicMessage) -> Vec<DynamicMessage> {
    let list = rule.get_field_by_name("additional_bindings");
    let items = list
        .as_ref()
        .and_then(|list| list.as_list())
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.as_message().cloned())
        .collect()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value
        .as_ref()
        .and_then(|value| value.as_str())
        .unwrap_or_default()
        .to_owned()
}

fn read(
    rpc: &MethodDescriptor,
    rule: &DynamicMessage,
    binding: usize,
    options: &Options,
) -> Result<Route, BuildError> {
    let name = || rpc.full_name().to_owned();
    let wrong = |role, field: &str, why: &str| BuildError::Field {
        rpc: name(),
        role,
        field: field.into(),
        why: why.into(),
    };
    let (method, path) = pattern(rule).ok_or_else(|| BuildError::NoMethod { rpc: name() })?;
    let template = Template::parse(&path).map_err(|why| BuildError::Template {
        rpc: name(),
        path: path.clone(),
        why,
    })?;
    let (input, output) = (rpc.input(), rpc.output());

    let mut bound = Vec::new();
    for variable in &template.variables {
        let chain = fields::find(&input, &variable.field)
            .ok_or_else(|| wrong("path", &variable.field, "there is no such field"))?;
        if !chain
            .last()
            .is_some_and(|field| fields::is_leaf(field) && !field.is_list())
        {
            return Err(wrong(
                "path",
                &variable.field,
                "it cannot be written as text",
            ));
        }
        bound.push(chain);
    }

    let body_name = text(rule, "body");
    let body = match body_name.as_str() {
        "" => BodyRule::None,
        "*" => BodyRule::Whole,
        field => BodyRule::Field(
            input
                .get_field_by_name(field)
                .ok_or_else(|| wrong("body", field, "there is no such field"))?,
        ),
    };
    if body != BodyRule::None && (method == Method::GET || method == Method::HEAD) {
        return Err(wrong("body", &body_name, "this method has no body"));
    }
    if let BodyRule::Field(field) = &body
        && bound
            .iter()
            .any(|chain| chain.as_slice() == std::slice::from_ref(field))
    {
        return Err(wrong("body", &body_name, "the path binds it already"));
    }
    let answer = match text(rule, "response_body").as_str() {
        "" => None,
        field => Some(
            output
                .get_field_by_name(field)
                .ok_or_else(|| wrong("response_body", field, "there is no such field"))?,
        ),
    };
    let resume = match (options.resume)(rpc) {
        Some(resume) if rpc.is_server_streaming() => Some(Position {
            taken: text_field(&input, &resume.request_field)
                .ok_or_else(|| wrong("resume", &resume.request_field, "it is not a text field"))?,
            given: text_field(&output, &resume.response_field)
                .ok_or_else(|| wrong("resume", &resume.response_field, "it is not a text field"))?,
        }),
        _ => None,
    };

    Ok(Route {
        grpc: grpc_path(rpc)
            .ok_or_else(|| wrong("path", rpc.full_name(), "it cannot be the path of a call"))?,
        raw_body: match &body {
            BodyRule::None => false,
            BodyRule::Whole => input.full_name() == HTTP_BODY,
            BodyRule::Field(field) => is_raw(field),
        },
        raw_answer: answer
            .as_ref()
            .map_or_else(|| output.full_name() == HTTP_BODY, is_raw),
        mask: mask_field(&method, &input, &body),
        method,
        template,
        bound,
        rpc: rpc.clone(),
        input,
        output,
        body,
        answer,
        resume,
        binding,
    })
}

fn pattern(rule: &DynamicMessage) -> Option<(Method, String)> {
    for (field, method) in [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ] {
        if rule.has_field_by_name(field) {
            return Some((method, text(rule, field)));
        }
    }
    let custom = rule.get_field_by_name("custom")?;
    let custom = custom.as_message()?;
    let method = Method::from_bytes(text(custom, "kind").as_bytes()).ok()?;
    Some((method, text(custom, "path")))
}

fn grpc_path(rpc: &MethodDescriptor) -> Option<Uri> {
    format!("/{}/{}", rpc.parent_service().full_name(), rpc.name())
        .parse()
        .ok()
}

fn is_raw(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(desc) if desc.full_name() == HTTP_BODY)
        && !field.is_list()
        && !field.is_map()
}

/// The one field mask beside a PATCH body that is a message.
fn mask_field(
    method: &Method,
    input: &MessageDescriptor,
    body: &BodyRule,
) -> Option<FieldDescriptor> {
    let BodyRule::Field(field) = body else {
        return None;
    };
    if *method != Method::PATCH || fields::inner_message(field).is_none() {
        return None;
    }
    let mask = input.get_field_by_name("update_mask")?;
    let fits = matches!(mask.kind(), Kind::Message(desc) if desc.full_name() == "google.protobuf.FieldMask");
    (fits && !mask.is_list()).then_some(mask)
}

fn text_field(desc: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    let field = desc.get_field_by_name(name)?;
    (field.kind() == Kind::String && !field.is_list()).then_some(field)
}
