//! `PeopleService`.

use guildhall_mesh::{Caller, status};
use guildhall_proto::auth::v1::{self as pb, people_service_server::PeopleService};
use tonic::{Request, Response, async_trait};

use super::{Reply, convert::user_id};
use crate::people::People;

pub(super) struct Handler {
    pub(super) people: People,
}

#[async_trait]
impl PeopleService for Handler {
    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Reply<pb::GetUserResponse> {
        let caller = Caller::of(&request)?;
        let user = user_id(&request.get_ref().user_id, "user_id", &caller).map_err(status)?;

        let person = self.people.get(user).await.map_err(status)?;

        Ok(Response::new(pb::GetUserResponse {
            user: Some(person.into()),
        }))
    }

    async fn batch_get_users(
        &self,
        request: Request<pb::BatchGetUsersRequest>,
    ) -> Reply<pb::BatchGetUsersResponse> {
        let caller = Caller::of(&request)?;
        let texts = request.into_inner().user_ids.into_iter().enumerate();
        let users = texts.map(|(i, text)| user_id(&text, &format!("user_ids[{i}]"), &caller));
        let users: Vec<_> = users.collect::<Result<_, _>>().map_err(status)?;

        let people = self.people.all_of(&users).await.map_err(status)?;

        let users = people.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::BatchGetUsersResponse { users }))
    }

    async fn search_users(
        &self,
        request: Request<pb::SearchUsersRequest>,
    ) -> Reply<pb::SearchUsersResponse> {
        Caller::of(&request)?;

        let people = self
            .people
            .search(&request.get_ref().q)
            .await
            .map_err(status)?;

        let users = people.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::SearchUsersResponse { users }))
    }
}
