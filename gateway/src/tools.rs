//! What gRPC offers beside the rpcs: health of each public service, and reflection that shows the public ones only.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::target::Rpcs;

/// The servers of health and, where wanted, of both versions of reflection.
///
/// # Errors
/// Only for descriptors that do not decode.
pub(crate) fn routes(
    pool: &DescriptorPool,
    descriptors: &[u8],
    rpcs: &Rpcs,
    reflection: bool,
    health: HealthReporter,
) -> anyhow::Result<Routes> {
    let health = HealthServer::new(HealthService::from_health_reporter(health));
    let routes = Routes::new(health);
    if !reflection {
        return Ok(routes.prepare());
    }
    let shown = public(pool, descriptors, rpcs)?;
    let sets = [
        shown.as_slice(),
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let builder = || {
        sets.iter().fold(
            tonic_reflection::server::Builder::configure(),
            |builder, set| builder.register_encoded_file_descriptor_set(set),
        )
    };
    Ok(routes
        .add_service(builder().build_v1()?)
        .add_service(builder().build_v1alpha()?)
        .prepare())
}

/// The descriptor set without the rpcs that are for other services only, and without services and files that have nothing else.
/// Options stay: a decoder with types of its own would lose ours.
fn public(pool: &DescriptorPool, descriptors: &[u8], rpcs: &Rpcs) -> anyhow::Result<Vec<u8>> {
    let set = pool
        .get_message_by_name("google.protobuf.FileDescriptorSet")
        .ok_or_else(|| anyhow::anyhow!("the descriptors lack google/protobuf/descriptor.proto"))?;
    let mut set = DynamicMessage::decode(set, descriptors)?;
    let imported: Vec<String> = pool
        .files()
        .flat_map(|file| file.file_descriptor_proto().dependency.clone())
        .collect();
    for file in messages(&mut set, "file") {
        let package = name(file, "package");
        for service in messages(file, "service") {
            let path = format!("/{package}.{}/", name(service, "name"));
            if package.starts_with("guildhall.") {
                retain(service, "method", |method| {
                    rpcs.has(&format!("{path}{}", name(method, "name")))
                });
            }
        }
    }
    retain(&mut set, "file", |file| {
        let had_services = !list(file, "service").is_empty();
        retain(file, "service", |service| {
            !list(service, "method").is_empty()
        });
        let has_services = !list(file, "service").is_empty();
        has_services || !had_services || imported.contains(&name(file, "name"))
    });
    Ok(set.encode_to_vec())
}

fn name(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value
        .as_ref()
        .and_then(|value| value.as_str())
        .unwrap_or_default()
        .to_owned()
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    let value = message.get_field_by_name(field);
    value
        .as_ref()
        .and_then(|value| value.as_list())
        .unwrap_or_default()
        .to_vec()
}

/// The messages of a list field, to be changed where they are.
fn messages<'m>(
    message: &'m mut DynamicMessage,
    field: &str,
) -> impl Iterator<Item = &'m mut DynamicMessage> {
    let value = message.get_field_by_name_mut(field);
    let list = value.and_then(Value::as_list_mut);
    list.into_iter().flatten().filter_map(Value::as_message_mut)
}

/// Keeps those messages of a list field that it says yes to.
fn retain(
    message: &mut DynamicMessage,
    field: &str,
    mut keep: impl FnMut(&mut DynamicMessage) -> bool,
) {
    let list = message
        .get_field_by_name_mut(field)
        .and_then(Value::as_list_mut);
    if let Some(list) = list {
        list.retain_mut(|value| value.as_message_mut().is_some_and(&mut keep));
    }
}
