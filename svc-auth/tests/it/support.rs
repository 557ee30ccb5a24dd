//! A hall of svc-auth alone, and people who use it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use guildhall_kernel::Clock as _;
use guildhall_mesh::{
    Call, Link, LocalBus, Reason, Tasks, access::AccessSettings, guard::Guard, rules::Rules,
    status::reason,
};
use guildhall_proto::auth::v1::{
    self as pb, access_service_client::AccessServiceClient,
    account_service_client::AccountServiceClient, session_service_client::SessionServiceClient,
};
use guildhall_store::Home;
use guildhall_testkit::{CaughtEvents, CountedIds, StoppedClock, TempDir};
use svc_auth::{Auth, AuthSettings, Parts};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::engine::{Place, place, second_run};

mod person;

pub(crate) use person::Person;

/// A password that every rule likes.
pub(crate) const PASSWORD: &str = "violet tram 42 hums";

pub(crate) struct Hall {
    pub(crate) clock: StoppedClock,
    pub(crate) bus: LocalBus,
    pub(crate) auth: Auth,
    pub(crate) link: Link,
    chat: Link,
    tasks: Tasks,
    settings: AuthSettings,
    data: Data,
    keys: AtomicU32,
}

/// What stays when a hall stops.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) place: Place,
    pub(crate) clock: StoppedClock,
    pub(crate) ids: CountedIds,
    _dir: Arc<TempDir>,
}

impl Data {
    /// A look behind the scenes.
    pub(crate) async fn database(&self) -> sea_orm::DatabaseConnection {
        let url = match &self.place.home {
            Home::File(file) => format!("sqlite:{}", file.display()),
            Home::Schema(schema) => {
                let (url, _) = second_run().expect("schemas are of the second run");
                format!("{url}?options[search_path]={}", schema.name())
            }
        };
        sea_orm::Database::connect(url).await.expect("opens")
    }
}

impl Hall {
    pub(crate) async fn new() -> Self {
        Self::with(AuthSettings::default()).await
    }

    pub(crate) async fn with(settings: AuthSettings) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let data = Data {
            place: place(dir.path().join("auth.db")),
            clock: StoppedClock::new(),
            ids: CountedIds::new(),
            _dir: Arc::new(dir),
        };
        svc_auth::migrate(&data.place.home).await.expect("migrates");
        Self::on(settings, data).await
    }

    async fn on(settings: AuthSettings, data: Data) -> Self {
        let (clock, ids) = (data.clock.clone(), data.ids.clone());
        let (bus, tasks) = (LocalBus::new(), Tasks::new());
        let parts = Parts {
            home: data.place.home.clone(),
            clock: Arc::new(clock.clone()),
            ids: Arc::new(ids.clone()),
            tasks: tasks.clone(),
            bus: Arc::new(bus.clone()),
        };
        let auth = svc_auth::build(&settings, &AccessSettings::default(), parts)
            .await
            .expect("builds");
        let guard = Guard {
            rules: Arc::new(Rules::of(guildhall_proto::pool()).expect("every rpc has its option")),
            access: auth.access.clone(),
            places: auth.places.clone(),
            clock: Arc::new(clock.clone()),
            ids: Arc::new(ids.clone()),
        };
        let guarded = guard.before(auth.routes.clone());
        let link = Link::local("gateway", guarded.clone());
        let chat = Link::local("chat", guarded);
        Self {
            clock,
            bus,
            auth,
            link,
            chat,
            tasks,
            settings,
            data,
            keys: AtomicU32::new(0),
        }
    }

    /// Stops and starts again on the same data.
    pub(crate) async fn restart(self) -> Self {
        let settings = self.settings.clone();
        Self::on(settings, self.stop().await).await
    }

    /// Stops, and leaves the data.
    pub(crate) async fn stop(self) -> Data {
        self.tasks.stop(Duration::from_secs(5)).await;
        self.auth.close().await;
        self.data
    }

    pub(crate) async fn start(data: Data) -> Self {
        Self::on(AuthSettings::default(), data).await
    }

    /// A look behind the scenes.
    pub(crate) async fn database(&self) -> sea_orm::DatabaseConnection {
        self.data.database().await
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Link> {
        AccountServiceClient::new(self.link.clone())
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Link> {
        SessionServiceClient::new(self.link.clone())
    }

    /// What svc-chat asks for itself.
    pub(crate) fn access(&self) -> AccessServiceClient<Link> {
        AccessServiceClient::new(
            self.chat
                .as_service(&Call::own("test", Duration::from_secs(30))),
        )
    }

    /// Registers somebody.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let answer = self
            .accounts()
            .register(application(name))
            .await
            .expect("registers")
            .into_inner();
        self.signed_in(answer.account, answer.access_token, answer.refresh_token)
    }

    /// Signs somebody in once more.
    pub(crate) async fn login(&self, name: &str) -> Person {
        let answer = self.try_login(name, PASSWORD).await.expect("signs in");
        self.signed_in(answer.account, answer.access_token, answer.refresh_token)
    }

    pub(crate) async fn try_login(
        &self,
        name: &str,
        password: &str,
    ) -> Result<pb::LoginResponse, Status> {
        let answer = self.sessions().login(credentials(name, password)).await;
        answer.map(Response::into_inner)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<pb::RefreshResponse, Status> {
        let request = pb::RefreshRequest {
            refresh_token: token.to_owned(),
        };
        self.sessions()
            .refresh(request)
            .await
            .map(Response::into_inner)
    }

    /// A team of `owner` with these members.
    pub(crate) async fn team(&self, owner: &Person, members: &[&Person]) -> String {
        let request = pb::CreateSpaceRequest {
            kind: pb::SpaceKind::Team.into(),
            name: "The team".into(),
            member_ids: members.iter().map(|member| member.id.clone()).collect(),
            key: format!("team-{}", self.keys.fetch_add(1, Ordering::SeqCst)),
        };
        owner.create(request).await.expect("creates").id
    }

    /// A direct space of these people.
    pub(crate) async fn direct(&self, people: &[&Person]) -> String {
        let space_id = uuid::Uuid::from_u128(0xd1ec).to_string();
        let user_ids = people.iter().map(|person| person.id.clone()).collect();
        let request = pb::EnsureDirectSpaceRequest {
            space_id: space_id.clone(),
            user_ids,
        };
        self.access()
            .ensure_direct_space(request)
            .await
            .expect("ensures");
        space_id
    }

    pub(crate) async fn role(&self, person: &Person, space: &str) -> pb::SpaceRole {
        let request = pb::GetRoleRequest {
            user_id: person.id.clone(),
            space_id: space.to_owned(),
        };
        self.access()
            .get_role(request)
            .await
            .expect("answers")
            .into_inner()
            .role()
    }

    pub(crate) async fn changes(&self, after: u64) -> pb::ListAccessChangesResponse {
        let request = pb::ListAccessChangesRequest { after, limit: 0 };
        self.access()
            .list_access_changes(request)
            .await
            .expect("answers")
            .into_inner()
    }

    pub(crate) async fn catch<M: prost::Name>(&self) -> CaughtEvents {
        CaughtEvents::any::<M>(&self.bus).await
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().seconds()
    }

    fn signed_in(&self, account: Option<pb::Account>, token: String, refresh: String) -> Person {
        let id = account.and_then(|account| account.user).expect("a user").id;
        Person {
            id,
            token,
            refresh,
            link: self.link.clone(),
        }
    }
}

pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a header value");
    request.metadata_mut().insert("authorization", value);
    request
}

pub(crate) fn application(name: &str) -> pb::RegisterRequest {
    pb::RegisterRequest {
        email: format!("{name}@example.org"),
        username: name.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: None,
        cookie: false,
    }
}

pub(crate) fn credentials(name: &str, password: &str) -> pb::LoginRequest {
    pb::LoginRequest {
        account: Some(pb::login_request::Account::Username(name.to_owned())),
        password: password.to_owned(),
        cookie: false,
    }
}

/// What a refusal says that a client may test for.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, Reason) {
    let status = answer.expect_err("refused");
    (status.code(), reason(&status))
}

/// The fields that a refusal names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad = details
        .bad_request()
        .map(|bad| bad.field_violations.clone())
        .unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}
