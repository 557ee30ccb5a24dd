//! `AccessService` in memory: what chat asks of auth.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use guildhall_kernel::{Role, SpaceId, UserId};
use guildhall_mesh::guard::bad_field;
use guildhall_proto::auth::v1::{self as pb, access_service_server::AccessService};
use guildhall_testkit::Rights;
use tonic::{Request, Response, Status};

#[derive(Clone)]
pub(crate) struct FakeAuth {
    inner: Arc<Inner>,
}

struct Inner {
    rights: Rights,
    people: Mutex<HashSet<UserId>>,
    direct: Mutex<HashMap<SpaceId, Vec<UserId>>>,
    /// Keeps the next direct space and loses the answer, as a crash of chat would.
    loses_answer: AtomicBool,
    away: AtomicBool,
    ensured: AtomicU32,
}

impl FakeAuth {
    pub(crate) fn new(rights: Rights) -> Self {
        let inner = Inner {
            rights,
            people: Mutex::default(),
            direct: Mutex::default(),
            loses_answer: AtomicBool::new(false),
            away: AtomicBool::new(false),
            ensured: AtomicU32::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// From now on this is a person of the hall.
    pub(crate) fn know(&self, user: UserId) {
        self.inner.people.lock().expect("whole").insert(user);
    }

    pub(crate) fn lose_next_answer(&self) {
        self.inner.loses_answer.store(true, Ordering::SeqCst);
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.inner.away.store(away, Ordering::SeqCst);
    }

    /// How many direct spaces were asked for.
    pub(crate) fn ensured(&self) -> u32 {
        self.inner.ensured.load(Ordering::SeqCst)
    }

    pub(crate) fn direct_spaces(&self) -> usize {
        self.direct().len()
    }

    fn direct(&self) -> MutexGuard<'_, HashMap<SpaceId, Vec<UserId>>> {
        self.inner.direct.lock().expect("whole")
    }

    fn is_here(&self) -> Result<(), Status> {
        if self.inner.away.load(Ordering::SeqCst) {
            return Err(Status::unavailable("the test has taken auth away"));
        }
        Ok(())
    }
}

#[async_trait]
impl AccessService for FakeAuth {
    async fn ensure_direct_space(
        &self,
        request: Request<pb::EnsureDirectSpaceRequest>,
    ) -> Result<Response<pb::EnsureDirectSpaceResponse>, Status> {
        self.is_here()?;
        let request = request.into_inner();
        self.inner.ensured.fetch_add(1, Ordering::SeqCst);
        let space = SpaceId::parse(&request.space_id).expect("the layers have checked it");
        let people = request
            .user_ids
            .iter()
            .map(|id| UserId::parse(id).expect("the same"));
        let people: Vec<_> = people.collect();
        let known = self.inner.people.lock().expect("whole").clone();
        if let Some(n) = people.iter().position(|user| !known.contains(user)) {
            return Err(bad_field(&format!("user_ids[{n}]"), "no such user"));
        }

        let created = self.direct().insert(space, people.clone()).is_none();
        if created {
            for user in people {
                self.inner.rights.set_role(user, space, Some(Role::Member));
            }
        }
        if self.inner.loses_answer.swap(false, Ordering::SeqCst) {
            return Err(Status::unavailable("the answer was lost"));
        }
        Ok(Response::new(pb::EnsureDirectSpaceResponse { created }))
    }

    async fn get_role(
        &self,
        request: Request<pb::GetRoleRequest>,
    ) -> Result<Response<pb::GetRoleResponse>, Status> {
        self.is_here()?;
        let space = SpaceId::parse(&request.into_inner().space_id).expect("the layers checked");
        let is_direct = self.direct().contains_key(&space);
        let kind = if is_direct {
            pb::SpaceKind::Direct
        } else {
            pb::SpaceKind::Team
        };
        Ok(Response::new(pb::GetRoleResponse {
            role: 0,
            as_of: 0,
            kind: kind.into(),
            joined_at: None,
        }))
    }

    async fn get_keys(
        &self,
        _: Request<pb::GetKeysRequest>,
    ) -> Result<Response<pb::GetKeysResponse>, Status> {
        Err(not_asked())
    }

    async fn check_session(
        &self,
        _: Request<pb::CheckSessionRequest>,
    ) -> Result<Response<pb::CheckSessionResponse>, Status> {
        Err(not_asked())
    }

    async fn list_roles(
        &self,
        _: Request<pb::ListRolesRequest>,
    ) -> Result<Response<pb::ListRolesResponse>, Status> {
        Err(not_asked())
    }

    async fn list_access_changes(
        &self,
        _: Request<pb::ListAccessChangesRequest>,
    ) -> Result<Response<pb::ListAccessChangesResponse>, Status> {
        Err(not_asked())
    }
}

fn not_asked() -> Status {
    Status::unimplemented("chat asks its cache of rights, which the test holds")
}
