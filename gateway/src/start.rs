//! Opening an app in one trip: everything that it shows first, put together from auth and chat.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use guildhall_kernel::{Kind, UserId};
use guildhall_mesh::{
    Call, Caller, Reason,
    access::Access,
    guard::{LARGEST, bearer},
    status,
    status::refusal,
    token::csrf_of,
};
use guildhall_proto::{
    auth::v1::{self as auth, Account, User},
    chat::v1::{self as chat, ChannelState},
    live::v1::{self as pb, start_service_server::StartService},
};
use prost_types::Timestamp;
use tonic::{
    Code, Request, Response, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};

use crate::{auth::inside, clients::Links, presence_view::PresenceView};

/// How many spaces and channels are shown.
const LISTED: u32 = 100;
/// How many messages are shown.
const SHOWN: u32 = 50;
/// How many people are asked for at once.
const USERS_AT_ONCE: usize = 500;
/// The longest message, in characters.
const MESSAGE_CHARS: u32 = 16_000;

/// `StartService`.
#[derive(Clone)]
pub(crate) struct Start {
    links: Links,
    access: Access,
    presence: Arc<dyn PresenceView>,
}

/// Who opens, and what is to be told them about their token.
struct Opener {
    caller: Caller,
    csrf_token: Option<String>,
    /// New tokens for the caller's cookies.
    renewed: Option<MetadataMap>,
}

/// What auth and chat say.
struct Found {
    account: Account,
    spaces: Listed<auth::Space>,
    channels: Listed<ChannelState>,
    history: Option<pb::StartHistory>,
}

/// The first page of a list, and the token that goes on from it; empty where it is all.
struct Listed<T> {
    page: Vec<T>,
    next: String,
}

#[async_trait]
impl StartService for Start {
    async fn start(
        &self,
        request: Request<pb::StartRequest>,
    ) -> Result<Response<pb::StartResponse>, Status> {
        let opener = self.opener(&request).await?;
        let caller = &opener.caller;

        let found = self.find(caller, request.into_inner().channel_id).await?;
        let users = self.users(caller, &found).await?;
        let presence = self.presence(caller.user, &users).await;

        let mut response = Response::new(pb::StartResponse {
            account: Some(found.account),
            csrf_token: opener.csrf_token,
            access_expires_at: Some(Timestamp {
                seconds: caller.expires_at.seconds(),
                nanos: caller.expires_at.nanos(),
            }),
            spaces: found.spaces.page,
            next_spaces_page_token: found.spaces.next,
            channels: found.channels.page,
            next_channels_page_token: found.channels.next,
            history: found.history,
            users,
            presence,
            limits: Some(pb::Limits {
                message_chars: MESSAGE_CHARS,
                request_bytes: u32::try_from(LARGEST).unwrap_or(u32::MAX),
                page_size: LISTED,
            }),
        });
        if let Some(renewed) = opener.renewed {
            *response.metadata_mut() = renewed;
        }
        Ok(response)
    }
}

impl Start {
    pub(crate) fn new(links: Links, access: Access, presence: Arc<dyn PresenceView>) -> Self {
        Self {
            links,
            access,
            presence,
        }
    }

    /// Finds out who opens: by a good access token, else by the refresh cookie.
    async fn opener(&self, request: &Request<pb::StartRequest>) -> Result<Opener, Status> {
        let metadata = request.metadata();
        if let Some(caller) = Caller::maybe_of(request) {
            let by_cookie = metadata.contains_key(inside::COOKIE);
            return Ok(Opener {
                csrf_token: by_cookie.then(|| csrf_of(&caller.token)),
                caller,
                renewed: None,
            });
        }
        let call = Call::of(request);
        if metadata.contains_key(inside::REFRESH) {
            return self.renew(metadata, call).await;
        }
        // The guard lets anybody pass to a public rpc; what was wrong with the token is found out here.
        let Some(token) = bearer(metadata.as_ref()).map(str::to_owned) else {
            let detail = "an access token, or a cookie of this hall, is needed";
            return Err(refusal(
                Kind::Unauthenticated,
                Reason::TokenMissing,
                detail,
                &[],
                None,
            ));
        };
        let caller = self.caller(&token, call).await?;
        Ok(Opener {
            caller,
            csrf_token: None,
            renewed: None,
        })
    }

    /// Trades the refresh cookie for new ones on the way.
    async fn renew(&self, metadata: &MetadataMap, call: Call) -> Result<Opener, Status> {
        let mut request = Request::new(auth::RefreshRequest::default());
        for name in inside::INWARD {
            if let Some(value) = metadata.get(name) {
                request.metadata_mut().insert(name, value.clone());
            }
        }
        let link = self.links.auth.as_service(&call);
        let mut sessions = auth::session_service_client::SessionServiceClient::new(link);
        let (answered, answer, _) = sessions.refresh(request).await?.into_parts();
        let mut renewed = MetadataMap::new();
        for name in inside::OUTWARD {
            if let Some(value) = answered.get(name) {
                renewed.insert(name, value.clone());
            }
        }
        let token = renewed.get(inside::ACCESS).map(AsciiMetadataValue::to_str);
        let Some(Ok(token)) = token else {
            return Err(Status::internal("auth renewed a session without a token"));
        };
        Ok(Opener {
            caller: self.caller(token, call).await?,
            csrf_token: answer.csrf_token,
            renewed: Some(renewed),
        })
    }

    async fn caller(&self, token: &str, call: Call) -> Result<Caller, Status> {
        let verified = self.access.verify(token).await.map_err(status)?;
        Ok(Caller {
            user: verified.user,
            session: verified.session,
            expires_at: verified.expires_at,
            token: token.into(),
            standing: None,
            call,
        })
    }

    /// Asks auth and chat at the same time. The history waits for the list of channels only where nobody named one that can be read.
    async fn find(&self, caller: &Caller, wanted: Option<String>) -> Result<Found, Status> {
        let to_auth = self.links.auth.on_behalf(caller);
        let to_chat = self.links.chat.on_behalf(caller);
        let mut accounts = auth::account_service_client::AccountServiceClient::new(to_auth.clone());
        let mut spaces = auth::space_service_client::SpaceServiceClient::new(to_auth);
        let mut channels = chat::channel_service_client::ChannelServiceClient::new(to_chat.clone());
        let mut messages = chat::message_service_client::MessageServiceClient::new(to_chat);

        let listed = async {
            let list = channels.list_channels(chat::ListChannelsRequest {
                page_size: LISTED,
                ..Default::default()
            });
            let (list, named) = tokio::try_join!(list, history(&mut messages, wanted))?;
            let list = list.into_inner();
            let channels = Listed {
                page: list.channels,
                next: list.next_page_token,
            };
            let history = match named {
                Some(history) => Some(history),
                None => history(&mut messages, last_read(&channels.page)).await?,
            };
            Ok((channels, history))
        };
        let account = accounts.get_me(auth::GetMeRequest {});
        let spaces = spaces.list_spaces(auth::ListSpacesRequest {
            page_size: LISTED,
            ..Default::default()
        });
        let (account, spaces, (channels, history)) = tokio::try_join!(account, spaces, listed)?;
        let account = account.into_inner().account;
        let spaces = spaces.into_inner();
        Ok(Found {
            account: account.ok_or_else(|| Status::internal("auth sent no account"))?,
            spaces: Listed {
                page: spaces.spaces,
                next: spaces.next_page_token,
            },
            channels,
            history,
        })
    }

    /// Everyone who is named, each once.
    async fn users(&self, caller: &Caller, found: &Found) -> Result<Vec<User>, Status> {
        let own = found.account.user.clone();
        let own_id = own.as_ref().map(|user| user.id.clone()).unwrap_or_default();
        let shown = found.history.iter().flat_map(|history| &history.messages);
        let last = found
            .channels
            .page
            .iter()
            .filter_map(|channel| channel.last_message.as_ref());
        let channels = found
            .channels
            .page
            .iter()
            .filter_map(|state| state.channel.as_ref());
        let people = channels
            .flat_map(|channel| &channel.user_ids)
            .map(String::as_str);
        let others: BTreeSet<&str> = shown
            .chain(last)
            .map(|message| message.author_id.as_str())
            .chain(people)
            .filter(|user| *user != own_id && !user.is_empty())
            .collect();
        let others: Vec<_> = others.into_iter().map(str::to_owned).collect();

        let mut users: Vec<User> = own.into_iter().collect();
        let link = self.links.auth.on_behalf(caller);
        let mut people = auth::people_service_client::PeopleServiceClient::new(link);
        for some in others.chunks(USERS_AT_ONCE) {
            let request = auth::BatchGetUsersRequest {
                user_ids: some.to_vec(),
            };
            users.extend(people.batch_get_users(request).await?.into_inner().users);
        }
        Ok(users)
    }

    async fn presence(&self, reader: UserId, users: &[User]) -> Vec<pb::Presence> {
        let ids: Vec<_> = users
            .iter()
            .filter_map(|user| UserId::parse(&user.id).ok())
            .collect();
        let seen = self.presence.seen_by(reader, &ids).await;
        let told = seen.into_iter().map(|(user, state)| pb::Presence {
            user_id: user.to_string(),
            state: state.into(),
        });
        told.collect()
    }
}

/// The channel to show where nobody named one: the one that the caller last read in, else the most recently active.
fn last_read(channels: &[ChannelState]) -> Option<String> {
    let read = channels.iter().filter_map(|channel| {
        let at = channel.read_at.as_ref()?;
        Some(((at.seconds, at.nanos), channel))
    });
    let read = read.max_by_key(|(at, _)| *at).map(|(_, channel)| channel);
    let chosen = read.or_else(|| channels.first())?;
    Some(chosen.channel.as_ref()?.id.clone())
}

/// The newest messages of a channel; none of one that is gone or not the caller's any more, which does not keep the app from opening.
async fn history(
    messages: &mut chat::message_service_client::MessageServiceClient<guildhall_mesh::Link>,
    channel: Option<String>,
) -> Result<Option<pb::StartHistory>, Status> {
    let Some(channel_id) = channel else {
        return Ok(None);
    };
    let request = chat::ListMessagesRequest {
        channel_id: channel_id.clone(),
        limit: SHOWN,
        place: None,
    };
    match messages.list_messages(request).await {
        Ok(answer) => {
            let page = answer.into_inner();
            Ok(Some(pb::StartHistory {
                channel_id,
                messages: page.messages,
                has_older: page.has_older,
                head: page.head,
            }))
        }
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}
