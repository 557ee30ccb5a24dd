//! How a repeated call is known.

/// What a client calls one create or post, so that repeating it does nothing. 1 to 128 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 printable ASCII characters")]
pub struct BadKey;

impl Key {
    /// Takes a client's text.
    ///
    /// # Errors
    /// [`BadKey`] where it is empty, too long, or not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let fits = (1..=128).contains(&text.len());
        let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if fits && plain {
            Ok(Self(text.into()))
        } else {
            Err(BadKey)
        }
    }

    /// The text as the client gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printable_and_not_too_long() {
        assert!(Key::parse("a").is_ok());
        assert!(Key::parse(&"k".repeat(128)).is_ok());
        for text in ["", "a\nb", "ü", &"k".repeat(129)] {
            assert_eq!(Key::parse(text), Err(BadKey), "{text:?}");
        }
    }
}
