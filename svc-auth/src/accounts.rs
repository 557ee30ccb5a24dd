//! Making an account and keeping it.

use std::sync::Arc;

use guildhall_kernel::{EventId, Time, UserId};
use guildhall_mesh::Caller;
use secrecy::SecretString;

use crate::{
    AuthError,
    config::Registration,
    event,
    model::{Account, DisplayName, Email, StatusText, Username},
    passwords::{NewPassword, Verdict},
    sessions::{Device, Sessions, SignedIn},
    store::{Store, Write, account, account::NewAccount, change},
};

/// The accounts of the hall.
pub(crate) struct Accounts {
    pub(crate) store: Store,
    pub(crate) sessions: Arc<Sessions>,
}

/// Who wants an account.
pub(crate) struct Applicant {
    pub(crate) username: Username,
    pub(crate) email: Email,
    pub(crate) password: SecretString,
    pub(crate) display_name: DisplayName,
}

/// What to change of one's own account; `None` leaves it.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) display_name: Option<DisplayName>,
    pub(crate) status_text: Option<StatusText>,
}

impl Accounts {
    /// Makes an account and opens its first session. Names that belong to somebody are told.
    #[tracing::instrument(name = "auth.register", skip_all)]
    pub(crate) async fn register(
        &self,
        applicant: Applicant,
        device: Device,
    ) -> Result<SignedIn, AuthError> {
        let sessions = &self.sessions;
        if sessions.settings.registration == Registration::Closed {
            return Err(AuthError::RegistrationClosed);
        }
        let Applicant {
            username,
            email,
            password,
            display_name,
        } = applicant;
        let names = [
            username.as_str(),
            email.as_str(),
            email.local(),
            &sessions.settings.hall_name,
        ];
        let password = NewPassword::parse("password", password, &names)?;
        // Before the work of hashing, and again where it counts.
        refuse_taken(account::taken(self.store.entities().read(), &username, &email).await?)?;
        let password_hash = sessions.hashers.hash(password).await?;

        self.store
            .write(async |write: &Write| {
                refuse_taken(account::taken(write, &username, &email).await?)?;
                let new = NewAccount {
                    id: UserId::of(sessions.ids.uuid()),
                    username: &username,
                    email: &email,
                    password_hash: password_hash.clone(),
                    display_name: display_name.or(username.as_str()),
                    at: sessions.clock.now(),
                };
                let account = account::add(write, new).await?;
                sessions.open_in(write, account, device.clone()).await
            })
            .await
    }

    /// The instant by which answers count.
    pub(crate) fn now(&self) -> Time {
        self.sessions.clock.now()
    }

    /// The caller's account.
    pub(crate) async fn me(&self, caller: &Caller) -> Result<Account, AuthError> {
        let found = account::load(self.store.entities().read(), caller.user).await?;
        Ok(found.ok_or(AuthError::NotFound("user"))?.account)
    }

    /// Changes what others see of the caller, and tells it where it is a change.
    #[tracing::instrument(name = "auth.update_me", skip_all)]
    pub(crate) async fn update(
        &self,
        caller: &Caller,
        changes: Changes,
    ) -> Result<Account, AuthError> {
        let sessions = &self.sessions;
        self.store
            .write(async |write: &Write| {
                let found = account::lock(write, caller.user).await?;
                let mut account = found.ok_or(AuthError::NotFound("user"))?.account;
                let before = account.person.clone();
                let person = &mut account.person;
                if let Some(name) = &changes.display_name {
                    person.display_name = name.or(&person.username);
                }
                if let Some(status) = &changes.status_text {
                    person.status_text = status.clone().into_string();
                }
                if *person != before {
                    account::set_profile(
                        write,
                        person.id,
                        &person.display_name,
                        &person.status_text,
                    )
                    .await?;
                    let id = EventId::of(sessions.ids.uuid());
                    let told = event::user_changed(id, sessions.clock.now(), person);
                    change::tell(write, told);
                }
                Ok(account)
            })
            .await
    }

    /// Changes the caller's password and ends the other sessions.
    #[tracing::instrument(name = "auth.change_password", skip_all)]
    pub(crate) async fn change_password(
        &self,
        caller: &Caller,
        current: SecretString,
        new: SecretString,
        device: Device,
    ) -> Result<(), AuthError> {
        let sessions = &self.sessions;
        let found = account::load(self.store.entities().read(), caller.user).await?;
        let found = found.ok_or(AuthError::NotFound("user"))?;
        let Account { person, email, .. } = &found.account;
        let local = email.rsplit_once('@').map_or("", |(local, _)| local);
        let names = [
            person.username.as_str(),
            email,
            local,
            &sessions.settings.hall_name,
        ];
        let new = NewPassword::parse("new_password", new, &names)?;

        // Who stole a session must not find the password out by trying.
        let attempt = sessions
            .throttle
            .begin(&caller.user.to_string(), device.address)?;
        match sessions
            .hashers
            .check(current, found.password_hash.clone())
            .await
        {
            Ok(Verdict::Wrong) => return Err(AuthError::WrongCurrentPassword),
            Ok(Verdict::Right | Verdict::RightButStale) => attempt.succeeded(),
            Err(error) => {
                attempt.undone();
                return Err(error);
            }
        }
        let hash = sessions.hashers.hash(new).await?;
        self.store
            .write(async |write: &Write| {
                let seen = &found.password_hash;
                if !account::replace_hash(write, caller.user, seen, hash.clone()).await? {
                    // Somebody changed it meanwhile, so the present one is another.
                    return Err(AuthError::WrongCurrentPassword);
                }
                sessions
                    .end_others_in(write, caller.user, caller.session)
                    .await
            })
            .await?;
        sessions.catch_up().await;
        Ok(())
    }
}

fn refuse_taken((username, email): (bool, bool)) -> Result<(), AuthError> {
    if username || email {
        Err(AuthError::NamesTaken { username, email })
    } else {
        Ok(())
    }
}
