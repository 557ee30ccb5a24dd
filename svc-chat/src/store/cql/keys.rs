//! Which keys a channel's newest messages were posted under. In memory, as numbers; a hit is confirmed by reading the message.

use std::collections::HashMap;

use super::row::bucket_of;
use crate::model::Seq;

/// The keys of a channel's last two buckets, up to a message. Older ones are in a table.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Up to which message.
    through: Seq,
    seqs: HashMap<u64, u32>,
    /// Those whose number was taken already: hardly ever one.
    more: Vec<(u64, u32)>,
}

impl Keys {
    pub(super) const fn through(&self) -> Seq {
        self.through
    }

    /// Says that the keys of all messages up to this one are here.
    pub(super) fn reach(&mut self, through: Seq) {
        self.through = self.through.max(through);
    }

    pub(super) fn len(&self) -> usize {
        self.seqs.len() + self.more.len()
    }

    pub(super) fn add(&mut self, number: u64, seq: Seq) {
        let first = *self.seqs.entry(number).or_insert(seq.0);
        if first != seq.0 && !self.more.contains(&(number, seq.0)) {
            self.more.push((number, seq.0));
        }
    }

    /// The messages that may have been posted under a key of this number.
    pub(super) fn find(&self, number: u64) -> impl Iterator<Item = Seq> {
        let more = self.more.iter().filter(move |(other, _)| *other == number);
        let first = self.seqs.get(&number).into_iter();
        first.chain(more.map(|(_, seq)| seq)).copied().map(Seq)
    }

    /// Forgets the keys of earlier buckets.
    pub(super) fn forget_below(&mut self, bucket: u32) {
        self.seqs.retain(|_, seq| bucket_of(Seq(*seq)) >= bucket);
        self.more.retain(|(_, seq)| bucket_of(Seq(*seq)) >= bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_of_one_number_are_both_found_and_forgotten_with_their_bucket() {
        let mut keys = Keys::default();
        for seq in [8_192, 8_193, 8_193] {
            keys.add(7, Seq(seq));
        }
        keys.reach(Seq(8_193));

        assert_eq!(keys.find(7).collect::<Vec<_>>(), [Seq(8_192), Seq(8_193)]);
        assert_eq!((keys.find(8).count(), keys.len()), (0, 2));
        keys.forget_below(1);
        assert_eq!(keys.find(7).collect::<Vec<_>>(), [Seq(8_193)]);
        assert_eq!(keys.through(), Seq(8_193));
    }
}
