//! Which services a process is made of.

use std::fmt;

use guildhall_mesh::config::BadSettings;

/// One service of a hall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Accounts, sessions, spaces.
    Auth,
    /// Channels and messages.
    Chat,
    /// What browsers and apps talk to.
    Gateway,
}

impl Role {
    /// All of them, each after those that it calls.
    pub const ALL: [Self; 3] = [Self::Auth, Self::Chat, Self::Gateway];

    /// Its name in settings, certificates and options of the protos.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => svc_auth::NAME,
            Self::Chat => svc_chat::NAME,
            Self::Gateway => "gateway",
        }
    }

    /// Who calls it, by name, and nobody else: the one table of it. A process is given these links and refuses calls over any other.
    pub const fn callers(self) -> &'static [&'static str] {
        match self {
            Self::Auth => const { &[Self::Chat.name(), Self::Gateway.name()] },
            Self::Chat => const { &[Self::Gateway.name()] },
            Self::Gateway => &[],
        }
    }

    /// Whether it may call another one.
    pub fn may_call(self, other: Self) -> bool {
        other.callers().contains(&self.name())
    }
}

/// The services of one process; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// What stands for all of them.
    pub const EVERY: &str = "all";

    /// Reads "all", or names with commas between them.
    ///
    /// # Errors
    /// A sentence about setting `roles`.
    pub fn parse(text: &str) -> Result<Self, BadSettings> {
        if text.trim() == Self::EVERY {
            return Ok(Self(Role::ALL.to_vec()));
        }
        let mut named = Vec::new();
        for name in text.split(',').map(str::trim) {
            let role = Role::ALL.into_iter().find(|role| role.name() == name);
            let role = role.ok_or_else(|| {
                let known = Role::ALL.map(Role::name).join(", ");
                let wrong = format!("names {name:?}; there are {known}, and \"all\"");
                BadSettings::new("roles", wrong)
            })?;
            if named.contains(&role) {
                return Err(BadSettings::new("roles", format!("names {name} twice")));
            }
            named.push(role);
        }
        Ok(Self(named))
    }

    /// Whether a service is one of this process's.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether the process is a hall by itself.
    pub fn are_all(&self) -> bool {
        Role::ALL.into_iter().all(|role| self.has(role))
    }

    /// Those of the process, each after those that it calls.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| self.has(*role))
    }

    /// The services that those of this process call and that are elsewhere.
    pub fn elsewhere(&self) -> impl Iterator<Item = Role> {
        let called = |role: Role| self.iter().any(|caller| caller.may_call(role));
        Role::ALL
            .into_iter()
            .filter(move |role| called(*role) && !self.has(*role))
    }

    /// The services of this process that others call which may not be in it.
    pub fn called_from_outside(&self) -> impl Iterator<Item = Role> {
        let absent = |role: Role| {
            let callers = Role::ALL.into_iter().filter(move |one| one.may_call(role));
            callers.filter(|caller| !self.has(*caller)).count() > 0
        };
        self.iter().filter(move |role| absent(*role))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Role::name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(text: &str) -> Roles {
        Roles::parse(text).expect("roles")
    }

    #[test]
    fn roles_are_named_in_any_order_and_all_stands_for_all() {
        assert_eq!(roles("gateway, auth").to_string(), "auth,gateway");
        assert!(roles("all").are_all() && roles("gateway,chat,auth").are_all());
        assert!(!roles("chat").are_all());
    }

    #[test]
    fn what_is_no_role_is_refused_by_name() {
        for (text, word) in [
            ("", "\"\""),
            ("chat,", "\"\""),
            ("task", "task"),
            ("chat,chat", "twice"),
        ] {
            let refused = Roles::parse(text).expect_err(text).to_string();
            assert!(
                refused.starts_with("setting roles: ") && refused.contains(word),
                "{refused}"
            );
        }
    }

    #[test]
    fn whom_a_process_calls_elsewhere_follows_from_its_roles() {
        let elsewhere = |text| roles(text).elsewhere().map(Role::name).collect::<Vec<_>>();
        let called = |text| {
            let roles = roles(text);
            roles
                .called_from_outside()
                .map(Role::name)
                .collect::<Vec<_>>()
        };

        assert_eq!(elsewhere("gateway"), ["auth", "chat"]);
        assert_eq!(elsewhere("chat"), ["auth"]);
        assert!(elsewhere("auth").is_empty() && elsewhere("all").is_empty());
        assert_eq!(called("auth,chat"), ["auth", "chat"]);
        assert_eq!(called("gateway,auth"), ["auth"]);
        assert!(called("gateway,chat").is_empty() && called("gateway").is_empty());
    }
}
