//! What the people of the story can do: each a call of the public API by gRPC.

use std::path::Path;

use anyhow::Context as _;
use guildhall_mesh::{Reason, status};
use guildhall_proto::{
    auth::v1::{
        CreateSpaceRequest, LoginRequest, RegisterRequest, SpaceKind,
        account_service_client::AccountServiceClient, login_request,
        session_service_client::SessionServiceClient, space_service_client::SpaceServiceClient,
    },
    chat::v1::{
        CreateChannelRequest, OpenDirectRequest, PostMessageRequest,
        channel_service_client::ChannelServiceClient, message_service_client::MessageServiceClient,
    },
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::{story, way};

/// How often a call is repeated that was refused for now.
const TRIES: u32 = 60;

/// The way to a hall.
#[derive(Debug, Clone)]
pub struct Way(Channel);

impl Way {
    /// Connects.
    pub async fn to(hall: &str, ca: Option<&Path>) -> anyhow::Result<Self> {
        way::connect(hall, ca).await.map(Self)
    }
}

/// Somebody who is signed in.
pub struct Person {
    way: Way,
    bearer: MetadataValue<Ascii>,
    /// Their id.
    pub id: String,
}

impl Person {
    /// Registers somebody, or signs them in where they are there already.
    pub async fn enter(way: &Way, one: &story::Person, password: &str) -> anyhow::Result<Self> {
        let made = patiently(async || {
            let new = RegisterRequest {
                email: format!("{}@guild.example", one.username),
                username: one.username.into(),
                password: password.into(),
                display_name: Some(one.display_name.into()),
                cookie: false,
            };
            AccountServiceClient::new(way.0.clone()).register(new).await
        });
        let (account, token) = match made.await {
            Ok(made) => (made.account, made.access_token),
            Err(refused) if is_taken(&refused) => {
                let entered = sign_in(way, one, password).await?;
                (entered.account, entered.access_token)
            }
            Err(refused) => {
                return Err(refused).with_context(|| format!("registering {}", one.username));
            }
        };
        let user = account.and_then(|account| account.user);
        Ok(Self {
            way: way.clone(),
            bearer: format!("Bearer {token}")
                .parse()
                .context("a token is plain text")?,
            id: user.context("the hall named nobody")?.id,
        })
    }

    /// The team, opened by this person.
    pub async fn team(&self, name: &str, member_ids: Vec<String>) -> anyhow::Result<String> {
        let opened = patiently(async || {
            let new = CreateSpaceRequest {
                kind: SpaceKind::Team.into(),
                name: name.into(),
                member_ids: member_ids.clone(),
                key: "seed-team".into(),
            };
            SpaceServiceClient::new(self.way.0.clone())
                .create_space(self.signed(new))
                .await
        });
        let space = opened.await.context("opening the team")?.space;
        Ok(space.context("the hall named no space")?.id)
    }

    /// A channel of the team.
    pub async fn channel(&self, space: &str, channel: &story::Channel) -> anyhow::Result<String> {
        let made = patiently(async || {
            let new = CreateChannelRequest {
                space_id: space.into(),
                name: channel.name.into(),
                topic: channel.topic.into(),
                key: format!("seed-{}", channel.name),
            };
            ChannelServiceClient::new(self.way.0.clone())
                .create_channel(self.signed(new))
                .await
        });
        let made = made.await;
        let channel = made
            .with_context(|| format!("making the channel {}", channel.name))?
            .channel;
        Ok(channel.context("the hall named no channel")?.id)
    }

    /// The conversation with somebody.
    pub async fn direct(&self, other: &str) -> anyhow::Result<String> {
        let opened = patiently(async || {
            let with = OpenDirectRequest {
                user_ids: vec![other.into()],
            };
            ChannelServiceClient::new(self.way.0.clone())
                .open_direct(self.signed(with))
                .await
        });
        let channel = opened.await.context("opening a conversation")?.channel;
        Ok(channel.context("the hall named no channel")?.id)
    }

    /// Says something.
    pub async fn post(&self, channel: &str, text: &str, key: &str) -> anyhow::Result<()> {
        let posted = patiently(async || {
            let new = PostMessageRequest {
                channel_id: channel.into(),
                text: text.into(),
                key: key.into(),
            };
            MessageServiceClient::new(self.way.0.clone())
                .post_message(self.signed(new))
                .await
        });
        posted.await.with_context(|| format!("posting {key}"))?;
        Ok(())
    }

    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", self.bearer.clone());
        request
    }
}

async fn sign_in(
    way: &Way,
    one: &story::Person,
    password: &str,
) -> anyhow::Result<guildhall_proto::auth::v1::LoginResponse> {
    let entered = patiently(async || {
        let login = LoginRequest {
            account: Some(login_request::Account::Username(one.username.into())),
            password: password.into(),
            cookie: false,
        };
        SessionServiceClient::new(way.0.clone()).login(login).await
    });
    entered.await.with_context(|| {
        format!(
            "{} is there already, with another password: give it by --password",
            one.username
        )
    })
}

fn is_taken(refused: &Status) -> bool {
    matches!(
        status::reason(refused),
        Reason::UsernameTaken | Reason::EmailTaken
    )
}

/// Repeats a call as long as the hall says that it is only busy, waiting as long as it asks for.
async fn patiently<T>(
    call: impl AsyncFn() -> Result<tonic::Response<T>, Status>,
) -> Result<T, Status> {
    let mut tries = 0;
    loop {
        tries += 1;
        let refused = match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(refused) => refused,
        };
        let wait = refused
            .get_details_retry_info()
            .and_then(|info| info.retry_delay);
        match wait {
            Some(wait) if tries < TRIES => tokio::time::sleep(wait).await,
            Some(_) | None => return Err(refused),
        }
    }
}
