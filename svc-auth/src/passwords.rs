//! Hashes and checks passwords on a few threads of their own, so that nothing else waits for it, and judges new ones.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use guildhall_kernel::Ids;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, TryAcquireError};

use crate::{
    AuthError,
    config::{AuthSettings, Scheme},
};

mod imported;
mod policy;

pub(crate) use imported::imported;
pub(crate) use policy::NewPassword;

use imported::is_bcrypt;

/// The longest password that bcrypt looks at in full, in bytes.
const BCRYPT_LONGEST: usize = 72;

/// Hashes passwords. At most `hash_threads` at once and `hash_queue` waiting; one more is refused.
pub(crate) struct Hashers {
    scheme: Scheme,
    params: Params,
    bcrypt_cost: u32,
    ids: Arc<dyn Ids>,
    /// How many may run; held by the hashing thread itself, also when its caller has gone away.
    running: Arc<Semaphore>,
    /// How many may run or wait.
    admitted: Arc<Semaphore>,
    /// A hash that no account has: who names no account is checked against it, and takes as long.
    nobodys: String,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another password.
    Wrong,
    /// The password.
    Right,
    /// The password, but hashed by other settings than today's: hash it anew.
    RightButStale,
}

impl Hashers {
    /// Prepares to hash by these settings.
    pub(crate) fn new(settings: &AuthSettings, ids: Arc<dyn Ids>) -> Result<Self, AuthError> {
        let params = Params::new(
            settings.argon2_memory_kib,
            settings.argon2_passes,
            settings.argon2_lanes,
            None,
        );
        let threads = match settings.hash_threads {
            0 => available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        Ok(Self {
            nobodys: nobodys(settings),
            scheme: settings.password_scheme,
            params: params.map_err(|error| AuthError::Hashing(error.to_string()))?,
            bcrypt_cost: settings.bcrypt_cost,
            ids,
            running: Arc::new(Semaphore::new(threads)),
            admitted: Arc::new(Semaphore::new(threads + settings.hash_queue)),
        })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: NewPassword) -> Result<String, AuthError> {
        let recipe = self.recipe();
        if recipe.scheme == Scheme::Bcrypt && password.text().len() > BCRYPT_LONGEST {
            let wrong = "must be at most 72 bytes on this hall";
            return Err(AuthError::bad_field(password.field(), wrong));
        }
        self.work(move || recipe.hash(password.text().as_bytes()))
            .await?
    }

    /// Compares a password with a kept hash.
    pub(crate) async fn check(
        &self,
        password: SecretString,
        hash: String,
    ) -> Result<Verdict, AuthError> {
        let recipe = self.recipe();
        self.work(move || recipe.check(password.expose_secret().as_bytes(), &hash))
            .await
    }

    /// Takes as long as a check and finds the password wrong: for an account that is not there.
    pub(crate) async fn check_nobody(&self, password: SecretString) -> Result<Verdict, AuthError> {
        self.check(password, self.nobodys.clone())
            .await
            .map(|_| Verdict::Wrong)
    }

    fn recipe(&self) -> Recipe {
        let mut salt = [0; 16];
        self.ids.random(&mut salt);
        Recipe {
            scheme: self.scheme,
            params: self.params.clone(),
            bcrypt_cost: self.bcrypt_cost,
            salt,
        }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let admitted = match self.admitted.clone().try_acquire_owned() {
            Ok(admitted) => admitted,
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                return Err(AuthError::HashersBusy);
            }
        };
        let running = self.running.clone().acquire_owned().await;
        let running = running.map_err(|_| AuthError::HashersBusy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((running, admitted));
            done
        });
        done.await
            .map_err(|error| AuthError::Hashing(error.to_string()))
    }
}

/// A hash by today's settings. What it is of does not matter: a check against it is never right.
fn nobodys(settings: &AuthSettings) -> String {
    let AuthSettings {
        argon2_memory_kib: m,
        argon2_passes: t,
        argon2_lanes: p,
        ..
    } = settings;
    match settings.password_scheme {
        Scheme::Argon2id => {
            let (salt, output) = ("A".repeat(22), "A".repeat(43));
            format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${output}")
        }
        Scheme::Bcrypt => format!("$2b${:02}${}", settings.bcrypt_cost, ".".repeat(53)),
    }
}

/// How one password is hashed.
struct Recipe {
    scheme: Scheme,
    params: Params,
    bcrypt_cost: u32,
    salt: [u8; 16],
}

impl Recipe {
    fn hash(&self, password: &[u8]) -> Result<String, AuthError> {
        match self.scheme {
            Scheme::Argon2id => {
                let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
                let hash = argon.hash_password_with_salt(password, &self.salt);
                hash.map(|hash| hash.to_string())
                    .map_err(|error| AuthError::Hashing(error.to_string()))
            }
            Scheme::Bcrypt => {
                let hash =
                    bcrypt::non_truncating_hash_with_salt(password, self.bcrypt_cost, self.salt);
                hash.map(|hash| hash.format_for_version(bcrypt::Version::TwoB))
                    .map_err(|error| AuthError::Hashing(error.to_string()))
            }
        }
    }

    fn check(&self, password: &[u8], hash: &str) -> Verdict {
        let right = if is_bcrypt(hash) {
            // Longer ones were never hashed, so they are wrong; the library says so by an error.
            bcrypt::non_truncating_verify(password, hash).unwrap_or(false)
        } else {
            Argon2::default().verify_password(password, hash).is_ok()
        };
        match right {
            false => Verdict::Wrong,
            true if self.is_todays(hash) => Verdict::Right,
            true => Verdict::RightButStale,
        }
    }

    /// Whether a hash is what this recipe would make.
    fn is_todays(&self, hash: &str) -> bool {
        match self.scheme {
            Scheme::Argon2id => {
                let (m, t, p) = (
                    self.params.m_cost(),
                    self.params.t_cost(),
                    self.params.p_cost(),
                );
                hash.starts_with(&format!("$argon2id$v=19$m={m},t={t},p={p}$"))
            }
            Scheme::Bcrypt => hash.starts_with(&format!("$2b${:02}$", self.bcrypt_cost)),
        }
    }
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::SystemIds;

    use super::*;

    fn hashers(settings: &AuthSettings) -> Hashers {
        Hashers::new(settings, Arc::new(SystemIds)).expect("good settings")
    }

    fn new(text: &str) -> NewPassword {
        NewPassword::parse("password", text.to_owned().into(), &[]).expect("strong")
    }

    #[tokio::test]
    async fn a_password_is_right_and_another_is_wrong() {
        let hashers = hashers(&AuthSettings::default());

        let hash = hashers
            .hash(new("violet tram 42 hums"))
            .await
            .expect("hashes");

        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let right = hashers
            .check("violet tram 42 hums".to_owned().into(), hash.clone())
            .await;
        let wrong = hashers
            .check("violet tram 42 hum".to_owned().into(), hash)
            .await;
        assert_eq!(
            (right.expect("checks"), wrong.expect("checks")),
            (Verdict::Right, Verdict::Wrong)
        );
    }

    #[tokio::test]
    async fn a_hash_by_other_settings_is_right_but_stale() {
        let dearer = AuthSettings {
            argon2_passes: 3,
            ..AuthSettings::default()
        };
        let hash = hashers(&dearer)
            .hash(new("violet tram 42 hums"))
            .await
            .expect("hashes");

        let todays = hashers(&AuthSettings::default());
        let found = todays
            .check("violet tram 42 hums".to_owned().into(), hash)
            .await;

        assert_eq!(found.expect("checks"), Verdict::RightButStale);
    }

    #[tokio::test]
    async fn bcrypt_refuses_what_it_would_cut() {
        let settings = AuthSettings {
            password_scheme: Scheme::Bcrypt,
            ..AuthSettings::default()
        };
        let hashers = hashers(&settings);

        let refused = hashers.hash(new(&"violet tram ".repeat(7))).await;
        let hash = hashers
            .hash(new("violet tram 42 hums"))
            .await
            .expect("hashes");

        assert!(
            matches!(refused, Err(AuthError::BadField { .. })),
            "{refused:?}"
        );
        assert!(hash.starts_with("$2b$12$"), "{hash}");
        let long = hashers.check("violet tram ".repeat(7).into(), hash).await;
        assert_eq!(long.expect("checks"), Verdict::Wrong);
    }

    #[tokio::test]
    async fn nobody_is_checked_with_the_same_work() {
        for scheme in [Scheme::Argon2id, Scheme::Bcrypt] {
            let settings = AuthSettings {
                password_scheme: scheme,
                ..AuthSettings::default()
            };
            let hashers = hashers(&settings);

            let found = hashers
                .check_nobody("violet tram 42 hums".to_owned().into())
                .await;

            assert_eq!(found.expect("checks"), Verdict::Wrong);
            // A malformed hash would be found wrong at once, without the work.
            assert!(
                hashers.recipe().is_todays(&hashers.nobodys),
                "{}",
                hashers.nobodys
            );
            let is_sound = match scheme {
                Scheme::Argon2id => argon2::PasswordHash::new(&hashers.nobodys).is_ok(),
                Scheme::Bcrypt => bcrypt::non_truncating_verify("x", &hashers.nobodys).is_ok(),
            };
            assert!(is_sound, "{}", hashers.nobodys);
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let settings = AuthSettings {
            hash_threads: 1,
            hash_queue: 1,
            ..AuthSettings::default()
        };
        let hashers = hashers(&settings);
        let held = hashers.running.clone().acquire_owned().await.expect("open");
        let waiting = hashers.hash(new("violet tram 42 hums"));
        let also = hashers.hash(new("violet tram 42 hums"));
        let third = hashers.hash(new("violet tram 42 hums"));

        let refused = async {
            let refused = third.await;
            drop(held);
            refused
        };
        let (first, second, refused) = tokio::join!(waiting, also, refused);

        assert!(first.is_ok() && second.is_ok());
        assert!(
            matches!(refused, Err(AuthError::HashersBusy)),
            "{refused:?}"
        );
    }
}
