//! How much fits into one answer. Clients take up to 4 MiB where nobody told them otherwise, and a page of the longest texts is more.

use crate::{
    model::Message,
    store::{History, Place},
};

/// How much an answer's messages weigh at most on one side of its place, in bytes.
pub(crate) const ROOM: usize = 1_800_000;
/// What a message weighs besides its text.
const FRAME: usize = 400;

/// How many things fit, the first one in any case.
pub(crate) fn fitting(weights: impl IntoIterator<Item = usize>) -> usize {
    let mut left = ROOM;
    let fits = |weight: &usize| match left.checked_sub(*weight) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    weights.into_iter().take_while(fits).count().max(1)
}

/// What a message weighs in an answer.
pub(crate) fn weight(message: &Message) -> usize {
    message.text.len() + FRAME
}

/// Takes what does not fit from the ends that lie far from the place that was asked for. What was taken is older or newer then.
pub(crate) fn fit(history: &mut History, place: Place) {
    let messages = &mut history.messages;
    let middle = match place {
        Place::Newest | Place::Before(_) | Place::BeforeTime(_) => messages.len(),
        Place::After(_) => 0,
        Place::Around(seq) => messages.partition_point(|message| message.id.seq <= seq),
    };
    let older = middle.min(fitting(messages[..middle].iter().rev().map(weight)));
    let newer = (messages.len() - middle).min(fitting(messages[middle..].iter().map(weight)));

    history.has_newer |= middle + newer < messages.len();
    messages.truncate(middle + newer);
    history.has_older |= older < middle;
    messages.drain(..middle - older);
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::{ChannelId, Key, Time, UserId};

    use super::*;
    use crate::model::{Head, MessageId, Rev, Seq};

    fn page(seqs: std::ops::RangeInclusive<u32>, bytes: usize) -> History {
        let message = |seq| Message {
            id: MessageId {
                channel: ChannelId::from_bytes([1; 16]),
                seq: Seq(seq),
            },
            rev: Rev(seq),
            author: UserId::from_bytes([2; 16]),
            text: "x".repeat(bytes),
            key: Key::parse("k").expect("a key"),
            posted_at: Time::from_micros(0),
            edited_at: None,
            deleted_at: None,
        };
        History {
            messages: seqs.map(message).collect(),
            has_older: false,
            has_newer: false,
            head: Head::default(),
        }
    }

    fn fitted(place: Place, bytes: usize) -> (u32, u32, bool, bool) {
        let mut history = page(1..=100, bytes);
        fit(&mut history, place);
        let seq = |message: Option<&Message>| message.map_or(0, |message| message.id.seq.0);
        let (first, last) = (seq(history.messages.first()), seq(history.messages.last()));
        (first, last, history.has_older, history.has_newer)
    }

    #[test]
    fn a_page_of_long_latin_texts_is_whole() {
        for place in [Place::Newest, Place::Before(Seq(200)), Place::After(Seq(0))] {
            assert_eq!(fitted(place, 16_000), (1, 100, false, false), "{place:?}");
        }
    }

    #[test]
    fn a_page_that_is_too_heavy_keeps_what_is_near_its_place_and_says_so() {
        // 64,000 bytes are the longest text in four-byte letters; 27 of them fit on a side.
        assert_eq!(fitted(Place::Newest, 64_000), (74, 100, true, false));
        assert_eq!(
            fitted(Place::Before(Seq(101)), 64_000),
            (74, 100, true, false)
        );
        assert_eq!(fitted(Place::After(Seq(0)), 64_000), (1, 27, false, true));
        assert_eq!(fitted(Place::Around(Seq(50)), 64_000), (24, 77, true, true));
    }

    #[test]
    fn one_thing_always_fits() {
        assert_eq!(fitting([ROOM + 1, 1]), 1);
        assert_eq!(fitting([ROOM, 1]), 1);
        assert_eq!(fitting([ROOM - 1, 1, 1]), 2);
    }
}
