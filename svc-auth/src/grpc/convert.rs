//! Proto to model and back; the only file that knows both vocabularies.

use std::fmt::Display;

use guildhall_kernel::{Key, Page, Role, SessionId, SpaceId, Time, UserId, id::Id};
use guildhall_mesh::Caller;
use guildhall_proto::auth::v1 as pb;
use prost_types::Timestamp;

use crate::{
    AuthError,
    accounts::{Applicant, Changes},
    model::{
        AccessChange, Account, Changed, DisplayName, Email, Login, Member, Membership, Person,
        Session, Space, SpaceKind, SpaceName, StatusText, Username,
    },
    spaces::{Mine, NewTeam},
};

/// Reads an id, or `me`.
pub(super) fn user_id(text: &str, field: &str, caller: &Caller) -> Result<UserId, AuthError> {
    field_of(field, UserId::named(text, caller.user))
}

/// Reads a list of ids, of which any may be `me`.
pub(super) fn user_ids(
    texts: &[String],
    field: &str,
    caller: &Caller,
) -> Result<Vec<UserId>, AuthError> {
    texts
        .iter()
        .enumerate()
        .map(|(i, text)| user_id(text, &format!("{field}[{i}]"), caller))
        .collect()
}

/// Reads an id.
pub(super) fn id<K: guildhall_kernel::id::Named>(
    text: &str,
    field: &str,
) -> Result<Id<K>, AuthError> {
    field_of(field, Id::parse(text))
}

/// Reads a list of ids.
pub(super) fn ids<K: guildhall_kernel::id::Named>(
    texts: &[String],
    field: &str,
) -> Result<Vec<Id<K>>, AuthError> {
    texts
        .iter()
        .enumerate()
        .map(|(i, text)| id(text, &format!("{field}[{i}]")))
        .collect()
}

/// Reads which page is wanted.
pub(super) fn page(size: u32, token: &str) -> Result<Page, AuthError> {
    field_of("page_token", Page::parse(size, token))
}

/// Reads a role; `None` where none is given.
pub(super) fn role(number: i32, field: &str) -> Result<Option<Role>, AuthError> {
    match (number, Role::from_number(number)) {
        (0, _) => Ok(None),
        (_, Some(role)) => Ok(Some(role)),
        (_, None) => Err(AuthError::bad_field(field, "no such role")),
    }
}

fn field_of<T, E: Display>(field: &str, parsed: Result<T, E>) -> Result<T, AuthError> {
    parsed.map_err(|wrong| AuthError::bad_field(field, wrong))
}

impl TryFrom<pb::RegisterRequest> for Applicant {
    type Error = AuthError;

    fn try_from(request: pb::RegisterRequest) -> Result<Self, AuthError> {
        Ok(Self {
            username: field_of("username", Username::parse(&request.username))?,
            email: field_of("email", Email::parse(&request.email))?,
            password: request.password.into(),
            display_name: field_of(
                "display_name",
                DisplayName::parse(&request.display_name.unwrap_or_default()),
            )?,
        })
    }
}

impl TryFrom<pb::UpdateMeRequest> for Changes {
    type Error = AuthError;

    fn try_from(request: pb::UpdateMeRequest) -> Result<Self, AuthError> {
        let name = request
            .display_name
            .as_deref()
            .map(DisplayName::parse)
            .transpose();
        let status = request
            .status_text
            .as_deref()
            .map(StatusText::parse)
            .transpose();
        Ok(Self {
            display_name: field_of("display_name", name)?,
            status_text: field_of("status_text", status)?,
        })
    }
}

impl From<pb::login_request::Account> for Login {
    fn from(account: pb::login_request::Account) -> Self {
        match account {
            pb::login_request::Account::Email(text) => Self::Email(text),
            pb::login_request::Account::Username(text) => Self::Username(text),
        }
    }
}

/// Reads what a team should be.
pub(super) fn new_team(
    request: &pb::CreateSpaceRequest,
    caller: &Caller,
) -> Result<NewTeam, AuthError> {
    if request.kind() != pb::SpaceKind::Team {
        return Err(AuthError::bad_field("kind", "must be SPACE_KIND_TEAM"));
    }
    Ok(NewTeam {
        name: field_of("name", SpaceName::parse(&request.name))?,
        members: user_ids(&request.member_ids, "member_ids", caller)?,
        key: field_of("key", Key::parse(&request.key))?,
    })
}

/// Reads the new name of a space.
pub(super) fn space_name(name: Option<&str>) -> Result<Option<SpaceName>, AuthError> {
    field_of("name", name.map(SpaceName::parse).transpose())
}

pub(super) fn timestamp(time: Time) -> Timestamp {
    Timestamp {
        seconds: time.seconds(),
        nanos: time.nanos(),
    }
}

impl From<Person> for pb::User {
    fn from(person: Person) -> Self {
        Self {
            id: person.id.to_string(),
            username: person.username,
            display_name: person.display_name,
            status_text: person.status_text,
        }
    }
}

impl From<Account> for pb::Account {
    fn from(account: Account) -> Self {
        Self {
            user: Some(account.person.into()),
            email: account.email,
            created_at: Some(timestamp(account.created_at)),
        }
    }
}

/// A session as its owner sees it from the session that asks.
pub(super) fn session(session: Session, asking: SessionId) -> pb::Session {
    pb::Session {
        id: session.id.to_string(),
        current: session.id == asking,
        created_at: Some(timestamp(session.created_at)),
        used_at: Some(timestamp(session.used_at)),
        expires_at: Some(timestamp(session.idle_ends_at)),
        user_agent: session.agent,
    }
}

pub(super) fn space_kind(kind: Option<SpaceKind>) -> pb::SpaceKind {
    match kind {
        None => pb::SpaceKind::Unspecified,
        Some(SpaceKind::Team) => pb::SpaceKind::Team,
        Some(SpaceKind::Direct) => pb::SpaceKind::Direct,
    }
}

/// The number of a role; that of none where there is none.
pub(super) fn role_number(role: Option<Role>) -> i32 {
    role.map_or(0, |role| role.number().into())
}

/// As everybody sees it: without anybody's role.
impl From<Space> for pb::Space {
    fn from(space: Space) -> Self {
        Self {
            id: space.id.to_string(),
            kind: space_kind(Some(space.kind)).into(),
            name: space.name,
            my_role: 0,
            created_at: Some(timestamp(space.created_at)),
        }
    }
}

/// As one of its people sees it.
pub(super) fn my_space((space, role): Mine) -> pb::Space {
    pb::Space {
        my_role: role_number(Some(role)),
        ..space.into()
    }
}

impl From<Member> for pb::Member {
    fn from(member: Member) -> Self {
        Self {
            role: role_number(Some(member.role)),
            joined_at: Some(timestamp(member.joined_at)),
            user: Some(member.person.into()),
        }
    }
}

pub(super) fn role_in_space((space, place): (SpaceId, Membership)) -> pb::RoleInSpace {
    pb::RoleInSpace {
        space_id: space.to_string(),
        role: role_number(place.present()),
        joined_at: Some(timestamp(place.joined_at)),
    }
}

impl From<AccessChange> for pb::AccessChange {
    fn from(change: AccessChange) -> Self {
        use pb::access_change::What;

        let n = change.n;
        let what = match change.what {
            Changed::Member {
                space,
                person,
                role,
                joined,
            } => What::MemberChanged(pb::MemberChanged {
                space_id: space.to_string(),
                user: Some(person.into()),
                role: role_number(role),
                n,
                joined,
            }),
            Changed::SpaceDeleted(space) => What::SpaceDeleted(pb::SpaceDeleted {
                space_id: space.to_string(),
            }),
            Changed::SessionEnded { session, user } => What::SessionEnded(pb::SessionEnded {
                session_id: session.to_string(),
                user_id: user.to_string(),
            }),
        };
        Self {
            n,
            at: Some(timestamp(change.at)),
            what: Some(what),
        }
    }
}
