//! The end of the outbox in memory, so that telling costs no query, and where its readers stand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use guildhall_mesh::Note;
use tokio::sync::watch;

/// How many of the newest events are kept, and how many bytes of them. Older ones are read from the file.
const EVENTS: usize = 4_096;
const BYTES: usize = 2 << 20;

/// The newest events and the cursors. The writer's thread adds, tasks read; each holds the lock for one look-up.
pub(super) struct Tail {
    inner: Mutex<Inner>,
    grown: watch::Sender<u64>,
}

struct Inner {
    /// Committed events in the order of their numbers. Every committed event above `floor` is here.
    events: VecDeque<(u64, Note)>,
    bytes: usize,
    floor: u64,
    /// Where a new reader starts.
    origin: u64,
    cursors: BTreeMap<String, Cursor>,
}

/// Where a reader stands, `None` where it left, and where it stood when that was last written down. Losing the difference makes it hear
/// some events again.
struct Cursor {
    now: Option<u64>,
    kept: Option<u64>,
}

impl Inner {
    fn place(&mut self, reader: &str) -> &mut Cursor {
        let nowhere = Cursor {
            now: None,
            kept: None,
        };
        self.cursors.entry(reader.to_owned()).or_insert(nowhere)
    }
}

impl Tail {
    /// `last` is the number of the newest event in the file, `cursors` what stands there; no reader starts before `origin`.
    pub(super) fn new(last: u64, cursors: Vec<(String, u64)>, origin: u64) -> Self {
        let cursor = |(name, id): (String, u64)| {
            (
                name,
                Cursor {
                    now: Some(id.max(origin)),
                    kept: Some(id),
                },
            )
        };
        let inner = Inner {
            events: VecDeque::new(),
            bytes: 0,
            floor: last,
            origin,
            cursors: cursors.into_iter().map(cursor).collect(),
        };
        Self {
            inner: Mutex::new(inner),
            grown: watch::Sender::new(last),
        }
    }

    /// Adds what was just committed and rings.
    pub(super) fn grow(&self, events: Vec<(u64, Note)>) {
        let Some((last, _)) = events.last() else {
            return;
        };
        let last = *last;
        let mut inner = self.inner();
        for (number, note) in events {
            inner.bytes += size(&note);
            inner.events.push_back((number, note));
        }
        while inner.events.len() > EVENTS || inner.bytes > BYTES {
            let Some((number, note)) = inner.events.pop_front() else {
                break;
            };
            inner.bytes -= size(&note);
            inner.floor = number;
        }
        drop(inner);
        self.grown.send_replace(last);
    }

    /// Forgets the events: up to `last` they are in the file, and which those are only the file knows.
    pub(super) fn forget(&self, last: u64) {
        let mut inner = self.inner();
        inner.events.clear();
        inner.bytes = 0;
        inner.floor = last;
        drop(inner);
        self.grown.send_replace(last);
    }

    /// Events above a number; `None` where some of them may be in the file only.
    pub(super) fn read(&self, after: u64, limit: usize) -> Option<Vec<(u64, Note)>> {
        let inner = self.inner();
        if after < inner.floor {
            return None;
        }
        let start = inner.events.partition_point(|(number, _)| *number <= after);
        Some(
            inner
                .events
                .iter()
                .skip(start)
                .take(limit)
                .cloned()
                .collect(),
        )
    }

    /// Where a reader stands. Asking makes it known: from then on nothing is deleted that it has not had.
    pub(super) fn cursor(&self, reader: &str) -> u64 {
        let mut inner = self.inner();
        let origin = inner.origin;
        *inner.place(reader).now.get_or_insert(origin)
    }

    /// Moves a reader up.
    pub(super) fn advance(&self, reader: &str, to: u64) {
        let mut inner = self.inner();
        let place = inner.place(reader);
        place.now = place.now.max(Some(to));
    }

    /// Takes a reader's place away: nothing is kept for it any more.
    pub(super) fn leave(&self, reader: &str) {
        let mut inner = self.inner();
        inner.place(reader).now = None;
    }

    /// Every reader with a place, and where that is.
    pub(super) fn readers(&self) -> Vec<(String, u64)> {
        let inner = self.inner();
        let places = inner.cursors.iter();
        places
            .filter_map(|(name, cursor)| Some((name.clone(), cursor.now?)))
            .collect()
    }

    /// Where readers stand that is not written down, `None` for those that left.
    pub(super) fn moves(&self) -> Vec<(String, Option<u64>)> {
        let inner = self.inner();
        let moved = inner
            .cursors
            .iter()
            .filter(|(_, cursor)| cursor.kept != cursor.now);
        moved
            .map(|(name, cursor)| (name.clone(), cursor.now))
            .collect()
    }

    /// These were written down.
    pub(super) fn kept(&self, moves: &[(String, Option<u64>)]) {
        let mut inner = self.inner();
        for (name, id) in moves {
            if let Some(cursor) = inner.cursors.get_mut(name) {
                cursor.kept = *id;
            }
        }
        inner
            .cursors
            .retain(|_, cursor| cursor.now.or(cursor.kept).is_some());
    }

    /// Up to where every reader has had the events; 0 as long as none is known, for the first may come yet.
    pub(super) fn had_by_all(&self) -> u64 {
        let inner = self.inner();
        inner
            .cursors
            .values()
            .filter_map(|cursor| cursor.now)
            .min()
            .unwrap_or(0)
    }

    /// Rings with the number of the newest committed event.
    pub(super) fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(note: &Note) -> usize {
    size_of::<(u64, Note)>() + note.subject.len() + note.payload.len()
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::{EventId, Time};

    use super::*;

    fn events(numbers: std::ops::RangeInclusive<u64>, bytes: usize) -> Vec<(u64, Note)> {
        let note = |_| Note {
            id: EventId::from_bytes([1; 16]),
            subject: "a.b.C".into(),
            payload: vec![0; bytes].into(),
            at: Time::from_micros(0),
        };
        numbers.map(|number| (number, note(number))).collect()
    }

    fn numbers(read: Option<Vec<(u64, Note)>>) -> Option<Vec<u64>> {
        read.map(|events| events.into_iter().map(|(number, _)| number).collect())
    }

    #[test]
    fn it_answers_only_for_what_it_holds_whole() {
        let tail = Tail::new(10, vec![], 0);
        assert_eq!(numbers(tail.read(9, 5)), None, "number 10 is in the file");
        assert_eq!(numbers(tail.read(10, 5)), Some(vec![]));

        tail.grow(events(11..=14, 1));

        assert_eq!(numbers(tail.read(10, 2)), Some(vec![11, 12]));
        assert_eq!(numbers(tail.read(12, 5)), Some(vec![13, 14]));
        assert_eq!(*tail.grown().borrow(), 14);
    }

    #[test]
    fn it_is_bounded_by_count_and_by_bytes() {
        let tail = Tail::new(0, vec![], 0);

        tail.grow(events(1..=5_000, 1));
        assert_eq!(tail.inner().events.len(), EVENTS);
        assert_eq!(numbers(tail.read(5_000 - 4_097, 1)), None);
        assert_eq!(
            numbers(tail.read(5_000 - 4_096, 1)),
            Some(vec![5_000 - 4_095])
        );

        tail.grow(events(5_001..=5_100, 60_000));
        assert!(tail.inner().bytes <= BYTES);
        assert_eq!(numbers(tail.read(5_099, 9)), Some(vec![5_100]));
    }

    #[test]
    fn moves_are_told_until_they_are_written_down_and_the_slowest_reader_holds_events() {
        let tail = Tail::new(9, vec![("bus".into(), 4)], 0);
        assert_eq!(tail.had_by_all(), 4);
        assert_eq!(Tail::new(9, vec![], 0).had_by_all(), 0);

        tail.advance("bus", 7);
        assert_eq!(tail.cursor("late"), 0, "asking makes it known");
        let moves = tail.moves();
        tail.advance("bus", 8);
        tail.kept(&moves);

        let at = |name: &str, place| (name.to_owned(), place);
        assert_eq!(moves, [at("bus", Some(7)), at("late", Some(0))]);
        assert_eq!(tail.moves(), [at("bus", Some(8))]);
        assert_eq!(tail.had_by_all(), 0);
        tail.advance("bus", 2);
        assert_eq!(tail.cursor("bus"), 8, "never down");
    }

    #[test]
    fn a_reader_that_leaves_holds_nothing_and_its_place_is_taken_away() {
        let tail = Tail::new(9, vec![("bus".into(), 8), ("chat".into(), 3)], 0);

        tail.leave("chat");

        assert_eq!(tail.had_by_all(), 8);
        assert_eq!(tail.readers(), [("bus".to_owned(), 8)]);
        let moves = tail.moves();
        assert_eq!(moves, [("chat".to_owned(), None)]);
        tail.kept(&moves);
        assert_eq!(tail.moves(), []);
        tail.advance("chat", 2);
        assert_eq!(tail.cursor("chat"), 2, "it begins anew");
    }
}
