//! What people call themselves and their spaces. Each name knows the key by which it is unique or found.

use guildhall_kernel::name::fold;

/// The text is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(&'static str);

/// The unique name: letters, digits, dot, dash and underscore, 2 to 50 characters, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Takes what its owner chose.
    ///
    /// # Errors
    /// [`BadName`] where it has another shape.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let fits = (2..=50).contains(&text.len());
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let begins = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        if fits && plain && begins {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName(
                "must be 2 to 50 letters, digits, dots, dashes or underscores, beginning with a letter or digit",
            ))
        }
    }

    /// The name as its owner spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is unique by.
    pub fn key(&self) -> String {
        fold(&self.0)
    }
}

/// An e-mail address of at most 254 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Takes an address. Whether it receives anything, only a letter can tell.
    ///
    /// # Errors
    /// [`BadName`] where it has not the shape of one.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let shaped = text.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
        let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if shaped && plain && text.len() <= 254 {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName("must be an e-mail address"))
        }
    }

    /// The address as its owner spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is unique by.
    pub fn key(&self) -> String {
        fold(&self.0)
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

/// How somebody names the account they sign in to. Any text: whether there is such an account is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// By its address.
    Email(String),
    /// By its username.
    Username(String),
}

impl Login {
    /// What the account is looked up by.
    pub fn key(&self) -> String {
        match self {
            Self::Email(text) | Self::Username(text) => fold(text),
        }
    }
}

/// One line of text without control characters and outer white space.
fn line(text: &str, longest: usize, wrong: &'static str) -> Result<String, BadName> {
    let text = text.trim();
    if text.chars().any(char::is_control) || text.chars().count() > longest {
        return Err(BadName(wrong));
    }
    Ok(text.to_owned())
}

/// The name to show, at most 100 characters; empty: the username.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Takes what its owner chose; `None` and blanks are the username.
    ///
    /// # Errors
    /// [`BadName`] where it is too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        line(text, 100, "must be one line of at most 100 characters").map(Self)
    }

    /// The name to show for somebody with this username.
    pub fn or(&self, username: &str) -> String {
        if self.0.is_empty() {
            username.to_owned()
        } else {
            self.0.clone()
        }
    }
}

/// The words of a name with blanks around each, in the form in which they are searched: `" jean luc "` for "Jean-Luc".
pub fn words(name: &str) -> String {
    let folded = fold(name);
    let mut words = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    match words.next() {
        None => String::new(),
        Some(first) => words.fold(format!(" {first} "), |all, word| all + word + " "),
    }
}

/// What somebody is up to, at most 200 characters; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusText(String);

impl StatusText {
    /// Takes what its owner wrote.
    ///
    /// # Errors
    /// [`BadName`] where it is too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        line(text, 200, "must be one line of at most 200 characters").map(Self)
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// The name of a team, 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceName(String);

impl SpaceName {
    /// Takes what somebody chose.
    ///
    /// # Errors
    /// [`BadName`] where it is blank, too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        const WRONG: &str = "must be one line of 1 to 100 characters";
        let text = line(text, 100, WRONG)?;
        if text.is_empty() {
            Err(BadName(WRONG))
        } else {
            Ok(Self(text))
        }
    }

    /// The name.
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_plain_and_unique_in_any_case() {
        for text in ["a", "-ab", ".ab", "a b", "ä1", "", &"a".repeat(51)] {
            assert!(Username::parse(text).is_err(), "{text}");
        }
        let name = Username::parse("Alice.B-1_x").expect("good");
        assert_eq!(
            (name.as_str(), name.key()),
            ("Alice.B-1_x", "alice.b-1_x".to_owned())
        );
    }

    #[test]
    fn an_address_has_two_sides() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b@c d",
            &format!("{}@b", "a".repeat(254)),
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
        let email = Email::parse("Al.Ice@Example.org").expect("good");
        assert_eq!(
            (email.key().as_str(), email.local()),
            ("al.ice@example.org", "Al.Ice")
        );
    }

    #[test]
    fn lines_are_trimmed_and_bounded() {
        assert_eq!(
            SpaceName::parse("  The team ").map(SpaceName::into_string),
            Ok("The team".into())
        );
        for text in ["", " ", "a\nb", &"ü".repeat(101)] {
            assert!(SpaceName::parse(text).is_err(), "{text}");
        }
        assert_eq!(DisplayName::parse(" ").expect("good").or("alice"), "alice");
        assert!(StatusText::parse(&"ü".repeat(200)).is_ok());
    }

    #[test]
    fn words_are_found_in_any_spelling() {
        assert_eq!(words("Jean-Luc  PICARD"), " jean luc picard ");
        assert_eq!(words("--"), "");
    }
}
