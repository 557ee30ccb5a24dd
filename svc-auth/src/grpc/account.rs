//! `AccountService`.

use guildhall_mesh::{Caller, status};
use guildhall_proto::auth::v1::{self as pb, account_service_server::AccountService};
use tonic::{Request, Response, async_trait};

use super::{
    Reply,
    answer::{Way, device, signed_in},
};
use crate::{accounts::Accounts, accounts::Applicant};

pub(super) struct Handler {
    pub(super) accounts: Accounts,
}

#[async_trait]
impl AccountService for Handler {
    async fn register(&self, request: Request<pb::RegisterRequest>) -> Reply<pb::RegisterResponse> {
        let way = Way::wished(&request, request.get_ref().cookie)?;
        let device = device(&request);
        let applicant = Applicant::try_from(request.into_inner()).map_err(status)?;

        let opened = self
            .accounts
            .register(applicant, device)
            .await
            .map_err(status)?;

        signed_in(opened, way, self.accounts.now())
    }

    async fn get_me(&self, request: Request<pb::GetMeRequest>) -> Reply<pb::GetMeResponse> {
        let caller = Caller::of(&request)?;

        let account = self.accounts.me(&caller).await.map_err(status)?;

        Ok(Response::new(pb::GetMeResponse {
            account: Some(account.into()),
        }))
    }

    async fn update_me(
        &self,
        request: Request<pb::UpdateMeRequest>,
    ) -> Reply<pb::UpdateMeResponse> {
        let caller = Caller::of(&request)?;
        let changes = request.into_inner().try_into().map_err(status)?;

        let account = self
            .accounts
            .update(&caller, changes)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::UpdateMeResponse {
            account: Some(account.into()),
        }))
    }

    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Reply<pb::ChangePasswordResponse> {
        let caller = Caller::of(&request)?;
        let device = device(&request);
        let pb::ChangePasswordRequest {
            current_password,
            new_password,
        } = request.into_inner();
        let (current, new) = (current_password.into(), new_password.into());

        self.accounts
            .change_password(&caller, current, new, device)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::ChangePasswordResponse {}))
    }
}
