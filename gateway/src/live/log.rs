//! What this process knows of one channel's log: what it has passed on, and what it knows to be there. No I/O.

/// Makes one line without holes of what the bus tells.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The last change passed on to readers; `None` until the head was read after listening began.
    last: Option<u32>,
    /// The newest change known to exist.
    ahead: u32,
}

/// What to do with a change that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Pass it on.
    Next,
    /// It was passed on before.
    Old,
    /// Changes before it are missing: read them, and it, from chat.
    Hole,
    /// Nobody reads yet.
    Early,
}

impl Log {
    /// Begins at a head that was read after listening began. A second begin is none.
    pub(crate) fn begin(&mut self, head: u32) {
        self.ahead = self.ahead.max(head);
        self.last.get_or_insert(head);
    }

    /// The last change passed on.
    pub(crate) fn last(&self) -> Option<u32> {
        self.last
    }

    /// A change was told. `open`: readers may get it now.
    pub(crate) fn hear(&mut self, rev: u32, open: bool) -> Told {
        self.ahead = self.ahead.max(rev);
        let Some(last) = self.last else {
            return Told::Early;
        };
        if rev <= last {
            return Told::Old;
        }
        if rev == last + 1 && open {
            self.last = Some(rev);
            return Told::Next;
        }
        Told::Hole
    }

    /// The store's head was read.
    pub(crate) fn know(&mut self, head: u32) {
        self.ahead = self.ahead.max(head);
    }

    /// Whether changes are known that were not passed on.
    pub(crate) fn lacks(&self) -> bool {
        self.last.is_some_and(|last| last < self.ahead)
    }

    /// The changes up to `through` were read and passed on.
    pub(crate) fn filled(&mut self, through: u32) {
        self.last = self.last.map(|last| last.max(through));
        self.ahead = self.ahead.max(through);
    }

    /// Begins anew at `head`: what is before it cannot be read any more, or other numbers count now.
    pub(crate) fn restart(&mut self, head: u32) {
        self.last = Some(head);
        self.ahead = head;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_change_is_next_old_a_hole_or_early() {
        for (head, told, open, expected) in [
            (None, 3, true, Told::Early),
            (Some(3), 3, true, Told::Old),
            (Some(3), 1, true, Told::Old),
            (Some(3), 4, true, Told::Next),
            (Some(3), 5, true, Told::Hole),
            (Some(3), 4, false, Told::Hole),
            (Some(0), 1, true, Told::Next),
        ] {
            let mut log = Log::default();
            if let Some(head) = head {
                log.begin(head);
            }

            assert_eq!(log.hear(told, open), expected, "{head:?} {told}");
            assert_eq!(log.lacks(), expected == Told::Hole, "{head:?} {told}");
        }
    }

    #[test]
    fn what_is_told_before_the_head_was_read_is_not_forgotten() {
        let mut log = Log::default();
        log.hear(6, true);

        log.begin(5);

        assert!(log.lacks());
    }

    proptest! {
        #[test]
        fn whatever_order_changes_come_in_each_is_passed_on_once_and_in_order(
            told in prop::collection::vec((1_u32..30, any::<bool>(), any::<bool>()), 0..200)
        ) {
            let mut log = Log::default();
            log.begin(0);
            let mut passed = Vec::new();
            let mut head = 0;
            for (rev, open, fill) in told {
                head = head.max(rev);
                if log.hear(rev, open) == Told::Next {
                    passed.push(rev);
                }
                if fill && log.lacks() {
                    passed.extend(log.last().unwrap_or_default() + 1..=head);
                    log.filled(head);
                }
            }
            prop_assert_eq!(&passed, &(1..=log.last().unwrap_or_default()).collect::<Vec<_>>());
            prop_assert_eq!(log.lacks(), log.last() < Some(head));
        }
    }
}
