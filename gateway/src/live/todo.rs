//! What a stream's session has still to do, one thing at a time. No I/O.

use std::{collections::BTreeSet, sync::Arc};

use guildhall_kernel::{ChannelId, SpaceId, UserId};

use super::wish::Wanted;

/// More single spaces and channels than this, and everything is looked at anew instead.
const SINGLE: usize = 64;

/// Work that waits. Bounded: a set for each kind, and many of a kind become one look at everything.
#[derive(Debug, Default)]
pub(crate) struct Todo {
    subscribe: Option<Arc<Asked>>,
    renew: bool,
    spaces: BTreeSet<SpaceId>,
    channels: BTreeSet<ChannelId>,
    /// At most as many as the wish names.
    people: BTreeSet<UserId>,
    /// At most as many as are read.
    behind: BTreeSet<ChannelId>,
}

/// A wish as a client frame brought it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The id of the frame, to be answered.
    pub(crate) frame: u32,
    /// The wish.
    pub(crate) wanted: Wanted,
    /// Whether the stream ends where the wish cannot be fulfilled: there is nobody to ask again.
    pub(crate) or_end: bool,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    /// Put a new wish in force.
    Subscribe(Arc<Asked>),
    /// Look at everything of the present wish anew.
    Renew,
    /// See what the reader may read in a space.
    Space(SpaceId),
    /// Read a channel that was just made.
    Channel(ChannelId),
    /// See whether the reader may see these people, and tell how they are there.
    People(Vec<UserId>),
    /// Read changes of a channel from chat.
    CatchUp(ChannelId),
}

impl Todo {
    /// A new wish; one that still waits is replaced.
    pub(crate) fn subscribe(&mut self, asked: Asked) {
        self.subscribe = Some(Arc::new(asked));
    }

    /// Everything may have changed.
    pub(crate) fn renew(&mut self) {
        self.renew = true;
    }

    /// Something in a space may have changed.
    pub(crate) fn look_into(&mut self, space: SpaceId) {
        self.spaces.insert(space);
        self.thin_out();
    }

    /// A channel was made.
    pub(crate) fn open(&mut self, channel: ChannelId) {
        self.channels.insert(channel);
        self.thin_out();
    }

    /// Whether the reader may see somebody may have changed.
    pub(crate) fn look_at(&mut self, user: UserId) {
        self.people.insert(user);
    }

    /// The reader must catch up in a channel.
    pub(crate) fn behind(&mut self, channel: ChannelId) {
        self.behind.insert(channel);
    }

    /// The channel is read no more.
    pub(crate) fn leave(&mut self, channel: ChannelId) {
        self.behind.remove(&channel);
        self.channels.remove(&channel);
    }

    /// The next thing to do.
    pub(crate) fn next(&mut self) -> Option<Job> {
        if let Some(asked) = self.subscribe.take() {
            return Some(Job::Subscribe(asked));
        }
        if std::mem::take(&mut self.renew) {
            return Some(Job::Renew);
        }
        if let Some(space) = self.spaces.pop_first() {
            return Some(Job::Space(space));
        }
        if let Some(channel) = self.channels.pop_first() {
            return Some(Job::Channel(channel));
        }
        if !self.people.is_empty() {
            return Some(Job::People(
                std::mem::take(&mut self.people).into_iter().collect(),
            ));
        }
        self.behind.pop_first().map(Job::CatchUp)
    }

    /// A job was given up before it was done.
    pub(crate) fn again(&mut self, job: Job) {
        match job {
            Job::Subscribe(asked) => self.subscribe = Some(asked),
            Job::Renew => self.renew = true,
            Job::Space(space) => self.look_into(space),
            Job::Channel(channel) => self.open(channel),
            Job::People(people) => self.people.extend(people),
            Job::CatchUp(channel) => self.behind(channel),
        }
    }

    fn thin_out(&mut self) {
        if self.spaces.len() + self.channels.len() > SINGLE {
            self.spaces.clear();
            self.channels.clear();
            self.renew = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(n: u8) -> ChannelId {
        ChannelId::from_bytes([n; 16])
    }

    #[test]
    fn wishes_come_first_and_catching_up_last() {
        let mut todo = Todo::default();
        todo.behind(channel(1));
        todo.behind(channel(1));
        todo.look_at(UserId::from_bytes([1; 16]));
        todo.open(channel(2));
        todo.look_into(SpaceId::from_bytes([1; 16]));
        todo.renew();
        todo.subscribe(Asked {
            frame: 1,
            wanted: Wanted::default(),
            or_end: false,
        });

        let order: Vec<_> = std::iter::from_fn(|| todo.next()).collect();

        assert!(
            matches!(
                order.as_slice(),
                [
                    Job::Subscribe(_),
                    Job::Renew,
                    Job::Space(_),
                    Job::Channel(_),
                    Job::People(_),
                    Job::CatchUp(_)
                ]
            ),
            "{order:?}"
        );
    }

    #[test]
    fn many_single_things_become_one_look_at_everything() {
        let mut todo = Todo::default();
        for n in 0..=64 {
            todo.open(channel(n));
        }

        assert!(matches!(todo.next(), Some(Job::Renew)));
        assert!(todo.next().is_none());
    }

    #[test]
    fn a_job_that_was_given_up_comes_again() {
        let mut todo = Todo::default();
        todo.behind(channel(1));
        let job = todo.next().expect("a job");

        todo.again(job);

        assert!(matches!(todo.next(), Some(Job::CatchUp(_))));
    }
}
