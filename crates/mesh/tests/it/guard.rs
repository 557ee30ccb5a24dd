//! Every layer of the stack, by calls over a local link to a server behind it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use guildhall_kernel::{Role, SpaceId, SystemIds};
use guildhall_mesh::{
    Call, Caller, Link, Reason,
    access::{Access, AccessSettings},
    guard::{Guard, Guarded, Places},
    rules::Rules,
    status::reason,
};
use guildhall_proto::{
    chat::v1::{
        self as chat,
        message_service_client::MessageServiceClient,
        message_service_server::{MessageService, MessageServiceServer},
    },
    options::v1::Place,
};
use tonic::{Code, Request, Response, Status, service::Routes};

use crate::support::{FakeSource, Signer, Stopped, session, space, user};

const CHANNEL: &str = "00000000-0000-7000-8000-00000000000c";
const ELSEWHERE: &str = "00000000-0000-7000-8000-00000000000e";

/// Answers with what the stack found out. A post of "sleep" takes a minute.
struct Echo;

#[async_trait]
impl MessageService for Echo {
    async fn post_message(
        &self,
        request: Request<chat::PostMessageRequest>,
    ) -> Result<Response<chat::PostMessageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let standing = caller.standing()?;
        if request.get_ref().text == "sleep" {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let message = chat::Message {
            author_id: caller.user.to_string(),
            key: caller.call.correlation.to_string(),
            text: format!("{:?} in {}", standing.role, standing.space),
            ..chat::Message::default()
        };
        Ok(Response::new(chat::PostMessageResponse {
            message: Some(message),
        }))
    }

    async fn list_messages(
        &self,
        _: Request<chat::ListMessagesRequest>,
    ) -> Result<Response<chat::ListMessagesResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn list_changes(
        &self,
        _: Request<chat::ListChangesRequest>,
    ) -> Result<Response<chat::ListChangesResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn get_message(
        &self,
        _: Request<chat::GetMessageRequest>,
    ) -> Result<Response<chat::GetMessageResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn edit_message(
        &self,
        _: Request<chat::EditMessageRequest>,
    ) -> Result<Response<chat::EditMessageResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn delete_message(
        &self,
        _: Request<chat::DeleteMessageRequest>,
    ) -> Result<Response<chat::DeleteMessageResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}

/// One channel in space 1, one in space 2.
struct TwoChannels;

#[async_trait]
impl Places for TwoChannels {
    async fn space_of(&self, _: Place, id: &str) -> Result<Option<SpaceId>, Status> {
        Ok(match id {
            CHANNEL => Some(space(1)),
            ELSEWHERE => Some(space(2)),
            _ => None,
        })
    }
}

struct Hall {
    source: Arc<FakeSource>,
    signer: Signer,
    clock: Arc<Stopped>,
    guarded: Guarded,
}

fn hall() -> Hall {
    let (signer, clock) = (Signer::new("k1"), Stopped::new());
    let source = FakeSource::with(&signer);
    source.let_in(user(1), space(1), Some(Role::Member));
    let access = Access::new(source.clone(), clock.clone(), &AccessSettings::default());
    let guard = Guard {
        rules: Arc::new(Rules::of(guildhall_proto::pool()).expect("rules")),
        access,
        places: Arc::new(TwoChannels),
        clock: clock.clone(),
        ids: Arc::new(SystemIds),
    };
    let guarded = guard.before(Routes::new(MessageServiceServer::new(Echo)));
    Hall {
        source,
        signer,
        clock,
        guarded,
    }
}

impl Hall {
    fn client(&self) -> MessageServiceClient<Link> {
        MessageServiceClient::new(Link::local("gateway", self.guarded.clone()))
    }

    fn token(&self) -> String {
        self.signer.token(user(1), session(1))
    }

    async fn post(
        &self,
        request: Request<chat::PostMessageRequest>,
    ) -> Result<chat::Message, Status> {
        let answer = self.client().post_message(request).await?.into_inner();
        Ok(answer.message.expect("a message"))
    }
}

fn post(channel: &str, text: &str, token: Option<&str>) -> Request<chat::PostMessageRequest> {
    let mut request = Request::new(chat::PostMessageRequest {
        channel_id: channel.into(),
        text: text.into(),
        key: "k".into(),
    });
    if let Some(token) = token {
        request.metadata_mut().insert(
            "authorization",
            format!("Bearer {token}").parse().expect("ascii"),
        );
    }
    request
}

#[tokio::test]
async fn a_member_comes_through_with_user_role_and_correlation() {
    let hall = hall();
    let mut request = post(CHANNEL, "hello", Some(&hall.token()));
    request
        .metadata_mut()
        .insert("x-request-id", "abc-1".parse().expect("ascii"));

    let message = hall.post(request).await.expect("answered");

    assert_eq!(message.author_id, user(1).to_string());
    assert_eq!(message.text, format!("Member in {}", space(1)));
    assert_eq!(message.key, "abc-1");
}

#[tokio::test]
async fn without_a_token_nobody_comes_through() {
    let refused = hall()
        .post(post(CHANNEL, "hello", None))
        .await
        .expect_err("refused");

    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::Unauthenticated, Reason::TokenMissing)
    );
}

#[tokio::test]
async fn an_expired_token_and_an_ended_session_are_told_apart() {
    let hall = hall();
    hall.source.end(user(1), session(1));
    let ended = hall
        .post(post(CHANNEL, "hello", Some(&hall.token())))
        .await
        .expect_err("refused");
    hall.clock.pass(Duration::from_secs(1_000));
    let expired = hall
        .post(post(CHANNEL, "hello", Some(&hall.token())))
        .await
        .expect_err("refused");

    assert_eq!(reason(&ended), Reason::SessionEnded);
    assert_eq!(reason(&expired), Reason::TokenExpired);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_mine_answer_alike() {
    let hall = hall();
    let token = hall.token();
    let absent = "00000000-0000-7000-8000-0000000000aa";

    let absent = hall
        .post(post(absent, "hello", Some(&token)))
        .await
        .expect_err("refused");
    let others = hall
        .post(post(ELSEWHERE, "hello", Some(&token)))
        .await
        .expect_err("refused");

    assert_eq!(absent.code(), Code::NotFound);
    assert_eq!(
        (absent.message(), absent.details()),
        (others.message(), others.details())
    );
}

#[tokio::test]
async fn a_bad_field_is_named_before_anybody_looks_for_the_channel() {
    let hall = hall();
    let token = hall.token();
    for (channel, text, field) in [
        ("me", "hello", "channel_id"),
        (CHANNEL, "", "text"),
        (CHANNEL, " ", "text"),
    ] {
        let refused = hall
            .post(post(channel, text, Some(&token)))
            .await
            .expect_err("refused");
        let problem = guildhall_mesh::status::problem(&refused, 400, "");

        assert_eq!(refused.code(), Code::InvalidArgument, "{channel} {text:?}");
        let named: Vec<_> = problem
            .errors
            .iter()
            .map(|error| error.field.as_str())
            .collect();
        assert!(
            named.contains(&guildhall_mesh::status::json_path(field).as_str()),
            "{named:?}"
        );
    }
    assert_eq!(hall.source.asked_roles.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_request_over_a_mebibyte_is_refused() {
    let hall = hall();
    let refused = hall
        .post(post(CHANNEL, &"x".repeat(1 << 20), Some(&hall.token())))
        .await;

    let refused = refused.expect_err("refused");
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::ResourceExhausted, Reason::TooLarge)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_past_its_deadline_ends_with_deadline_exceeded() {
    let hall = hall();
    let mut request = post(CHANNEL, "sleep", Some(&hall.token()));
    request.set_timeout(Duration::from_millis(500));

    let refused = hall.post(request).await.expect_err("refused");

    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::DeadlineExceeded, Reason::Deadline)
    );
}

#[tokio::test(start_paused = true)]
async fn the_longest_call_is_half_a_minute_whatever_the_client_asks() {
    let hall = hall();
    let mut request = post(CHANNEL, "sleep", Some(&hall.token()));
    request.set_timeout(Duration::from_secs(3_600));

    let refused = hall.post(request).await.expect_err("refused");

    assert_eq!(refused.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn when_nobody_can_say_who_may_the_call_is_refused_for_now() {
    let hall = hall();
    let token = hall.token();
    hall.source.away.store(true, Ordering::SeqCst);

    let refused = hall
        .post(post(CHANNEL, "hello", Some(&token)))
        .await
        .expect_err("refused");

    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_link_passes_on_the_caller_and_what_is_left_of_the_time() {
    let hall = hall();
    let caller = Caller {
        user: user(1),
        session: session(1),
        expires_at: guildhall_kernel::Time::from_micros(i64::MAX),
        token: hall.token().into(),
        standing: None,
        call: Call::own("from-above", Duration::from_secs(5)),
    };
    let link = Link::local("chat", hall.guarded.clone()).on_behalf(&caller);

    let answer = MessageServiceClient::new(link)
        .post_message(post(CHANNEL, "hello", None))
        .await;

    let message = answer
        .expect("answered")
        .into_inner()
        .message
        .expect("a message");
    assert_eq!(
        (message.author_id, message.key),
        (user(1).to_string(), "from-above".into())
    );
}
