//! Everything that can go wrong here, a variant per thing that a caller could do differently.

use std::time::Duration;

use guildhall_kernel::{Failure, FieldFault, Kind, page::BadToken};
use guildhall_mesh::{Reason, Reasoned};
use guildhall_store::StoreError;

/// A call to svc-auth did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A field breaks a rule.
    #[error("the request has a bad field")]
    BadField {
        /// Which.
        field: String,
        /// What is wrong with it.
        wrong: String,
    },
    /// New accounts are closed.
    #[error("new accounts are closed on this hall")]
    RegistrationClosed,
    /// The names of a new account belong to somebody.
    #[error("an account with this {} exists", taken(*username, *email))]
    NamesTaken {
        /// The username does.
        username: bool,
        /// The address does.
        email: bool,
    },
    /// The password is easy to guess.
    #[error("the password is easy to guess")]
    PasswordWeak {
        /// The field it came in.
        field: &'static str,
        /// What makes it so.
        wrong: &'static str,
    },
    /// Name and password do not match an account, or there is none.
    #[error("name and password do not match an account")]
    WrongCredentials,
    /// The present password is another one.
    #[error("the present password is another one")]
    WrongCurrentPassword,
    /// The refresh token is worth nothing (any more).
    #[error("the refresh token is unknown, used up, expired or revoked")]
    RefreshRefused,
    /// Cookies were asked for where browsers would drop them.
    #[error("cookies need https beyond this machine; ask without `cookie` or use https")]
    CookiesNeedTls,
    /// Too many failed tries.
    #[error("too many failed tries; wait before the next one")]
    TooOften(Duration),
    /// More passwords wait to be checked than the queue takes.
    #[error("too many people sign in just now")]
    HashersBusy,
    /// Not there, or not the caller's to see.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The caller's role in the space is too low.
    #[error("your role in the space is too low for this")]
    RoleTooLow,
    /// The space would be left without an owner.
    #[error("the space would be left without an owner; make somebody else an owner first")]
    LastOwner,
    /// A direct conversation keeps its people and its shape.
    #[error("a direct conversation keeps its people and its name")]
    DirectIsFixed,
    /// The user is a member with another role.
    #[error("the user is a member already, with another role")]
    AlreadyMember,
    /// The space that the key made was deleted since.
    #[error("the space was deleted")]
    SpaceDeleted,
    /// The store.
    #[error("{}", store_words(.0))]
    Store(#[source] StoreError),
    /// A password could not be hashed.
    #[error("a password could not be hashed: {0}")]
    Hashing(String),
    /// A kept signing key is none.
    #[error("a signing key in the store is damaged")]
    BadKey,
    /// A token could not be signed.
    #[error("a token could not be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

impl AuthError {
    /// A field breaks a rule.
    pub fn bad_field(field: impl Into<String>, wrong: impl std::fmt::Display) -> Self {
        Self::BadField {
            field: field.into(),
            wrong: wrong.to_string(),
        }
    }
}

fn taken(username: bool, email: bool) -> &'static str {
    match (username, email) {
        (true, true) => "username and this e-mail address",
        (true, false) => "username",
        _ => "e-mail address",
    }
}

/// Only what concerns the caller.
fn store_words(error: &StoreError) -> &'static str {
    match error {
        StoreError::Busy => "the hall is busy",
        StoreError::OutcomeUnknown(_) => "the outcome is unknown; repeat the call",
        StoreError::Full(_)
        | StoreError::Damaged(_)
        | StoreError::Io(_)
        | StoreError::Unreachable { .. } => "the store cannot be used",
        StoreError::Taken(_)
        | StoreError::Newer { .. }
        | StoreError::Behind { .. }
        | StoreError::Unfit { .. }
        | StoreError::OldLibrary { .. }
        | StoreError::Locked { .. }
        | StoreError::Folder { .. }
        | StoreError::Statement(_) => "the store failed",
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BadToken> for AuthError {
    fn from(error: BadToken) -> Self {
        Self::bad_field("page_token", error)
    }
}

impl Failure for AuthError {
    fn kind(&self) -> Kind {
        match self {
            Self::BadField { .. }
            | Self::PasswordWeak { .. }
            | Self::WrongCurrentPassword
            | Self::CookiesNeedTls => Kind::Invalid,
            Self::WrongCredentials | Self::RefreshRefused => Kind::Unauthenticated,
            Self::RegistrationClosed | Self::RoleTooLow => Kind::Denied,
            Self::NamesTaken { .. } | Self::AlreadyMember => Kind::Exists,
            Self::TooOften(_) | Self::HashersBusy => Kind::Exhausted,
            Self::NotFound(_) => Kind::NotFound,
            Self::LastOwner | Self::DirectIsFixed | Self::SpaceDeleted => Kind::State,
            Self::Store(StoreError::Taken(_)) => Kind::Aborted,
            Self::Store(error) => error.kind(),
            Self::Hashing(_) | Self::BadKey | Self::Signing(_) => Kind::Internal,
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        let one = |field: &str, wrong: &str| vec![FieldFault::new(field, wrong)];
        if let Self::BadField { field, wrong } = self {
            one(field, wrong)
        } else if let Self::PasswordWeak { field, wrong } = self {
            one(field, wrong)
        } else if let Self::WrongCurrentPassword = self {
            one("current_password", "is not the present password")
        } else if let Self::CookiesNeedTls = self {
            one(
                "cookie",
                "needs https beyond this machine, and a name that the hall knows (setting gateway.public_origins)",
            )
        } else if let Self::NamesTaken { username, email } = self {
            let username = username.then(|| FieldFault::new("username", "belongs to somebody"));
            let email = email.then(|| FieldFault::new("email", "belongs to an account"));
            username.into_iter().chain(email).collect()
        } else {
            Vec::new()
        }
    }
}

impl Reasoned for AuthError {
    fn reason(&self) -> Reason {
        match self {
            Self::BadField { .. } => Reason::BadField,
            Self::RegistrationClosed => Reason::RegistrationClosed,
            Self::NamesTaken { username: true, .. } => Reason::UsernameTaken,
            Self::NamesTaken { .. } => Reason::EmailTaken,
            Self::PasswordWeak { .. } => Reason::PasswordWeak,
            Self::WrongCredentials | Self::WrongCurrentPassword => Reason::WrongCredentials,
            Self::RefreshRefused => Reason::RefreshRefused,
            Self::CookiesNeedTls => Reason::CookiesNeedTls,
            Self::TooOften(_) => Reason::RateLimited,
            Self::NotFound(_) => Reason::NotFound,
            Self::RoleTooLow => Reason::RoleTooLow,
            Self::LastOwner => Reason::LastOwner,
            Self::DirectIsFixed => Reason::DirectIsFixed,
            Self::AlreadyMember => Reason::AlreadyMember,
            Self::SpaceDeleted => Reason::SpaceDeleted,
            Self::HashersBusy | Self::Store(StoreError::Busy) => Reason::Busy,
            Self::Store(StoreError::OutcomeUnknown(_)) => Reason::OutcomeUnknown,
            Self::Store(StoreError::Full(_) | StoreError::Damaged(_) | StoreError::Io(_)) => {
                Reason::StoreRefused
            }
            Self::Store(_) | Self::Hashing(_) | Self::BadKey | Self::Signing(_) => {
                Reason::Unspecified
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Self::TooOften(wait) = self {
            return Some(*wait);
        }
        matches!(self, Self::HashersBusy | Self::Store(StoreError::Busy))
            .then_some(Duration::from_secs(1))
    }
}
