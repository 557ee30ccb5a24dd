//! The ways to call an rpc.

use anyhow::{Context as _, bail};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use reqwest::Method;

/// A way to call.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    Grpc,
    GrpcWeb,
    /// By this method and path template, with a body or without.
    Rest(Method, String, bool),
}

/// The wires that carry an rpc: gRPC, grpc-web unless its client streams, and each of its http rules.
pub(crate) fn wires(rpc: &MethodDescriptor) -> anyhow::Result<Vec<Wire>> {
    let mut wires = vec![Wire::Grpc];
    if !rpc.is_client_streaming() {
        wires.push(Wire::GrpcWeb);
    }
    let http = guildhall_proto::pool()
        .get_extension_by_name("google.api.http")
        .context("no google.api.http")?;
    let options = rpc.options();
    if options.has_extension(&http) {
        let rule = options.get_extension(&http);
        let rule = rule.as_message().context("an http rule")?;
        wires.push(rest(rule)?);
        let more = rule.get_field_by_name("additional_bindings");
        for rule in more.as_ref().and_then(|more| more.as_list()).unwrap_or(&[]) {
            wires.push(rest(rule.as_message().context("an http rule")?)?);
        }
    }
    Ok(wires)
}

fn rest(rule: &DynamicMessage) -> anyhow::Result<Wire> {
    let text = |name: &str| {
        let value = rule.get_field_by_name(name)?;
        Some(value.as_str()?.to_owned())
    };
    let has_body = text("body").is_some_and(|body| !body.is_empty());
    for (name, method) in [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ] {
        if let Some(path) = text(name).filter(|path| !path.is_empty()) {
            return Ok(Wire::Rest(method, path, has_body));
        }
    }
    bail!(
        "an http rule of a kind that the matrix does not know: add it to `rest` in matrix/wires.rs"
    )
}
