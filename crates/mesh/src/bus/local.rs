//! The bus inside one process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::counter;
use tokio::sync::mpsc;

use super::{Bus, BusError, Lag, Listener, Note, Overheard, Whisper};

/// Notes go from sender to listener in the sender's call. Clones are the same bus.
#[derive(Debug, Clone, Default)]
pub struct LocalBus {
    // Locked for one look-up and never across an await.
    patterns: Arc<Mutex<Patterns>>,
    // The same for what is said in passing.
    whispers: Arc<Mutex<Patterns>>,
}

#[derive(Debug, Default)]
struct Patterns {
    /// Patterns without a `*`, found by the subject itself.
    exact: HashMap<String, Vec<Slot>>,
    /// Patterns `package.scope.*`, found by the subject without its last part.
    scopes: HashMap<String, Vec<Slot>>,
    /// All others, matched one by one: few, since services listen to whole packages only at start.
    wide: Vec<(Vec<String>, Slot)>,
}

#[derive(Debug, Clone)]
struct Slot {
    number: u64,
    queue: mpsc::Sender<Note>,
    lag: Arc<Lag>,
}

impl LocalBus {
    /// A bus without listeners.
    pub fn new() -> Self {
        Self::default()
    }

    fn join(patterns: &Arc<Mutex<Patterns>>, pattern: &str, room: usize) -> Listener {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (queue, receiver) = mpsc::channel(room);
        let lag = Arc::<Lag>::default();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        locked(patterns).add(
            pattern,
            Slot {
                number,
                queue,
                lag: lag.clone(),
            },
        );
        let end = End {
            patterns: Arc::downgrade(patterns),
            pattern: pattern.to_owned(),
            number,
        };
        Listener {
            queue: receiver,
            lag,
            _end: Box::new(end),
        }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn send(&self, note: Note) -> Result<(), BusError> {
        for slot in locked(&self.patterns).of(&note.subject) {
            slot.offer(&note);
        }
        Ok(())
    }

    async fn listen(&self, pattern: &str, room: usize) -> Result<Listener, BusError> {
        Ok(Self::join(&self.patterns, pattern, room))
    }

    async fn whisper(&self, topic: &str, words: Bytes) -> Result<(), BusError> {
        let whisper = Whisper::note(topic, words);
        for slot in locked(&self.whispers).of(topic) {
            slot.offer(&whisper);
        }
        Ok(())
    }

    async fn overhear(&self, pattern: &str, room: usize) -> Result<Overheard, BusError> {
        Ok(Overheard(Self::join(&self.whispers, pattern, room)))
    }
}

impl Slot {
    fn offer(&self, note: &Note) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(note.clone()) {
            counter!("guildhall_bus_lagged_total").increment(1);
            self.lag.lose();
        }
    }
}

impl Patterns {
    fn of<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a Slot> {
        let scope = subject.rsplit_once('.').map_or("", |(scope, _)| scope);
        let wide = self
            .wide
            .iter()
            .filter(move |(parts, _)| matches(parts, subject));
        let exact = self.exact.get(subject).into_iter().flatten();
        let scopes = self.scopes.get(scope).into_iter().flatten();
        exact.chain(scopes).chain(wide.map(|(_, slot)| slot))
    }

    fn add(&mut self, pattern: &str, slot: Slot) {
        match split(pattern) {
            Shape::Exact => self.exact.entry(pattern.to_owned()).or_default().push(slot),
            Shape::Scope(scope) => self.scopes.entry(scope.to_owned()).or_default().push(slot),
            Shape::Wide(parts) => self.wide.push((parts, slot)),
        }
    }

    fn remove(&mut self, pattern: &str, number: u64) {
        match split(pattern) {
            Shape::Exact => drop_from(&mut self.exact, pattern, number),
            Shape::Scope(scope) => drop_from(&mut self.scopes, scope, number),
            Shape::Wide(_) => self.wide.retain(|(_, slot)| slot.number != number),
        }
    }
}

enum Shape<'a> {
    Exact,
    Scope(&'a str),
    Wide(Vec<String>),
}

fn split(pattern: &str) -> Shape<'_> {
    if !pattern.contains('*') {
        return Shape::Exact;
    }
    match pattern.strip_suffix(".*") {
        Some(scope) if !scope.contains('*') => Shape::Scope(scope),
        _ => Shape::Wide(pattern.split('.').map(str::to_owned).collect()),
    }
}

fn matches(parts: &[String], subject: &str) -> bool {
    let mut there = subject.split('.');
    let all = parts
        .iter()
        .all(|part| there.next().is_some_and(|word| part == "*" || part == word));
    all && there.next().is_none()
}

fn drop_from(slots: &mut HashMap<String, Vec<Slot>>, key: &str, number: u64) {
    if let Some(those) = slots.get_mut(key) {
        those.retain(|slot| slot.number != number);
        if those.is_empty() {
            slots.remove(key);
        }
    }
}

struct End {
    patterns: Weak<Mutex<Patterns>>,
    pattern: String,
    number: u64,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(patterns) = self.patterns.upgrade() {
            locked(&patterns).remove(&self.pattern, self.number);
        }
    }
}

fn locked(patterns: &Mutex<Patterns>) -> MutexGuard<'_, Patterns> {
    patterns.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::{EventId, Time};

    use super::{super::Heard, *};

    fn note(subject: &str) -> Note {
        Note {
            id: EventId::from_bytes([1; 16]),
            subject: subject.into(),
            payload: Vec::new().into(),
            at: Time::from_micros(0),
        }
    }

    #[tokio::test]
    async fn a_listener_hears_what_its_pattern_covers_and_nothing_else() {
        let bus = LocalBus::new();
        for (pattern, subject, heard) in [
            ("a.b.E", "a.b.E", true),
            ("a.b.E", "a.b.F", false),
            ("a.b.*", "a.b.E", true),
            ("a.b.*", "a.c.E", false),
            ("a.*.E", "a.c.E", true),
            ("a.*.E", "a.c.d.E", false),
            ("a.*.*", "a.c.F", true),
        ] {
            let mut listener = bus.listen(pattern, 4).await.expect("listens");

            bus.send(note(subject)).await.expect("sends");
            bus.send(note("last")).await.expect("sends");

            let got = listener.queue.try_recv().is_ok();
            assert_eq!(got, heard, "{pattern} {subject}");
        }
    }

    #[tokio::test]
    async fn a_full_listener_hears_that_it_lagged_after_what_fitted() {
        let bus = LocalBus::new();
        let mut listener = bus.listen("a.b.*", 2).await.expect("listens");

        for _ in 0..5 {
            bus.send(note("a.b.E")).await.expect("sends");
        }

        assert_eq!(listener.next().await, Some(Heard::Note(note("a.b.E"))));
        assert_eq!(listener.next().await, Some(Heard::Note(note("a.b.E"))));
        assert_eq!(listener.next().await, Some(Heard::Lagged));
    }

    #[tokio::test]
    async fn a_dropped_listener_leaves_nothing_behind() {
        let bus = LocalBus::new();
        for pattern in ["a.b.E", "a.b.*", "a.*.E"] {
            drop(bus.listen(pattern, 1).await.expect("listens"));
        }

        let patterns = locked(&bus.patterns);
        assert!(
            patterns.exact.is_empty() && patterns.scopes.is_empty() && patterns.wide.is_empty()
        );
    }
}
