//! Rights asked over a link to `svc-auth`.

use std::time::Duration;

use async_trait::async_trait;
use guildhall_kernel::{Role, SessionId, SpaceId, UserId};
use guildhall_proto::auth::v1::{self as pb, access_service_client::AccessServiceClient};
use tonic::Status;

use super::{Changes, Source};
use crate::{Call, Link};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `svc-auth` by its `AccessService`.
#[derive(Debug, Clone)]
pub struct LinkSource {
    link: Link,
}

impl LinkSource {
    /// Over a link that this process holds to auth.
    pub fn new(link: Link) -> Self {
        Self { link }
    }

    fn client(&self) -> AccessServiceClient<Link> {
        AccessServiceClient::new(self.link.as_service(&Call::own("access", PATIENCE)))
    }
}

#[async_trait]
impl Source for LinkSource {
    async fn keys(&self) -> Result<String, Status> {
        Ok(self
            .client()
            .get_keys(pb::GetKeysRequest {})
            .await?
            .into_inner()
            .jwks)
    }

    async fn session(&self, user: UserId, session: SessionId) -> Result<(bool, u64), Status> {
        let request = pb::CheckSessionRequest {
            session_id: session.to_string(),
            user_id: user.to_string(),
        };
        let answer = self.client().check_session(request).await?.into_inner();
        Ok((answer.alive, answer.as_of))
    }

    async fn role(&self, user: UserId, space: SpaceId) -> Result<(Option<Role>, u64), Status> {
        let request = pb::GetRoleRequest {
            user_id: user.to_string(),
            space_id: space.to_string(),
        };
        let answer = self.client().get_role(request).await?.into_inner();
        Ok((Role::from_number(answer.role), answer.as_of))
    }

    async fn roles(&self, user: UserId) -> Result<(Vec<(SpaceId, Role)>, u64), Status> {
        let request = pb::ListRolesRequest {
            user_id: user.to_string(),
        };
        let answer = self.client().list_roles(request).await?.into_inner();
        let roles = answer.roles.iter().filter_map(|one| {
            Some((
                SpaceId::parse(&one.space_id).ok()?,
                Role::from_number(one.role)?,
            ))
        });
        Ok((roles.collect(), answer.as_of))
    }

    async fn changes(&self, after: u64, limit: u32) -> Result<Changes, Status> {
        let request = pb::ListAccessChangesRequest { after, limit };
        let answer = self
            .client()
            .list_access_changes(request)
            .await?
            .into_inner();
        Ok(Changes {
            changes: answer.changes,
            head: answer.head,
            reset: answer.reset,
        })
    }
}
