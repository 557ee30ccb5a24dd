//! How svc-auth is called: decode, call, encode. No decisions but how an answer travels.

use std::sync::Arc;

use guildhall_proto::auth::v1::{
    access_service_server::AccessServiceServer, account_service_server::AccountServiceServer,
    people_service_server::PeopleServiceServer, session_service_server::SessionServiceServer,
    space_service_server::SpaceServiceServer,
};
use tonic::{Response, Status, service::Routes};

use crate::{
    accounts::Accounts, people::People, rights::Rights, sessions::Sessions, spaces::Spaces,
};

mod access;
mod account;
mod answer;
mod convert;
mod people;
mod session;
mod space;

pub(crate) use access::Source;

/// What a handler answers.
type Reply<T> = Result<Response<T>, Status>;

/// All rpc services.
pub(crate) fn routes(
    accounts: Accounts,
    sessions: Arc<Sessions>,
    people: People,
    spaces: Arc<Spaces>,
    rights: Arc<Rights>,
) -> Routes {
    Routes::new(AccountServiceServer::new(account::Handler { accounts }))
        .add_service(SessionServiceServer::new(session::Handler { sessions }))
        .add_service(PeopleServiceServer::new(people::Handler { people }))
        .add_service(SpaceServiceServer::new(space::Handler {
            spaces: spaces.clone(),
        }))
        .add_service(AccessServiceServer::new(access::Handler { rights, spaces }))
}
