//! Which new passwords are taken: long enough, not among the common ones, not made of the owner's names. No rules of composition.

use std::{collections::HashSet, sync::LazyLock};

use guildhall_kernel::name::fold;
use secrecy::{ExposeSecret as _, SecretString};

use crate::AuthError;

/// The shortest, in characters.
const SHORTEST: usize = 8;
/// The longest, in characters.
const LONGEST: usize = 256;
/// Names shorter than this are parts of too many words to mean anything.
const NAME: usize = 3;

/// Words, names and patterns that stand at the head of every published list of stolen passwords, one a line, folded.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common.txt").lines().collect());
/// What fingers walk along.
const ROWS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujmikolp",
];

/// A password to be. Kept out of every log.
#[derive(Debug)]
pub(crate) struct NewPassword {
    field: &'static str,
    text: SecretString,
}

impl NewPassword {
    /// Judges what came in `field`; `names` are what the password must not be made of.
    ///
    /// # Errors
    /// [`AuthError::BadField`] for its length, [`AuthError::PasswordWeak`] where it is easy to guess.
    pub(crate) fn parse(
        field: &'static str,
        text: SecretString,
        names: &[&str],
    ) -> Result<Self, AuthError> {
        let length = text.expose_secret().chars().count();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(AuthError::bad_field(field, "must be 8 to 256 characters"));
        }
        match weakness(text.expose_secret(), names) {
            Some(wrong) => Err(AuthError::PasswordWeak { field, wrong }),
            None => Ok(Self { field, text }),
        }
    }

    /// A password that was taken before, to be hashed anew: it is not judged again.
    pub(crate) fn known(text: SecretString) -> Self {
        Self {
            field: "password",
            text,
        }
    }

    pub(super) fn text(&self) -> &str {
        self.text.expose_secret()
    }

    pub(super) fn field(&self) -> &'static str {
        self.field
    }
}

fn weakness(password: &str, names: &[&str]) -> Option<&'static str> {
    let folded = fold(password);
    if is_common(&folded) {
        return Some("is among the common passwords");
    }
    let mut left = folded;
    for name in names
        .iter()
        .map(|name| fold(name))
        .filter(|name| name.len() >= NAME)
    {
        left = left.replace(&name, "");
    }
    // Nothing was taken out of most; of the others enough must be left to guess.
    let enough = left.chars().count() >= SHORTEST && !is_common(&left);
    (!enough).then_some("is made of a name")
}

fn is_common(folded: &str) -> bool {
    let plain = unmasked(folded);
    [folded, plain.as_str()].into_iter().any(|text| {
        let core = text.trim_matches(|c: char| !c.is_alphabetic());
        COMMON.contains(text)
            || COMMON.contains(core)
            || is_walk(text)
            || is_walk(core)
            || is_repeated(text)
    })
}

/// Undoes what people do to words: `p@ssw0rd` is `password`.
fn unmasked(text: &str) -> String {
    // Digits at the end are rather a year or a count than letters.
    let core = text.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    let plain = core.chars().map(|c| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    });
    plain.collect()
}

/// Keys that lie in a row, forwards or backwards, with little else.
fn is_walk(text: &str) -> bool {
    if text.len() < 4 {
        return text.is_empty();
    }
    let backwards: String = text.chars().rev().collect();
    ROWS.iter()
        .any(|row| row.contains(text) || row.contains(&backwards))
}

/// One piece of up to four letters over and over.
fn is_repeated(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=4).any(|size| {
        letters
            .iter()
            .zip(letters.iter().skip(size))
            .all(|(a, b)| a == b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<NewPassword, AuthError> {
        NewPassword::parse(
            "password",
            text.to_owned().into(),
            &["alice.b", "alice", "Guildhall"],
        )
    }

    #[test]
    fn common_passwords_and_their_disguises_are_refused() {
        for text in [
            "password",
            "Password1",
            "P@ssw0rd!",
            "passw0rd2024",
            "iloveyou",
            "qwertyuiop",
            "12345678",
            "87654321",
            "abcdefgh",
            "aaaaaaaa",
            "abcabcabc",
            "Dragon1999",
            "letmein!!",
            "1q2w3e4r5t",
            "trustno1",
            "sunshine12",
            "football123",
            "welcome2024!",
            "admin123",
            "zaq12wsx",
        ] {
            assert!(
                matches!(judge(text), Err(AuthError::PasswordWeak { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_made_of_a_name_is_refused() {
        for text in [
            "alice2024!",
            "ALICE-ALICE-1",
            "guildhall42",
            "AliceGuildhall",
        ] {
            assert!(
                matches!(judge(text), Err(AuthError::PasswordWeak { .. })),
                "{text}"
            );
        }
        assert!(judge("alice rides a red tandem").is_ok());
    }

    #[test]
    fn anything_else_is_taken_without_rules_of_composition() {
        for text in [
            "violet tram hums",
            "correct horse battery staple",
            "пароль из пяти слов",
            "xK9!vQ2#mL",
            "dragonfly-lantern",
            &"w0rds and more ".repeat(17),
        ] {
            assert!(judge(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn too_short_and_too_long_are_bad_fields() {
        for text in ["xK9!vQ2", &"x9 ".repeat(86)] {
            assert!(
                matches!(judge(text), Err(AuthError::BadField { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn the_list_is_folded_and_each_line_counts_once() {
        let lines: Vec<_> = include_str!("common.txt").lines().collect();
        assert_eq!(lines.len(), COMMON.len());
        assert!(
            lines
                .iter()
                .all(|line| fold(line) == *line && !line.is_empty())
        );
        assert!(lines.len() >= 900, "{}", lines.len());
    }
}
