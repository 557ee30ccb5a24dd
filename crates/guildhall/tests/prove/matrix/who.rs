//! Who calls.

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Anonymous,
    Stranger,
    Guest,
    Member,
    Moderator,
    Owner,
    Former,
    SignedOut,
    Expired,
}

impl Who {
    /// All of them, in the order of the table's columns.
    pub(crate) const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Stranger,
        Self::Guest,
        Self::Member,
        Self::Moderator,
        Self::Owner,
        Self::Former,
        Self::SignedOut,
        Self::Expired,
    ];
    /// Those with a good token.
    pub(crate) const SIGNED_IN: [Self; 6] = [
        Self::Stranger,
        Self::Guest,
        Self::Member,
        Self::Moderator,
        Self::Owner,
        Self::Former,
    ];
}
