//! How lists are cut into pages.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Which page of a list.
///
/// A token holds nothing but the place where the page before ended, so it is not secret and needs no signature: the right to
/// read is asked anew with every page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many items at most, 1 to 100.
    pub size: usize,
    /// The list's own key of the last item of the page before; `None` for the first page.
    pub after: Option<Vec<u8>>,
}

/// The text is no token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token that this list gave out")]
pub struct BadToken;

impl Page {
    /// The most that a page holds.
    pub const MOST: usize = 100;
    /// What a page holds where nobody says.
    pub const USUAL: usize = 50;

    /// Reads `page_size` (0: the usual) and `page_token` (empty: the first page).
    ///
    /// # Errors
    /// [`BadToken`] where the token is damaged.
    pub fn parse(size: u32, token: &str) -> Result<Self, BadToken> {
        let after = match token {
            "" => None,
            token => Some(URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?),
        };
        let size = match usize::try_from(size).unwrap_or(Self::MOST) {
            0 => Self::USUAL,
            size => size.min(Self::MOST),
        };
        Ok(Self { size, after })
    }

    /// The place as an array of `N` bytes, for lists keyed by fixed-size ids.
    ///
    /// # Errors
    /// [`BadToken`] where the token is of another list.
    pub fn after_array<const N: usize>(&self) -> Result<Option<[u8; N]>, BadToken> {
        match &self.after {
            None => Ok(None),
            Some(bytes) => bytes.as_slice().try_into().map(Some).map_err(|_| BadToken),
        }
    }

    /// Makes a page of what a store found when asked for one item more than fits.
    pub fn cut<T>(&self, mut found: Vec<T>, key: impl Fn(&T) -> Vec<u8>) -> Listed<T> {
        let more = found.len() > self.size;
        found.truncate(self.size);
        let next = if more {
            found.last().map(|last| URL_SAFE_NO_PAD.encode(key(last)))
        } else {
            None
        };
        Listed {
            items: found,
            next: next.unwrap_or_default(),
        }
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// The token of the next page; empty at the end.
    pub next: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all: Vec<u8> = (0..7).collect();
        let mut seen = Vec::new();
        let mut token = String::new();

        loop {
            let page = Page::parse(3, &token).expect("our own token");
            let from = page
                .after_array::<1>()
                .expect("our own token")
                .map_or(0, |[last]| last + 1);
            let found = all
                .iter()
                .copied()
                .filter(|n| *n >= from)
                .take(page.size + 1)
                .collect();
            let listed = page.cut(found, |n| vec![*n]);
            seen.extend(listed.items);
            token = listed.next;
            if token.is_empty() {
                break;
            }
        }

        assert_eq!(seen, all);
    }

    #[test]
    fn a_damaged_token_is_refused() {
        assert_eq!(Page::parse(0, "!"), Err(BadToken));
        assert_eq!(
            Page::parse(0, "AAAA").expect("base64").after_array::<16>(),
            Err(BadToken)
        );
    }
}
