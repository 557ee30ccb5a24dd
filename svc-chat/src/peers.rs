//! The services that chat asks: `svc-auth`, and none else.

use guildhall_kernel::{FieldFault, SpaceId, UserId};
use guildhall_mesh::{Call, Link};
use guildhall_proto::auth::v1::{self as pb, access_service_client::AccessServiceClient};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::error::ChatError;

/// Asks `svc-auth` as a service.
#[derive(Debug, Clone)]
pub struct Auth {
    link: Link,
}

impl Auth {
    /// Over the link from chat to auth.
    pub fn new(link: Link) -> Self {
        Self { link }
    }

    /// Makes sure that the direct space of these people exists under this id.
    ///
    /// # Errors
    /// [`ChatError::Fields`] where somebody is no person of the hall, by `user_ids[n]` in the order of `people`; otherwise that
    /// auth is away.
    pub async fn ensure_direct_space(
        &self,
        call: &Call,
        space: SpaceId,
        people: &[UserId],
    ) -> Result<(), ChatError> {
        let request = pb::EnsureDirectSpaceRequest {
            space_id: space.to_string(),
            user_ids: people.iter().map(ToString::to_string).collect(),
        };
        self.client(call)
            .ensure_direct_space(request)
            .await
            .map_err(refused)?;
        Ok(())
    }

    /// Whether a space is a direct conversation.
    ///
    /// # Errors
    /// That auth is away.
    pub async fn is_direct(
        &self,
        call: &Call,
        space: SpaceId,
        member: UserId,
    ) -> Result<bool, ChatError> {
        let request = pb::GetRoleRequest {
            user_id: member.to_string(),
            space_id: space.to_string(),
        };
        let answer = self.client(call).get_role(request).await.map_err(refused)?;
        Ok(answer.into_inner().kind() == pb::SpaceKind::Direct)
    }

    fn client(&self, call: &Call) -> AccessServiceClient<Link> {
        AccessServiceClient::new(self.link.as_service(call))
    }
}

fn refused(status: Status) -> ChatError {
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.as_slice());
    match (status.code(), violations) {
        (Code::InvalidArgument, Some(faults)) if !faults.is_empty() => {
            let ours = faults
                .iter()
                .map(|fault| FieldFault::new(&fault.field, &fault.description));
            ChatError::Fields(ours.collect())
        }
        (
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled,
            _,
        ) => ChatError::AuthAway(status),
        _ => ChatError::AuthRefused(status),
    }
}
