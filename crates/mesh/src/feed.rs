//! Following another service's events so that none is missed, wherever that service runs.
//!
//! What a follower is promised is the same from both sources: every event at least once, those of one scope in their order, an event
//! that failed again before any later one, and on from there after a restart of the follower or of the source. An event may come
//! again at any time, also long after later ones, where a source had to begin anew: followers drop what they have had.

use std::{fmt, sync::Arc};

use crate::{
    bus::NatsBus,
    outbox::{self, Follower, Journal},
    tasks::Tasks,
};

/// Where the events of a service come from. Clones are the same source.
#[derive(Clone)]
pub struct Feed(Source);

#[derive(Clone)]
enum Source {
    Journal(Arc<dyn Journal>),
    Stream { bus: NatsBus, pattern: String },
}

impl Feed {
    /// From the outbox of a service in this process.
    pub fn of_journal(journal: Arc<dyn Journal>) -> Self {
        Self(Source::Journal(journal))
    }

    /// From the stream to which other processes tell: what `pattern` covers, where `*` stands for one part of a subject.
    pub fn of_stream(bus: NatsBus, pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        Self(Source::Stream { bus, pattern })
    }

    /// Feeds a follower from where `reader` came to, until the tasks stop. All processes that follow as the same reader share the
    /// events of a stream. The name is letters, digits and "-".
    pub fn follow(&self, tasks: &Tasks, reader: &'static str, follower: impl Follower) {
        match &self.0 {
            Source::Journal(journal) => outbox::follow(tasks, journal.clone(), reader, follower),
            Source::Stream { bus, pattern } => bus.follow(tasks, reader, pattern, follower),
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Journal(journal) => f.debug_tuple("Feed").field(&journal.name()).finish(),
            Source::Stream { pattern, .. } => f.debug_tuple("Feed").field(pattern).finish(),
        }
    }
}
