//! When two names are the same.

use unicode_normalization::UnicodeNormalization;

/// The form in which names are compared: compatibility-composed (NFKC), lower case, composed once more, without outer white
/// space. Stored beside the name as its unique key.
pub fn fold(name: &str) -> String {
    name.trim()
        .nfkc()
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_to_one_key() {
        assert_eq!(fold("  Straße "), fold("STRAßE"));
        assert_eq!(fold("ﬁnance"), "finance");
        assert_eq!(fold("e\u{301}cole"), fold("ÉCOLE"));
        assert_ne!(fold("general"), fold("general2"));
    }
}
