//! The API description: what the transcoder makes of the descriptors, and who may call what.

use std::sync::Arc;

use guildhall_mesh::{
    Reason,
    rules::{Caller, Rule, Rules},
};
use guildhall_transcode::{
    Transcoder,
    openapi::{self, Page},
};
use serde_json::{Value, json};

use crate::{
    auth::{CSRF, cookies},
    rest::rule_of,
};

const DESCRIPTION: &str = "\
One hall for a team or a study group. The same calls are there as gRPC and grpc-web on the same port; ask its reflection, or use \
the `.proto` files.

**Signing in.** Programs send `Authorization: Bearer`. A page on the hall's own site logs in with `cookie: true`, stores no token, and \
sends the newest `csrfToken` (from login, refresh or start) as `X-CSRF-Token` with every call but GET. On 401 with \
`REASON_TOKEN_EXPIRED` refresh once and repeat; any other 401 means sign in.

**Errors** are `application/problem+json`; programs decide by `code` and `reason`. What is not there and what is not yours answer \
alike: 404. Calls that come too fast get 429 with `Retry-After`.

**Repeating** is safe: creating and posting take a `key` of your choice, and the same key gets the first result again.";

/// Describes every public call.
pub(crate) fn document(transcoder: &Transcoder, rules: &Arc<Rules>) -> Value {
    let known = rules.clone();
    let page = Page {
        title: "Guildhall".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        description: DESCRIPTION.into(),
        security_schemes: json!({
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token."},
            "cookie": {
                "type": "apiKey",
                "in": "cookie",
                "name": cookies::ACCESS,
                "description": format!("The cookie of a page on the hall's own site; with every call but GET also the header {CSRF}."),
            },
        }),
        security: json!([{"bearer": []}, {"cookie": []}]),
        public: Arc::new(move |rpc| {
            rule_of(&known, rpc).is_some_and(|rule| matches!(rule.who, Caller::Public))
        }),
        ..Page::default()
    };
    let mut document = openapi::document(transcoder, &page);
    say_who_may_call(&mut document, rules);
    let reasons: Vec<_> = reasons().collect();
    if let Some(reason) = document.pointer_mut("/components/schemas/Problem/properties/reason") {
        reason["examples"] = json!(reasons);
    }
    document
}

/// Adds a sentence to each operation.
fn say_who_may_call(document: &mut Value, rules: &Rules) {
    let operations = document["paths"]
        .as_object_mut()
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|path| path.values_mut());
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap_or_default();
        let found = rules
            .iter()
            .find(|(_, rule)| is_of(rule, id))
            .map(|(_, rule)| rule);
        let Some(sentence) = found.map(who_may_call) else {
            continue;
        };
        let text = operation["description"].as_str().unwrap_or_default();
        operation["description"] = format!("{text}\n\n{sentence}").trim().into();
    }
}

/// Whether an operation is of this rpc: `Service_Rpc`, or `Service_Rpc_2` for a second way to call it.
fn is_of(rule: &Rule, operation: &str) -> bool {
    let mut parts = operation.split('_');
    parts.next() == Some(rule.service.as_str()) && parts.next() == Some(rule.name.as_str())
}

fn who_may_call(rule: &Rule) -> String {
    match &rule.who {
        Caller::Public => "Anyone may call.".into(),
        Caller::SignedIn => "Anyone signed in may call.".into(),
        Caller::InSpace {
            at_least, field, ..
        } => {
            let role = format!("{at_least:?}").to_uppercase();
            let field = field.json_name();
            format!(
                "Callers need the role {role} or more in the space that `{field}` leads to; for others it is not there (404)."
            )
        }
        Caller::Admin => "Only administrators may call.".into(),
        Caller::Service(_) => String::new(),
    }
}

/// All the reasons by name.
fn reasons() -> impl Iterator<Item = &'static str> {
    (1..)
        .map_while(|number| Reason::try_from(number).ok())
        .map(|reason| reason.as_str_name())
}
