//! Signing in, staying signed in, signing out.

use std::{net::IpAddr, sync::Arc};

use guildhall_kernel::{Clock, Ids, Listed, Page, SessionId, UserId};
use guildhall_mesh::{Caller, access::Access};
use secrecy::SecretString;
use tracing::{info, warn};

use crate::{
    AuthError,
    config::AuthSettings,
    model::{Account, Login, Session},
    passwords::{Hashers, NewPassword, Verdict},
    store::{Moment, Store, Write, account, session},
    throttle::Throttle,
    tokens::{AccessToken, Mint, RefreshToken},
};

/// How long after its use a refresh token gets the same answer again, as after an answer that was lost.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// How many sessions are ended in one transaction.
const TOGETHER: u64 = 500;

/// The sessions of all accounts.
pub(crate) struct Sessions {
    pub(crate) store: Store,
    pub(crate) hashers: Arc<Hashers>,
    pub(crate) mint: Mint,
    pub(crate) throttle: Throttle,
    pub(crate) access: Access,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) settings: AuthSettings,
}

/// What signs in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Device {
    /// Its address, where the gateway told.
    pub(crate) address: Option<IpAddr>,
    /// What it calls itself.
    pub(crate) agent: String,
}

/// An open session and the tokens for it.
pub(crate) struct SignedIn {
    pub(crate) account: Account,
    pub(crate) session: Session,
    pub(crate) access: AccessToken,
    pub(crate) refresh: SecretString,
}

impl Sessions {
    /// Opens a session for who knows the password. No account and a wrong password answer alike, after the same work.
    #[tracing::instrument(name = "auth.login", skip_all)]
    pub(crate) async fn login(
        &self,
        login: Login,
        password: SecretString,
        device: Device,
    ) -> Result<SignedIn, AuthError> {
        let attempt = self.throttle.begin(&login.key(), device.address)?;
        let known = account::by_login(self.store.entities().read(), &login).await?;
        let verdict = match &known {
            Some(known) => {
                self.hashers
                    .check(password.clone(), known.password_hash.clone())
                    .await
            }
            None => self.hashers.check_nobody(password.clone()).await,
        };
        let is_stale = match verdict {
            Ok(Verdict::Wrong) => return Err(AuthError::WrongCredentials),
            Ok(right) => right == Verdict::RightButStale,
            Err(error) => {
                attempt.undone();
                return Err(error);
            }
        };
        let known = known.ok_or(AuthError::WrongCredentials)?;
        attempt.succeeded();
        if is_stale {
            self.rehash(known.account.person.id, known.password_hash, password)
                .await;
        }
        self.store
            .write(async |write: &Write| {
                self.open_in(write, known.account.clone(), device.clone())
                    .await
            })
            .await
    }

    /// Opens a session of an account inside a transaction.
    pub(crate) async fn open_in(
        &self,
        write: &Write,
        account: Account,
        device: Device,
    ) -> Result<SignedIn, AuthError> {
        let now = self.clock.now();
        let token = self.mint.first(SessionId::of(self.ids.uuid()));
        let ends_at = now.plus(self.settings.session_time());
        let opened = Session {
            id: token.session,
            user: account.person.id,
            agent: device.agent,
            created_at: now,
            used_at: now,
            idle_ends_at: now.plus(self.settings.idle_time()).min(ends_at),
            ends_at,
            ended_at: None,
            generation: token.generation,
            token_digest: token.digest(),
            parent_digest: None,
        };
        session::add(write, &opened).await?;
        self.signed_in(account, opened, &token)
    }

    /// Trades a refresh token in. Its first use makes the next pair; a repeat soon after gets the same pair, as long as the next
    /// token was not used; any other repeat shows that two hold the token, and ends the session.
    #[tracing::instrument(name = "auth.refresh", skip_all)]
    pub(crate) async fn refresh(&self, text: SecretString) -> Result<SignedIn, AuthError> {
        let token = self.mint.read(&text).ok_or(AuthError::RefreshRefused)?;
        let traded = self
            .store
            .write(async |write: &Write| self.trade(write, &token).await)
            .await?;
        match traded {
            Traded::Next(signed_in) => Ok(*signed_in),
            Traded::Refused => Err(AuthError::RefreshRefused),
            Traded::Reused => {
                info!(session = %token.session, "a refresh token was used twice; its session was ended");
                self.catch_up().await;
                Err(AuthError::RefreshRefused)
            }
        }
    }

    async fn trade(&self, write: &Write, token: &RefreshToken) -> Result<Traded, AuthError> {
        let now = self.clock.now();
        // Of two that trade the same token in, the second must see what the first has made.
        let found = session::lock(write, token.session).await?;
        let Some(mut session) = found.filter(|session| session.lives(now)) else {
            return Ok(Traded::Refused);
        };
        let digest = token.digest();
        let is_present = token.generation == session.generation && digest == session.token_digest;
        let is_parent = token.generation.checked_add(1) == Some(session.generation)
            && session.parent_digest == Some(digest);
        let next = self.mint.next(token);
        if is_present {
            let idle_ends_at = now.plus(self.settings.idle_time()).min(session.ends_at);
            if !session::rotate(write, &session, next.digest(), now, idle_ends_at).await? {
                return Ok(Traded::Refused);
            }
            session.generation = next.generation;
            session.used_at = now;
            session.idle_ends_at = idle_ends_at;
        } else if !is_parent || now.since(session.used_at) > GRACE {
            session::end(write, self.moment(), &session).await?;
            return Ok(Traded::Reused);
        }
        let credentials = account::load(write, session.user).await?;
        let account = credentials.ok_or(AuthError::RefreshRefused)?.account;
        Ok(Traded::Next(Box::new(
            self.signed_in(account, session, &next)?,
        )))
    }

    /// Ends the session of a refresh token, or else of the caller. What was not there needs no ending, and nobody is told.
    #[tracing::instrument(name = "auth.logout", skip_all)]
    pub(crate) async fn logout(
        &self,
        token: Option<SecretString>,
        caller: Option<Caller>,
    ) -> Result<(), AuthError> {
        let by_token = token
            .and_then(|text| self.mint.read(&text))
            .map(|token| token.session);
        match by_token.or(caller.map(|caller| caller.session)) {
            Some(session) => self.end_any(session).await.map(drop),
            None => Ok(()),
        }
    }

    /// The caller's living sessions, the newest first.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Listed<Session>, AuthError> {
        let before = page.after_array()?.map(SessionId::from_bytes);
        let read = self.store.entities().read();
        let limit = page.size as u64 + 1;
        let found = session::living(read, caller.user, self.clock.now(), before, limit).await?;
        Ok(page.cut(found, |session| session.id.bytes().to_vec()))
    }

    /// Ends one of the caller's sessions. One that has ended already stays so.
    #[tracing::instrument(name = "auth.end_session", skip_all)]
    pub(crate) async fn end(&self, caller: &Caller, id: SessionId) -> Result<(), AuthError> {
        let found = session::load(self.store.entities().read(), id).await?;
        if found.is_none_or(|session| session.user != caller.user) {
            return Err(AuthError::NotFound("session"));
        }
        self.end_any(id).await
    }

    /// Ends all living sessions of a user but one, inside a transaction.
    pub(crate) async fn end_others_in(
        &self,
        write: &Write,
        user: UserId,
        but: SessionId,
    ) -> Result<(), AuthError> {
        let living = session::lock_living(write, user, self.clock.now()).await?;
        for other in living.iter().filter(|session| session.id != but) {
            session::end(write, self.moment(), other).await?;
        }
        Ok(())
    }

    /// Ends the sessions whose time has come, so that it is told like any other end. Returns how many.
    pub(crate) async fn end_overdue(&self) -> Result<usize, AuthError> {
        let now = self.clock.now();
        // Nearly always there are none, and no transaction is needed to see that.
        if !session::is_overdue(self.store.entities().read(), now).await? {
            return Ok(0);
        }
        let ended = self.store.write(async |write: &Write| {
            let overdue = session::lock_overdue(write, now, TOGETHER).await?;
            for session in &overdue {
                session::end(write, self.moment(), session).await?;
            }
            Ok(overdue.len())
        });
        let ended = ended.await?;
        self.catch_up().await;
        Ok(ended)
    }

    /// Applies what was just changed to this process's rights, so that it holds with the answer.
    pub(crate) async fn catch_up(&self) {
        if let Err(error) = self.access.catch_up().await {
            warn!(%error, "rights in this process follow later");
        }
    }

    async fn end_any(&self, id: SessionId) -> Result<(), AuthError> {
        let end = self.store.write(async |write: &Write| {
            if let Some(session) = session::lock(write, id).await? {
                session::end(write, self.moment(), &session).await?;
            }
            Ok(())
        });
        end.await?;
        self.catch_up().await;
        Ok(())
    }

    /// Hashes a password anew by today's settings. The sign-in does not fail for it: the next one tries again.
    async fn rehash(&self, user: UserId, seen: String, password: SecretString) {
        let anew = async {
            let hash = self.hashers.hash(NewPassword::known(password)).await?;
            self.store
                .write(async |write: &Write| {
                    Ok(account::replace_hash(write, user, &seen, hash.clone()).await?)
                })
                .await
        };
        if let Err(error) = anew.await {
            warn!(%user, %error, "a password was not hashed anew");
        }
    }

    fn signed_in(
        &self,
        account: Account,
        session: Session,
        token: &RefreshToken,
    ) -> Result<SignedIn, AuthError> {
        let access = self
            .mint
            .access(session.user, token, session.used_at, session.ends_at)?;
        Ok(SignedIn {
            account,
            access,
            refresh: self.mint.write(token),
            session,
        })
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            at: self.clock.now(),
            ids: self.ids.as_ref(),
        }
    }
}

/// What became of a refresh token.
enum Traded {
    Next(Box<SignedIn>),
    Refused,
    Reused,
}
