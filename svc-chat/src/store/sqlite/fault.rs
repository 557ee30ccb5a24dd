//! Faults for proofs. A proof that stays green when its guard is taken away proves nothing: each of these takes one guard away.
//!
//! Outside the cargo feature `sabotage` there is no way to make any value but "none", and every question below is answered by a
//! constant. The product is never built with it, and no other crate of the workspace may ask for it in its dependencies: one build
//! command unites the features of all it builds.

/// Which guards are off: none, in the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults(u8);

const ANSWERS_EARLY: u8 = 1;
const FORGETS_KEYS: u8 = 2;
const UNSYNCED: u8 = 4;
const NO_SWEEP: u8 = 8;

#[cfg(feature = "sabotage")]
impl Faults {
    /// Answers before the commit.
    pub const ANSWERS_EARLY: Self = Self(ANSWERS_EARLY);
    /// Takes a repeated key for a new message.
    pub const FORGETS_KEYS: Self = Self(FORGETS_KEYS);
    /// Commits without a sync.
    pub const UNSYNCED: Self = Self(UNSYNCED);
    /// Tells only what is committed from now on, never what an earlier process left in the outbox.
    pub const NO_SWEEP: Self = Self(NO_SWEEP);

    /// The fault of this name: `answers-early`, `forgets-keys`, `unsynced`, `no-sweep`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "answers-early" => Some(Self::ANSWERS_EARLY),
            "forgets-keys" => Some(Self::FORGETS_KEYS),
            "unsynced" => Some(Self::UNSYNCED),
            "no-sweep" => Some(Self::NO_SWEEP),
            _ => None,
        }
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Faults {
    pub(super) const fn answers_early(self) -> bool {
        self.has(ANSWERS_EARLY)
    }

    pub(super) const fn forgets_keys(self) -> bool {
        self.has(FORGETS_KEYS)
    }

    pub(super) const fn unsynced(self) -> bool {
        self.has(UNSYNCED)
    }

    pub(super) const fn no_sweep(self) -> bool {
        self.has(NO_SWEEP)
    }

    const fn has(self, fault: u8) -> bool {
        cfg!(feature = "sabotage") && self.0 & fault != 0
    }
}

/// Leaves a moment in which a kill finds what was answered and not yet committed.
#[cfg(feature = "sabotage")]
#[expect(clippy::disallowed_methods, reason = "a fault that waits on purpose")]
pub(super) fn dawdle() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

/// The product waits for nothing.
#[cfg(not(feature = "sabotage"))]
pub(super) const fn dawdle() {}
