//! `SpaceService`.

use std::sync::Arc;

use guildhall_kernel::Role;
use guildhall_mesh::{Caller, status};
use guildhall_proto::auth::v1::{self as pb, space_service_server::SpaceService};
use tonic::{Request, Response, async_trait};

use super::{
    Reply,
    convert::{self, id, my_space, new_team, page, role, space_name, user_id},
};
use crate::spaces::Spaces;

pub(super) struct Handler {
    pub(super) spaces: Arc<Spaces>,
}

#[async_trait]
impl SpaceService for Handler {
    async fn create_space(
        &self,
        request: Request<pb::CreateSpaceRequest>,
    ) -> Reply<pb::CreateSpaceResponse> {
        let caller = Caller::of(&request)?;
        let new = new_team(request.get_ref(), &caller).map_err(status)?;

        let mine = self.spaces.create(&caller, new).await.map_err(status)?;

        Ok(Response::new(pb::CreateSpaceResponse {
            space: Some(my_space(mine)),
        }))
    }

    async fn list_spaces(
        &self,
        request: Request<pb::ListSpacesRequest>,
    ) -> Reply<pb::ListSpacesResponse> {
        let caller = Caller::of(&request)?;
        let pb::ListSpacesRequest {
            page_size,
            page_token,
        } = request.into_inner();
        let page = page(page_size, &page_token).map_err(status)?;

        let listed = self.spaces.list(&caller, &page).await.map_err(status)?;

        Ok(Response::new(pb::ListSpacesResponse {
            spaces: listed.items.into_iter().map(my_space).collect(),
            next_page_token: listed.next,
        }))
    }

    async fn get_space(
        &self,
        request: Request<pb::GetSpaceRequest>,
    ) -> Reply<pb::GetSpaceResponse> {
        let standing = Caller::of(&request)?.standing()?;

        let mine = self.spaces.get(standing).await.map_err(status)?;

        Ok(Response::new(pb::GetSpaceResponse {
            space: Some(my_space(mine)),
        }))
    }

    async fn update_space(
        &self,
        request: Request<pb::UpdateSpaceRequest>,
    ) -> Reply<pb::UpdateSpaceResponse> {
        let standing = Caller::of(&request)?.standing()?;
        let name = space_name(request.get_ref().name.as_deref()).map_err(status)?;

        let mine = self.spaces.rename(standing, name).await.map_err(status)?;

        Ok(Response::new(pb::UpdateSpaceResponse {
            space: Some(my_space(mine)),
        }))
    }

    async fn delete_space(
        &self,
        request: Request<pb::DeleteSpaceRequest>,
    ) -> Reply<pb::DeleteSpaceResponse> {
        let caller = Caller::of(&request)?;
        let space = id(&request.get_ref().space_id, "space_id").map_err(status)?;

        self.spaces.delete(&caller, space).await.map_err(status)?;

        Ok(Response::new(pb::DeleteSpaceResponse {}))
    }

    async fn list_members(
        &self,
        request: Request<pb::ListMembersRequest>,
    ) -> Reply<pb::ListMembersResponse> {
        let standing = Caller::of(&request)?.standing()?;
        let pb::ListMembersRequest {
            page_size,
            page_token,
            ..
        } = request.into_inner();
        let page = page(page_size, &page_token).map_err(status)?;

        let listed = self
            .spaces
            .members(standing.space, &page)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::ListMembersResponse {
            members: listed.items.into_iter().map(Into::into).collect(),
            next_page_token: listed.next,
        }))
    }

    async fn add_member(
        &self,
        request: Request<pb::AddMemberRequest>,
    ) -> Reply<pb::AddMemberResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let space = id(&request.space_id, "space_id").map_err(status)?;
        let user = user_id(&request.user_id, "user_id", &caller).map_err(status)?;
        let role = role(request.role, "role")
            .map_err(status)?
            .unwrap_or(Role::Member);

        let member = self
            .spaces
            .add_member(&caller, space, user, role)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::AddMemberResponse {
            member: Some(member.into()),
        }))
    }

    async fn update_member(
        &self,
        request: Request<pb::UpdateMemberRequest>,
    ) -> Reply<pb::UpdateMemberResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let space = id(&request.space_id, "space_id").map_err(status)?;
        let user = user_id(&request.user_id, "user_id", &caller).map_err(status)?;
        let role = request.role.map(|number| role(number, "role"));
        let role = role.transpose().map_err(status)?.flatten();

        let member = self
            .spaces
            .change_role(&caller, space, user, role)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::UpdateMemberResponse {
            member: Some(member.into()),
        }))
    }

    async fn remove_member(
        &self,
        request: Request<pb::RemoveMemberRequest>,
    ) -> Reply<pb::RemoveMemberResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let space = convert::id(&request.space_id, "space_id").map_err(status)?;
        let user = user_id(&request.user_id, "user_id", &caller).map_err(status)?;

        self.spaces
            .remove_member(&caller, space, user)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::RemoveMemberResponse {}))
    }
}
