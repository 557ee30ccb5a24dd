//! What somebody signed in does.

use guildhall_mesh::Link;
use guildhall_proto::auth::v1::{
    self as pb, account_service_client::AccountServiceClient,
    people_service_client::PeopleServiceClient, session_service_client::SessionServiceClient,
    space_service_client::SpaceServiceClient,
};
use tonic::{Request, Status};

use super::with_token;

/// Somebody signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) refresh: String,
    pub(super) link: Link,
}

impl Person {
    /// A request with this person's token.
    pub(crate) fn asks<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.token)
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Link> {
        AccountServiceClient::new(self.link.clone())
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Link> {
        SessionServiceClient::new(self.link.clone())
    }

    pub(crate) fn people(&self) -> PeopleServiceClient<Link> {
        PeopleServiceClient::new(self.link.clone())
    }

    pub(crate) fn spaces(&self) -> SpaceServiceClient<Link> {
        SpaceServiceClient::new(self.link.clone())
    }

    pub(crate) async fn me(&self) -> Result<pb::Account, Status> {
        let answer = self
            .accounts()
            .get_me(self.asks(pb::GetMeRequest {}))
            .await?;
        Ok(answer.into_inner().account.expect("an account"))
    }

    pub(crate) async fn create(
        &self,
        request: pb::CreateSpaceRequest,
    ) -> Result<pb::Space, Status> {
        let answer = self.spaces().create_space(self.asks(request)).await?;
        Ok(answer.into_inner().space.expect("a space"))
    }

    pub(crate) async fn get_space(&self, space: &str) -> Result<pb::Space, Status> {
        let request = pb::GetSpaceRequest {
            space_id: space.to_owned(),
        };
        Ok(self
            .spaces()
            .get_space(self.asks(request))
            .await?
            .into_inner()
            .space
            .expect("a space"))
    }

    pub(crate) async fn rename(&self, space: &str, name: &str) -> Result<pb::Space, Status> {
        let request = pb::UpdateSpaceRequest {
            space_id: space.to_owned(),
            name: Some(name.to_owned()),
        };
        Ok(self
            .spaces()
            .update_space(self.asks(request))
            .await?
            .into_inner()
            .space
            .expect("a space"))
    }

    pub(crate) async fn delete(&self, space: &str) -> Result<(), Status> {
        let request = pb::DeleteSpaceRequest {
            space_id: space.to_owned(),
        };
        self.spaces()
            .delete_space(self.asks(request))
            .await
            .map(drop)
    }

    pub(crate) async fn add(
        &self,
        space: &str,
        whom: &Person,
        role: pb::SpaceRole,
    ) -> Result<pb::Member, Status> {
        let request = pb::AddMemberRequest {
            space_id: space.to_owned(),
            user_id: whom.id.clone(),
            role: role.into(),
        };
        Ok(self
            .spaces()
            .add_member(self.asks(request))
            .await?
            .into_inner()
            .member
            .expect("a member"))
    }

    pub(crate) async fn set_role(
        &self,
        space: &str,
        whom: &str,
        role: pb::SpaceRole,
    ) -> Result<pb::Member, Status> {
        let request = pb::UpdateMemberRequest {
            space_id: space.to_owned(),
            user_id: whom.to_owned(),
            role: Some(role.into()),
        };
        Ok(self
            .spaces()
            .update_member(self.asks(request))
            .await?
            .into_inner()
            .member
            .expect("a member"))
    }

    pub(crate) async fn remove(&self, space: &str, whom: &str) -> Result<(), Status> {
        let request = pb::RemoveMemberRequest {
            space_id: space.to_owned(),
            user_id: whom.to_owned(),
        };
        self.spaces()
            .remove_member(self.asks(request))
            .await
            .map(drop)
    }

    pub(crate) async fn members(&self, space: &str) -> Result<Vec<pb::Member>, Status> {
        let request = pb::ListMembersRequest {
            space_id: space.to_owned(),
            ..Default::default()
        };
        Ok(self
            .spaces()
            .list_members(self.asks(request))
            .await?
            .into_inner()
            .members)
    }
}
