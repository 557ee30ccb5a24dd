//! What an operator does to a stopped hall. A data folder must be locked by the caller, as `serve` locks it. On PostgreSQL the hall may
//! run.

use std::sync::Arc;

use guildhall_kernel::{Clock, Ids, UserId};
use guildhall_mesh::config::BadSettings;
use guildhall_store::{Home, StoreError};
use secrecy::SecretString;

use crate::{
    AuthError,
    config::AuthSettings,
    model::{Account, DisplayName, Email, Login, Username},
    passwords::{Hashers, NewPassword, imported},
    store::{Moment, Store, Write, account, account::NewAccount, session},
};

/// What svc-auth keeps.
pub struct Admin {
    store: Store,
    settings: AuthSettings,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

/// The database cannot be opened for an operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is at fault.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// The database is.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Admin {
    /// Opens the database.
    ///
    /// # Errors
    /// The settings', or what the database says.
    pub async fn open(
        home: &Home,
        settings: &AuthSettings,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, OpenError> {
        settings.check()?;
        let store = Store::open(home).await?;
        Ok(Self {
            store,
            settings: settings.clone(),
            clock,
            ids,
        })
    }

    /// Gives an account another password, by the rules of registering, and ends all its sessions. `name` is the username or the
    /// address.
    ///
    /// # Errors
    /// [`AuthError::NotFound`] where there is no such account, [`AuthError::PasswordWeak`] or [`AuthError::BadField`] for the password.
    pub async fn set_password(&self, name: &str, password: SecretString) -> Result<(), AuthError> {
        let read = self.store.entities().read();
        let login = if name.contains('@') {
            Login::Email(name.to_owned())
        } else {
            Login::Username(name.to_owned())
        };
        let found = account::by_login(read, &login).await?;
        let found = found.ok_or(AuthError::NotFound("account"))?;
        let Account { person, email, .. } = &found.account;
        let local = email.rsplit_once('@').map_or("", |(local, _)| local);
        let names = [
            person.username.as_str(),
            email,
            local,
            &self.settings.hall_name,
        ];
        let password = NewPassword::parse("password", password, &names)?;
        let hash = Hashers::new(&self.settings, self.ids.clone())?
            .hash(password)
            .await?;
        let moment = Moment {
            at: self.clock.now(),
            ids: self.ids.as_ref(),
        };
        self.store
            .write(async |write: &Write| {
                // As it is now: its owner may have changed it meanwhile.
                let found = account::lock(write, person.id).await?;
                let found = found.ok_or(AuthError::NotFound("account"))?;
                account::replace_hash(write, person.id, &found.password_hash, hash.clone()).await?;
                let all = session::lock_living(write, person.id, moment.at).await?;
                for session in &all {
                    session::end(write, moment, session).await?;
                }
                Ok(())
            })
            .await
    }

    /// Takes over an account from another system with its bcrypt or argon2id hash; it is hashed anew at the next sign-in.
    ///
    /// # Errors
    /// [`AuthError::NamesTaken`], or [`AuthError::BadField`] for a hash that is not taken.
    pub async fn import(
        &self,
        username: &Username,
        email: &Email,
        display_name: &DisplayName,
        hash: &str,
    ) -> Result<Account, AuthError> {
        let password_hash =
            imported(hash).map_err(|error| AuthError::bad_field("password_hash", error))?;
        self.store
            .write(async |write: &Write| {
                let (username_taken, email_taken) = account::taken(write, username, email).await?;
                if username_taken || email_taken {
                    return Err(AuthError::NamesTaken {
                        username: username_taken,
                        email: email_taken,
                    });
                }
                let new = NewAccount {
                    id: UserId::of(self.ids.uuid()),
                    username,
                    email,
                    password_hash: password_hash.clone(),
                    display_name: display_name.or(username.as_str()),
                    at: self.clock.now(),
                };
                Ok(account::add(write, new).await?)
            })
            .await
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}
