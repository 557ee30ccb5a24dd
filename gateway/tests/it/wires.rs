//! One port, every wire, the same answer.

use guildhall_proto::auth::v1::{
    GetMeRequest, GetMeResponse, UpdateMeRequest, account_service_client::AccountServiceClient,
};
use prost::Message as _;
use tonic::{Code, Request};

use crate::support::{client, client_h2, framed, hall, problem};

const GET_ME: &str = "/guildhall.auth.v1.AccountService/GetMe";

#[tokio::test]
async fn rest_grpc_and_grpc_web_share_a_port_and_reach_the_same_rpc() {
    let hall = hall().await;
    let token = hall.token();

    let rest = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(&token)
        .send()
        .await
        .expect("answers");
    assert_eq!(rest.status(), 200);
    let rest: serde_json::Value = rest.json().await.expect("JSON");
    assert_eq!(rest["account"]["user"]["username"], "alice");

    let rest_h2 = client_h2()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(&token)
        .send()
        .await
        .expect("answers");
    assert_eq!(
        (rest_h2.status().as_u16(), rest_h2.version()),
        (200, http::Version::HTTP_2)
    );

    let mut grpc = AccountServiceClient::new(hall.channel().await);
    let mut request = Request::new(GetMeRequest {});
    request.metadata_mut().insert(
        "authorization",
        format!("Bearer {token}").parse().expect("text"),
    );
    let answer = grpc.get_me(request).await.expect("answers").into_inner();
    assert_eq!(
        answer
            .account
            .and_then(|account| account.user)
            .map(|user| user.username)
            .as_deref(),
        Some("alice")
    );

    for client in [client(), client_h2()] {
        let web = client
            .post(hall.url(GET_ME))
            .bearer_auth(&token)
            .header("content-type", "application/grpc-web+proto")
            .body(framed(&[]))
            .send()
            .await
            .expect("answers");
        assert_eq!(web.headers()["content-type"], "application/grpc-web+proto");
        let body = web.bytes().await.expect("a body");
        let length = usize::try_from(u32::from_be_bytes([body[1], body[2], body[3], body[4]]))
            .expect("short");
        let message = GetMeResponse::decode(&body[5..5 + length]).expect("the message");
        assert_eq!(
            message.account.expect("an account").email,
            "alice@example.org"
        );
        let trailers = std::str::from_utf8(&body[5 + length + 5..]).expect("text");
        assert!(trailers.contains("grpc-status:0"), "{trailers}");
    }

    let body = serde_json::json!({"displayName": "Alice"});
    let patch = client()
        .patch(hall.url("/api/v1/auth/me"))
        .bearer_auth(&token)
        .json(&body)
        .send()
        .await
        .expect("answers");
    assert_eq!(patch.status(), 200);
    let sent = &hall
        .services
        .asked("/guildhall.auth.v1.AccountService/UpdateMe")[0]
        .message;
    let sent = UpdateMeRequest::decode(sent.clone()).expect("the message");
    assert_eq!(
        (sent.display_name.as_deref(), sent.status_text),
        (Some("Alice"), None)
    );

    let asked = hall.services.asked(GET_ME);
    assert_eq!(asked.len(), 5);
    assert!(
        asked
            .iter()
            .all(|asked| asked.header("authorization") == Some(&format!("Bearer {token}")))
    );
}

#[tokio::test]
async fn the_clients_own_name_for_a_call_travels_and_comes_back() {
    let hall = hall().await;
    let send = |id: &'static str| {
        client()
            .get(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token())
            .header("x-request-id", id)
            .send()
    };

    let named = send("trace-7").await.expect("answers");
    let nonsense = send("a b;c").await.expect("answers");

    assert_eq!(named.headers()["x-request-id"], "trace-7");
    assert_ne!(nonsense.headers()["x-request-id"], "a b;c");
    let asked = hall.services.asked(GET_ME);
    assert_eq!(asked[0].header("x-request-id"), Some("trace-7"));
    assert_eq!(
        asked[1].header("x-request-id"),
        nonsense.headers()["x-request-id"].to_str().ok()
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_on_rest_and_unimplemented_on_grpc() {
    let hall = hall().await;

    let (status, gone) = problem(
        client()
            .get(hall.url("/api/v1/nothing"))
            .send()
            .await
            .expect("answers"),
    )
    .await;
    assert_eq!((status, &gone["reason"]), (404, &"REASON_NOT_FOUND".into()));

    let response = client()
        .delete(hall.url("/api/v1/auth/login"))
        .send()
        .await
        .expect("answers");
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(problem(response).await.0, 405);

    let response = client()
        .post(hall.url("/docs"))
        .send()
        .await
        .expect("answers");
    assert_eq!(response.headers()["allow"], "GET, HEAD");
    assert_eq!(problem(response).await.0, 405);

    let form = client()
        .post(hall.url("/api/v1/auth/login"))
        .header("content-type", "text/plain")
        .body("{}")
        .send();
    assert_eq!(problem(form.await.expect("answers")).await.0, 415);

    let mut grpc = tonic::client::Grpc::new(hall.channel().await);
    grpc.ready().await.expect("ready");
    let path = http::uri::PathAndQuery::from_static("/guildhall.nothing.v1.NoService/Nothing");
    let codec = tonic_prost::ProstCodec::<GetMeRequest, GetMeResponse>::default();
    let refused = grpc
        .unary(Request::new(GetMeRequest {}), path, codec)
        .await
        .expect_err("not there");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unimplemented, "no such rpc")
    );
}

#[tokio::test]
async fn what_calls_itself_grpc_and_is_none_is_told_why() {
    let hall = hall().await;
    let post = |client: reqwest::Client, kind: &'static str| {
        client
            .post(hall.url(GET_ME))
            .header("content-type", kind)
            .body(framed(&[]))
            .send()
    };

    let over_http1 = post(client(), "application/grpc").await.expect("answers");
    assert_eq!(problem(over_http1).await.0, 505);
    let as_json = post(client_h2(), "application/grpc+json")
        .await
        .expect("answers");
    assert_eq!(problem(as_json).await.0, 415);
    let by_get = client_h2()
        .get(hall.url(GET_ME))
        .header("content-type", "application/grpc")
        .send();
    assert_eq!(problem(by_get.await.expect("answers")).await.0, 405);
}

#[tokio::test]
async fn an_error_of_a_service_says_the_same_on_every_wire() {
    let hall = hall().await;
    let status = guildhall_mesh::status::refusal(
        guildhall_kernel::Kind::Denied,
        guildhall_mesh::Reason::RoleTooLow,
        "your role is too low",
        &[],
        None,
    );
    hall.services.refuse(GET_ME, status);

    let (http, rest) = problem(
        client()
            .get(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token())
            .send()
            .await
            .expect("answers"),
    )
    .await;
    assert_eq!(
        (http, &rest["reason"], &rest["detail"]),
        (
            403,
            &"REASON_ROLE_TOO_LOW".into(),
            &"your role is too low".into()
        )
    );

    let grpc = AccountServiceClient::new(hall.channel().await)
        .get_me(hall.signed(GetMeRequest {}))
        .await
        .expect_err("refused");
    assert_eq!(
        (grpc.code(), guildhall_mesh::status::reason(&grpc)),
        (Code::PermissionDenied, guildhall_mesh::Reason::RoleTooLow)
    );

    let web = client()
        .post(hall.url(GET_ME))
        .bearer_auth(hall.token())
        .header("content-type", "application/grpc-web+proto")
        .body(framed(&[]))
        .send()
        .await
        .expect("answers");
    assert_eq!(
        (web.status().as_u16(), &web.headers()["grpc-status"]),
        (200, &http::HeaderValue::from_static("7"))
    );
}
