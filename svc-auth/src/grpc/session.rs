//! `SessionService`.

use std::sync::Arc;

use guildhall_mesh::{Caller, status};
use guildhall_proto::auth::v1::{self as pb, session_service_server::SessionService};
use tonic::{Request, Response, async_trait};

use super::{
    Reply,
    answer::{Way, cleared, device, refresh_token, signed_in},
    convert::{self, page},
};
use crate::{AuthError, sessions::Sessions};

pub(super) struct Handler {
    pub(super) sessions: Arc<Sessions>,
}

#[async_trait]
impl SessionService for Handler {
    async fn login(&self, request: Request<pb::LoginRequest>) -> Reply<pb::LoginResponse> {
        let way = Way::wished(&request, request.get_ref().cookie)?;
        let device = device(&request);
        let pb::LoginRequest {
            account, password, ..
        } = request.into_inner();
        let account = account.ok_or_else(|| {
            status(AuthError::bad_field(
                "account",
                "one of email and username is needed",
            ))
        })?;

        let opened = self
            .sessions
            .login(account.into(), password.into(), device)
            .await;

        signed_in(opened.map_err(status)?, way, self.sessions.clock.now())
    }

    async fn refresh(&self, request: Request<pb::RefreshRequest>) -> Reply<pb::RefreshResponse> {
        let (metadata, _, message) = request.into_parts();
        let token = refresh_token(message.refresh_token, &metadata);
        let (token, way) = token.ok_or_else(|| status(AuthError::RefreshRefused))?;

        let opened = self.sessions.refresh(token).await.map_err(status)?;

        signed_in(opened, way, self.sessions.clock.now())
    }

    async fn logout(&self, request: Request<pb::LogoutRequest>) -> Reply<pb::LogoutResponse> {
        let caller = Caller::maybe_of(&request);
        let (metadata, _, message) = request.into_parts();
        let token = refresh_token(message.refresh_token, &metadata).map(|(token, _)| token);

        self.sessions.logout(token, caller).await.map_err(status)?;

        Ok(cleared(pb::LogoutResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Reply<pb::ListSessionsResponse> {
        let caller = Caller::of(&request)?;
        let pb::ListSessionsRequest {
            page_size,
            page_token,
        } = request.into_inner();
        let page = page(page_size, &page_token).map_err(status)?;

        let listed = self.sessions.list(&caller, &page).await.map_err(status)?;

        let sessions = listed
            .items
            .into_iter()
            .map(|one| convert::session(one, caller.session));
        Ok(Response::new(pb::ListSessionsResponse {
            sessions: sessions.collect(),
            next_page_token: listed.next,
        }))
    }

    async fn end_session(
        &self,
        request: Request<pb::EndSessionRequest>,
    ) -> Reply<pb::EndSessionResponse> {
        let caller = Caller::of(&request)?;
        let id = convert::id(&request.get_ref().session_id, "session_id").map_err(status)?;

        self.sessions.end(&caller, id).await.map_err(status)?;

        Ok(Response::new(pb::EndSessionResponse {}))
    }
}
