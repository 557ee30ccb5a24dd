//! Hashes that other systems made.

/// A hash from another system was not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a bcrypt hash ($2a$, $2b$ or $2y$, cost 4 to 14) and not an argon2id one")]
pub(crate) struct BadHash;

/// Takes over a hash that another system made. The password is hashed by our own settings at the next sign-in.
///
/// # Errors
/// [`BadHash`] where it is of another kind, malformed, or would keep a core busy for minutes.
pub(crate) fn imported(hash: &str) -> Result<String, BadHash> {
    let sound = if is_bcrypt(hash) {
        let cost = hash.get(4..6).and_then(|cost| cost.parse().ok());
        hash.is_ascii()
            && hash.len() == 60
            && cost.is_some_and(|cost: u32| (4..=14).contains(&cost))
            && hash.parse::<bcrypt::HashParts>().is_ok()
    } else {
        hash.starts_with("$argon2id$") && is_bearable(hash)
    };
    if sound {
        Ok(hash.to_owned())
    } else {
        Err(BadHash)
    }
}

/// Whether a PHC string asks for no more than a sign-in may cost.
fn is_bearable(hash: &str) -> bool {
    let cost = |name: &str| {
        let params = hash.split('$').nth(3)?;
        let value = params
            .split(',')
            .find_map(|param| param.strip_prefix(name))?;
        value.strip_prefix('=')?.parse::<u32>().ok()
    };
    let within = |name: &str, most: u32| cost(name).is_some_and(|cost| (1..=most).contains(&cost));
    argon2::PasswordHash::new(hash).is_ok()
        && within("m", 1 << 18)
        && within("t", 16)
        && within("p", 16)
}

/// Whether a hash is one of bcrypt.
pub(super) fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|prefix| hash.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_other_systems_are_taken_only_where_they_are_bearable() {
        let bcrypt = "$2y$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";
        assert!(imported(bcrypt).is_ok());
        assert!(imported(&bcrypt.replace("$12$", "$31$")).is_err());
        assert!(imported(&bcrypt.replace("$12$", "$03$")).is_err());
        assert!(imported(&bcrypt.replace('L', "ü")).is_err());
        assert!(imported(&bcrypt[..59]).is_err());
        assert!(imported("5f4dcc3b5aa765d61d8327deb882cf99").is_err());
        let argon = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0$\
                     RdescudvJCsgt3ub+b/dWRWJTmaaJObG";
        assert!(imported(argon).is_ok());
        assert!(imported(&argon.replace("m=19456", "m=4194304")).is_err());
    }
}
