//! The settings of section `[auth]`, each with its default and a sentence.

use std::time::Duration;

use guildhall_mesh::config::BadSettings;
use serde::{Deserialize, Serialize};

/// Whether strangers may make accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anybody may.
    Open,
    /// Nobody may.
    Closed,
}

/// How new passwords are hashed. Hashes of both kinds are always verified, and replaced at the next sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Argon2id.
    Argon2id,
    /// Bcrypt, for halls that must share hashes with other systems. Passwords above 72 bytes are refused.
    Bcrypt,
}

guildhall_mesh::settings! {
    /// Accounts, sessions and how they are protected.
    pub struct AuthSettings {
        /// Whether strangers may make accounts: "open" or "closed".
        pub registration: Registration = Registration::Open,
        /// What the hall is called; passwords made of it are refused.
        pub hall_name: String = "Guildhall".into(),
        /// How long an access token is good, in minutes; 30 at most.
        pub access_minutes: u64 = 15,
        /// After how many days without a refresh a session ends.
        pub refresh_idle_days: u64 = 7,
        /// After how many days a session ends in any case.
        pub refresh_days: u64 = 30,
        /// After how many days a new key is made that signs access tokens; it signs two minutes later.
        pub key_days: u64 = 30,
        /// How new passwords are hashed: "argon2id" or "bcrypt".
        pub password_scheme: Scheme = Scheme::Argon2id,
        /// Memory of one argon2id hash in KiB; may only be raised.
        pub argon2_memory_kib: u32 = 19_456,
        /// Passes of argon2id; may only be raised.
        pub argon2_passes: u32 = 2,
        /// Lanes of argon2id; may only be raised.
        pub argon2_lanes: u32 = 1,
        /// Cost of bcrypt; 12 to 14.
        pub bcrypt_cost: u32 = 12,
        /// How many passwords are hashed at once; 0: as many as there are cores.
        pub hash_threads: usize = 0,
        /// How many more wait for that; further ones are refused as busy.
        pub hash_queue: usize = 32,
        /// How many failed tries at an account pass before the next ones must wait.
        pub account_free_tries: u32 = 5,
        /// The longest wait between tries at an account, in seconds. Short, so that nobody can lock another one out.
        pub account_longest_wait_seconds: u64 = 30,
        /// How many failed tries from one address pass before the next ones must wait.
        pub address_free_tries: u32 = 30,
        /// The longest wait between tries from one address, in seconds.
        pub address_longest_wait_seconds: u64 = 900,
        /// How many failed tries a minute the whole hall takes before only known devices get in.
        pub hall_tries_per_minute: u32 = 600,
    }
}

impl AuthSettings {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`BadSettings`] names the setting and says what to do.
    pub fn check(&self) -> Result<(), BadSettings> {
        let within = |key: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(BadSettings::new(
                &format!("auth.{key}"),
                format_args!("{value} is not between {least} and {most}"),
            ))
        };
        within("access_minutes", self.access_minutes, 1, 30)?;
        within("refresh_days", self.refresh_days, 1, 365)?;
        within(
            "refresh_idle_days",
            self.refresh_idle_days,
            1,
            self.refresh_days,
        )?;
        within("key_days", self.key_days, 1, 365)?;
        within(
            "argon2_memory_kib",
            self.argon2_memory_kib.into(),
            19_456,
            1 << 20,
        )?;
        within("argon2_passes", self.argon2_passes.into(), 2, 16)?;
        within("argon2_lanes", self.argon2_lanes.into(), 1, 16)?;
        within("bcrypt_cost", self.bcrypt_cost.into(), 12, 14)?;
        within(
            "account_free_tries",
            self.account_free_tries.into(),
            1,
            1_000_000,
        )?;
        within(
            "address_free_tries",
            self.address_free_tries.into(),
            1,
            1_000_000,
        )?;
        within(
            "account_longest_wait_seconds",
            self.account_longest_wait_seconds,
            1,
            3_600,
        )?;
        within(
            "address_longest_wait_seconds",
            self.address_longest_wait_seconds,
            1,
            86_400,
        )
    }

    /// How long an access token is good.
    pub fn access_time(&self) -> Duration {
        Duration::from_secs(self.access_minutes * 60)
    }

    /// How long a session lives without a refresh.
    pub fn idle_time(&self) -> Duration {
        days(self.refresh_idle_days)
    }

    /// How long a session lives at most.
    pub fn session_time(&self) -> Duration {
        days(self.refresh_days)
    }

    /// How long a key signs.
    pub fn key_time(&self) -> Duration {
        days(self.key_days)
    }
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fine_and_weaker_hashes_are_refused_by_name() {
        assert!(AuthSettings::default().check().is_ok());

        let weak = AuthSettings {
            argon2_memory_kib: 1_024,
            ..AuthSettings::default()
        };

        let refused = weak.check().expect_err("weak").to_string();
        assert!(refused.contains("auth.argon2_memory_kib"), "{refused}");
    }

    #[test]
    fn an_access_token_lives_half_an_hour_at_most() {
        let long = AuthSettings {
            access_minutes: 31,
            ..AuthSettings::default()
        };

        assert!(long.check().is_err());
    }
}
