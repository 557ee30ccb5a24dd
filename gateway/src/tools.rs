//! What gRPC offers beside the rpcs: health of each public service, and reflection that shows the public ones only.

use guildhall_proto::PUBLIC_DESCRIPTORS;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

/// The servers of health and, where wanted, of both versions of reflection.
///
/// # Errors
/// Only for descriptors that do not decode.
pub(crate) fn routes(reflection: bool, health: HealthReporter) -> anyhow::Result<Routes> {
    let health = HealthServer::new(HealthService::from_health_reporter(health));
    let routes = Routes::new(health);
    if !reflection {
        return Ok(routes.prepare());
    }
    let sets = [
        PUBLIC_DESCRIPTORS,
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
