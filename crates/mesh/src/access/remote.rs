//! Rights asked over a link to `svc-auth`.

use std::time::Duration;

use async_trait::async_trait;
use guildhall_kernel::{Role, SessionId, SpaceId, Time, UserId};
use guildhall_proto::auth::v1::{self as pb, access_service_client::AccessServiceClient};
use prost_types::Timestamp;
use tonic::Status;

use super::{Changes, Seat, Source};
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

    async fn seat(&self, user: UserId, space: SpaceId) -> Result<(Option<Seat>, u64), Status> {
        let request = pb::GetRoleRequest {
            user_id: user.to_string(),
            space_id: space.to_string(),
        };
        let answer = self.client().get_role(request).await?.into_inner();
        Ok((seat(answer.role, answer.joined_at), answer.as_of))
    }

    async fn seats(&self, user: UserId) -> Result<(Vec<(SpaceId, Seat)>, u64), Status> {
        let request = pb::ListRolesRequest {
            user_id: user.to_string(),
        };
        let answer = self.client().list_roles(request).await?.into_inner();
        let seats = answer.roles.iter().filter_map(|one| {
            Some((
                SpaceId::parse(&one.space_id).ok()?,
                seat(one.role, one.joined_at)?,
            ))
        });
        Ok((seats.collect(), answer.as_of))
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

fn seat(role: i32, joined_at: Option<Timestamp>) -> Option<Seat> {
    let since = joined_at.and_then(|at| Time::from_parts(at.seconds, at.nanos));
    Some(Seat {
        role: Role::from_number(role)?,
        since: since.unwrap_or(Seat::BEGINNING),
    })
}
