//! Faults for proofs: each takes one guard of this engine away, and a proof that stays green then proves nothing.
//!
//! Outside the cargo feature `sabotage` there is no way to make any value but "none", and every question below is answered by a
//! constant.

/// Which guards are off: none, in the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults(u8);

const IGNORES_CLOSED: u8 = 1;
const SHOWS_PENDING: u8 = 2;
const FORGETS_UNTOLD: u8 = 4;
const KEYS_BEFORE_HEAD: u8 = 8;

#[cfg(feature = "sabotage")]
impl Faults {
    /// Leaves `closed` out of the condition under which a batch goes through.
    pub const IGNORES_CLOSED: Self = Self(IGNORES_CLOSED);
    /// Shows changes that their message does not carry yet, and leaves them like that.
    pub const SHOWS_PENDING: Self = Self(SHOWS_PENDING);
    /// Tells only what is committed from now on, never what another process left untold.
    pub const FORGETS_UNTOLD: Self = Self(FORGETS_UNTOLD);
    /// After a lost race takes the new head without looking at the keys that came with it.
    pub const KEYS_BEFORE_HEAD: Self = Self(KEYS_BEFORE_HEAD);

    /// The fault of this name: `ignores-closed`, `shows-pending`, `forgets-untold`, `keys-before-head`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ignores-closed" => Some(Self::IGNORES_CLOSED),
            "shows-pending" => Some(Self::SHOWS_PENDING),
            "forgets-untold" => Some(Self::FORGETS_UNTOLD),
            "keys-before-head" => Some(Self::KEYS_BEFORE_HEAD),
            _ => None,
        }
    }
}

impl Faults {
    pub(super) const fn ignores_closed(self) -> bool {
        self.has(IGNORES_CLOSED)
    }

    pub(super) const fn shows_pending(self) -> bool {
        self.has(SHOWS_PENDING)
    }

    pub(super) const fn forgets_untold(self) -> bool {
        self.has(FORGETS_UNTOLD)
    }

    pub(super) const fn keys_before_head(self) -> bool {
        self.has(KEYS_BEFORE_HEAD)
    }

    const fn has(self, fault: u8) -> bool {
        cfg!(feature = "sabotage") && self.0 & fault != 0
    }
}
