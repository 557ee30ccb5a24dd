//! `AccessService` for the other processes, and the same answers as the source of this process's own cache.

use std::sync::Arc;

use guildhall_kernel::{SessionId, SpaceId, UserId};
use guildhall_mesh::{
    access::{self, Changes, Seat},
    status,
};
use guildhall_proto::auth::v1::{self as pb, access_service_server::AccessService};
use tonic::{Request, Response, Status, async_trait};

use super::{
    Reply,
    convert::{id, ids, role_in_space, role_number, space_kind, timestamp},
};
use crate::{model::Membership, rights::Rights, spaces::Spaces};

pub(super) struct Handler {
    pub(super) rights: Arc<Rights>,
    pub(super) spaces: Arc<Spaces>,
}

#[async_trait]
impl AccessService for Handler {
    async fn get_keys(&self, _: Request<pb::GetKeysRequest>) -> Reply<pb::GetKeysResponse> {
        Ok(Response::new(pb::GetKeysResponse {
            jwks: self.rights.keys(),
        }))
    }

    async fn check_session(
        &self,
        request: Request<pb::CheckSessionRequest>,
    ) -> Reply<pb::CheckSessionResponse> {
        let request = request.into_inner();
        let user = id(&request.user_id, "user_id").map_err(status)?;
        let session = id(&request.session_id, "session_id").map_err(status)?;

        let (alive, as_of) = self.rights.session(user, session).await.map_err(status)?;

        Ok(Response::new(pb::CheckSessionResponse { alive, as_of }))
    }

    async fn get_role(&self, request: Request<pb::GetRoleRequest>) -> Reply<pb::GetRoleResponse> {
        let request = request.into_inner();
        let user = id(&request.user_id, "user_id").map_err(status)?;
        let space = id(&request.space_id, "space_id").map_err(status)?;

        let (place, kind, as_of) = self.rights.place(user, space).await.map_err(status)?;

        Ok(Response::new(pb::GetRoleResponse {
            role: role_number(place.map(|place| place.role)),
            as_of,
            kind: space_kind(kind).into(),
            joined_at: place.map(|place| timestamp(place.joined_at)),
        }))
    }

    async fn list_roles(
        &self,
        request: Request<pb::ListRolesRequest>,
    ) -> Reply<pb::ListRolesResponse> {
        let user = id(&request.get_ref().user_id, "user_id").map_err(status)?;

        let (places, as_of) = self.rights.places(user).await.map_err(status)?;

        let roles = places.into_iter().map(role_in_space).collect();
        Ok(Response::new(pb::ListRolesResponse { roles, as_of }))
    }

    async fn list_access_changes(
        &self,
        request: Request<pb::ListAccessChangesRequest>,
    ) -> Reply<pb::ListAccessChangesResponse> {
        let pb::ListAccessChangesRequest { after, limit } = request.into_inner();

        let found = self.rights.changes(after, limit).await.map_err(status)?;

        Ok(Response::new(pb::ListAccessChangesResponse {
            changes: found.list.into_iter().map(Into::into).collect(),
            head: found.head,
            reset: found.reset,
        }))
    }

    async fn ensure_direct_space(
        &self,
        request: Request<pb::EnsureDirectSpaceRequest>,
    ) -> Reply<pb::EnsureDirectSpaceResponse> {
        let request = request.into_inner();
        let space = id(&request.space_id, "space_id").map_err(status)?;
        let users = ids(&request.user_ids, "user_ids").map_err(status)?;

        let created = self
            .spaces
            .ensure_direct(space, &users)
            .await
            .map_err(status)?;

        Ok(Response::new(pb::EnsureDirectSpaceResponse { created }))
    }
}

/// The truth about rights, without a link between.
pub(crate) struct Source {
    rights: Arc<Rights>,
}

impl Source {
    pub(crate) fn new(rights: Arc<Rights>) -> Self {
        Self { rights }
    }
}

#[async_trait]
impl access::Source for Source {
    async fn keys(&self) -> Result<String, Status> {
        Ok(self.rights.keys())
    }

    async fn session(&self, user: UserId, session: SessionId) -> Result<(bool, u64), Status> {
        self.rights.session(user, session).await.map_err(status)
    }

    async fn seat(&self, user: UserId, space: SpaceId) -> Result<(Option<Seat>, u64), Status> {
        let (place, _, as_of) = self.rights.place(user, space).await.map_err(status)?;
        Ok((place.map(seat), as_of))
    }

    async fn seats(&self, user: UserId) -> Result<(Vec<(SpaceId, Seat)>, u64), Status> {
        let (places, as_of) = self.rights.places(user).await.map_err(status)?;
        let seats = places
            .into_iter()
            .map(|(space, place)| (space, seat(place)));
        Ok((seats.collect(), as_of))
    }

    async fn changes(&self, after: u64, limit: u32) -> Result<Changes, Status> {
        let found = self.rights.changes(after, limit).await.map_err(status)?;
        Ok(Changes {
            changes: found.list.into_iter().map(Into::into).collect(),
            head: found.head,
            reset: found.reset,
        })
    }
}

fn seat(place: Membership) -> Seat {
    Seat {
        role: place.role,
        since: place.joined_at,
    }
}
