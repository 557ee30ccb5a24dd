//! What is for other services is not there for anybody outside, and what is shown is all that is there.

use guildhall_proto::{auth::v1 as auth, chat::v1 as chat};
use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::{Hall, client, framed, hall, hall_with, roomy};

const INTERNAL: [&str; 9] = [
    "/guildhall.auth.v1.AccessService/GetKeys",
    "/guildhall.auth.v1.AccessService/CheckSession",
    "/guildhall.auth.v1.AccessService/GetRole",
    "/guildhall.auth.v1.AccessService/ListRoles",
    "/guildhall.auth.v1.AccessService/ListAccessChanges",
    "/guildhall.auth.v1.AccessService/EnsureDirectSpace",
    "/guildhall.chat.v1.FeedService/ListHeads",
    "/guildhall.chat.v1.FeedService/ReadChanges",
    "/guildhall.chat.v1.FeedService/Nothing",
];

#[tokio::test]
async fn rpcs_for_services_answer_as_if_they_were_not_there() {
    let hall = hall().await;
    hall.is_ready().await;

    let known = auth::access_service_client::AccessServiceClient::new(hall.channel().await)
        .get_keys(auth::GetKeysRequest {})
        .await
        .expect_err("hidden");
    let other = chat::feed_service_client::FeedServiceClient::new(hall.channel().await)
        .read_changes(chat::ReadChangesRequest::default())
        .await
        .expect_err("hidden");
    assert_eq!(
        (known.code(), known.message()),
        (Code::Unimplemented, "no such rpc")
    );
    assert_eq!(
        (other.code(), other.message()),
        (Code::Unimplemented, "no such rpc")
    );

    let variants = |path: &str| {
        let encoded = path.replace("Get", "%47et").replace("List", "%4Cist");
        [
            path.to_owned(),
            format!("/{path}"),
            format!("{path}/"),
            encoded,
            path.to_lowercase(),
        ]
    };
    let client = client();
    for path in INTERNAL.iter().flat_map(|path| variants(path)) {
        for kind in [
            "application/grpc-web+proto",
            "application/grpc-web-text+proto",
        ] {
            let answer = client
                .post(hall.url(&path))
                .header("content-type", kind)
                .bearer_auth(hall.token())
                .body(framed(&[]))
                .send();
            let answer = answer.await.expect("answers");
            assert_eq!(answer.headers()["grpc-status"], "12", "{path}");
        }
        let rest = client
            .post(hall.url(&path))
            .json(&serde_json::json!({}))
            .send()
            .await
            .expect("answers");
        assert_eq!(rest.status(), 404, "{path}");
    }
    // The gateway itself asks them; nobody has by way of it.
    let by_clients = INTERNAL.iter().flat_map(|path| hall.services.asked(path));
    assert!(
        by_clients
            .clone()
            .all(|asked| asked.header("authorization").is_none()
                && asked.header("x-gh-client").is_none())
    );
    assert!(by_clients.count() > 0);
}

#[tokio::test]
async fn reflection_shows_every_public_service_in_both_versions_and_nothing_else() {
    let hall = hall().await;
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "guildhall.auth.v1.AccountService",
        "guildhall.auth.v1.PeopleService",
        "guildhall.auth.v1.SessionService",
        "guildhall.auth.v1.SpaceService",
        "guildhall.chat.v1.ChannelService",
        "guildhall.chat.v1.MessageService",
        "guildhall.live.v1.LiveService",
        "guildhall.live.v1.StartService",
    ];

    assert_eq!(listed(hall.channel().await).await, expected);
    assert_eq!(listed_by_v1alpha(hall.channel().await).await, expected);

    for hidden in ["AccessService", "AccessService.GetKeys", "GetKeysRequest"] {
        let asked = symbol(&hall, &format!("guildhall.auth.v1.{hidden}")).await;
        assert_eq!(asked.expect_err(hidden).code(), Code::NotFound);
    }
    // What errors carry can be read by who has nothing but reflection.
    let carried = symbol(&hall, "google.rpc.ErrorInfo").await;
    assert!(carried.is_ok(), "{carried:?}");
    let shown = symbol(&hall, "guildhall.chat.v1.MessageService").await;
    let Ok(v1::server_reflection_response::MessageResponse::FileDescriptorResponse(files)) = shown
    else {
        panic!("{shown:?}")
    };
    // The http rules and access options are still in it: clients show them.
    assert!(
        files
            .file_descriptor_proto
            .iter()
            .any(|file| contains(file, b"/api/v1/channels/{channel_id}/messages"))
    );
    let file = file(&hall, "guildhall/auth/v1/access_service.proto").await;
    assert_eq!(file.expect_err("hidden").code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_can_be_switched_off() {
    let settings = guildhall_gateway::GatewaySettings {
        reflection: false,
        ..Default::default()
    };
    let hall = hall_with(settings, roomy()).await;

    let mut client =
        v1::server_reflection_client::ServerReflectionClient::new(hall.channel().await);
    let ask = v1::ServerReflectionRequest::default();
    let refused = client
        .server_reflection_info(futures::stream::iter([ask]))
        .await
        .expect_err("off");

    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn health_follows_the_services_and_ends_with_the_drain() {
    let hall = hall().await;
    hall.is_ready().await;
    let mut health = HealthClient::new(hall.channel().await);
    let mut serving = async |service: &str| {
        let request = Request::new(HealthCheckRequest {
            service: service.into(),
        });
        health
            .check(request)
            .await
            .map(|answer| answer.into_inner().status == 1)
    };

    for service in [
        "",
        "guildhall.auth.v1.SessionService",
        "guildhall.live.v1.LiveService",
    ] {
        assert_eq!(serving(service).await.ok(), Some(true), "{service}");
    }
    assert_eq!(
        serving("guildhall.auth.v1.AccessService")
            .await
            .expect_err("hidden")
            .code(),
        Code::NotFound
    );

    hall.services.go_down(true);
    hall.gateway
        .ready()
        .wait_for(|ready| !ready)
        .await
        .expect("the gateway lives");
    assert_eq!(serving("").await.ok(), Some(false));
    hall.services.go_down(false);
    hall.is_ready().await;

    hall.gateway.drain();
    hall.gateway
        .ready()
        .wait_for(|ready| !ready)
        .await
        .expect("the gateway lives");
    assert_eq!(serving("").await.ok(), Some(false));
    let served = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .send()
        .await;
    assert_eq!(served.expect("still answers").status(), 200);
}

async fn listed(channel: Channel) -> Vec<String> {
    use v1::{
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    match ask(channel, MessageRequest::ListServices(String::new())).await {
        Ok(MessageResponse::ListServicesResponse(list)) => {
            sorted(list.service.into_iter().map(|service| service.name))
        }
        other => panic!("{other:?}"),
    }
}

async fn listed_by_v1alpha(channel: Channel) -> Vec<String> {
    use v1alpha::{
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = client
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .expect("answers");
    match answers
        .into_inner()
        .message()
        .await
        .expect("a message")
        .and_then(|answer| answer.message_response)
    {
        Some(MessageResponse::ListServicesResponse(list)) => {
            sorted(list.service.into_iter().map(|service| service.name))
        }
        other => panic!("{other:?}"),
    }
}

async fn symbol(hall: &Hall, name: &str) -> Reflected {
    let request = v1::server_reflection_request::MessageRequest::FileContainingSymbol(name.into());
    ask(hall.channel().await, request).await
}

async fn file(hall: &Hall, name: &str) -> Reflected {
    let request = v1::server_reflection_request::MessageRequest::FileByFilename(name.into());
    ask(hall.channel().await, request).await
}

type Reflected = Result<v1::server_reflection_response::MessageResponse, tonic::Status>;

async fn ask(
    channel: Channel,
    request: v1::server_reflection_request::MessageRequest,
) -> Reflected {
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = client
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .expect("answers");
    let answer = answers.into_inner().message().await?.expect("one answer");
    Ok(answer.message_response.expect("says something"))
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
