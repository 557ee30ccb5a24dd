//! What waits for one reader. Bounded by count and bytes: full, it first loses what may be lost, then it refuses.

use std::{collections::VecDeque, sync::Arc};

use guildhall_kernel::ChannelId;

use super::frame::Frame;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Frames.
    pub(crate) frames: usize,
    /// Bytes of their binary form.
    pub(crate) bytes: usize,
}

/// Frames in the order in which they were queued.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// How many of them may be dropped; nothing is searched where it is 0.
    loose: usize,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits; so many droppable ones made room for it.
    Queued {
        /// How many were dropped.
        dropped: usize,
    },
    /// It took the place of an older one of its key.
    Replaced,
    /// It may be dropped and was.
    Dropped,
    /// There is no room for it and it may not be dropped: the reader is too slow.
    Full,
}

impl Queue {
    /// Adds a frame. One that is larger than all the room is taken by an empty queue.
    pub(crate) fn push(&mut self, frame: &Arc<Frame>, room: Room) -> Pushed {
        if frame.shed.is_some() {
            return self.push_loose(frame, room);
        }
        let mut dropped = 0;
        while !self.fits(frame, room) {
            if !self.drop_oldest_loose() {
                return Pushed::Full;
            }
            dropped += 1;
        }
        self.add(frame.clone());
        Pushed::Queued { dropped }
    }

    /// Takes the oldest frame.
    pub(crate) fn pop(&mut self) -> Option<Arc<Frame>> {
        let frame = self.frames.pop_front()?;
        self.account_out(&frame);
        if self.frames.is_empty() {
            // An idle reader keeps no buffer.
            self.frames = VecDeque::new();
        }
        Some(frame)
    }

    /// Drops the changes of one channel's log, and its typing.
    pub(crate) fn forget(&mut self, channel: ChannelId) {
        self.retain(|frame| {
            frame.channel != Some(channel) || !(frame.is_logged() || frame.shed.is_some())
        });
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many frames wait.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    fn push_loose(&mut self, frame: &Arc<Frame>, room: Room) -> Pushed {
        if self.loose > 0
            && let Some(older) = self
                .frames
                .iter_mut()
                .find(|other| other.shed == frame.shed)
        {
            self.bytes = self.bytes - older.size() + frame.size();
            *older = frame.clone();
            return Pushed::Replaced;
        }
        if !self.fits(frame, room) {
            return Pushed::Dropped;
        }
        self.add(frame.clone());
        Pushed::Queued { dropped: 0 }
    }

    fn fits(&self, frame: &Frame, room: Room) -> bool {
        self.frames.is_empty()
            || (self.frames.len() < room.frames && self.bytes + frame.size() <= room.bytes)
    }

    fn add(&mut self, frame: Arc<Frame>) {
        self.bytes += frame.size();
        self.loose += usize::from(frame.shed.is_some());
        self.frames.push_back(frame);
    }

    fn drop_oldest_loose(&mut self) -> bool {
        if self.loose == 0 {
            return false;
        }
        let oldest = self.frames.iter().position(|frame| frame.shed.is_some());
        let dropped = oldest.and_then(|at| self.frames.remove(at));
        if let Some(frame) = &dropped {
            self.account_out(frame);
        }
        dropped.is_some()
    }

    fn retain(&mut self, keep: impl Fn(&Frame) -> bool) {
        let frames = std::mem::take(self).frames;
        for frame in frames.into_iter().filter(|frame| keep(frame)) {
            self.add(frame);
        }
    }

    fn account_out(&mut self, frame: &Frame) {
        self.bytes -= frame.size();
        self.loose -= usize::from(frame.shed.is_some());
    }
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::UserId;
    use guildhall_proto::{chat::v1::Message, live::v1::PresenceState};
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room {
        frames: 4,
        bytes: 4_096,
    };

    fn channel(n: u8) -> ChannelId {
        ChannelId::from_bytes([n; 16])
    }

    fn message(rev: u32) -> Arc<Frame> {
        let message = Message {
            rev,
            text: "x".repeat(100),
            ..Default::default()
        };
        Frame::message(channel(1), rev - 1, message)
    }

    fn presence(user: u8) -> Arc<Frame> {
        Frame::presence(UserId::from_bytes([user; 16]), PresenceState::Online)
    }

    #[test]
    fn what_may_be_lost_makes_room_for_what_may_not() {
        let mut queue = Queue::default();
        for n in 0..4 {
            assert_eq!(
                queue.push(&presence(n), ROOM),
                Pushed::Queued { dropped: 0 }
            );
        }

        assert_eq!(queue.push(&presence(9), ROOM), Pushed::Dropped);
        for rev in 1..=4 {
            assert_eq!(
                queue.push(&message(rev), ROOM),
                Pushed::Queued { dropped: 1 }
            );
        }
        assert_eq!(queue.push(&message(5), ROOM), Pushed::Full);

        let revs: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|frame| frame.rev)
            .collect();
        assert_eq!(revs, [1, 2, 3, 4]);
    }

    #[test]
    fn a_newer_state_takes_the_place_of_an_older_one() {
        let mut queue = Queue::default();
        let user = UserId::from_bytes([1; 16]);
        queue.push(&presence(1), ROOM);
        queue.push(&message(1), ROOM);

        let away = Frame::presence(user, PresenceState::Away);

        assert_eq!(queue.push(&away, ROOM), Pushed::Replaced);
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.pop().map(|frame| frame.proto()), Some(away.proto()));
    }

    #[test]
    fn bytes_are_counted_too_but_one_frame_always_fits() {
        let small = Room {
            frames: 100,
            bytes: 200,
        };
        let mut queue = Queue::default();

        assert_eq!(
            queue.push(&message(1), small),
            Pushed::Queued { dropped: 0 }
        );
        assert_eq!(queue.push(&message(2), small), Pushed::Full);
        queue.pop();
        let tiny = Room {
            frames: 100,
            bytes: 1,
        };
        assert_eq!(queue.push(&message(2), tiny), Pushed::Queued { dropped: 0 });
    }

    #[test]
    fn a_forgotten_channel_loses_its_log_and_typing_but_not_its_end() {
        let mut queue = Queue::default();
        queue.push(&message(1), ROOM);
        queue.push(
            &Frame::typing(channel(1), UserId::from_bytes([1; 16])),
            ROOM,
        );
        queue.push(&Frame::gone(channel(1)), ROOM);
        queue.push(&Frame::passed(channel(2), 5, 4), ROOM);

        queue.forget(channel(1));

        let left: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|f| (f.channel, f.rev))
            .collect();
        assert_eq!(left, [(Some(channel(1)), 0), (Some(channel(2)), 5)]);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_room_and_keeps_order(steps in prop::collection::vec((0_u8..3, 0_u8..6), 0..200)) {
            let mut queue = Queue::default();
            let mut queued = Vec::new();
            let mut popped = Vec::new();
            let mut rev = 0;
            for (step, n) in steps {
                match step {
                    0 => {
                        rev += 1;
                        if queue.push(&message(rev), ROOM) == Pushed::Full {
                            prop_assert!(queue.len() >= ROOM.frames);
                        } else {
                            queued.push(rev);
                        }
                    }
                    1 => {
                        queue.push(&presence(n), ROOM);
                    }
                    _ => popped.extend(queue.pop().filter(|f| f.is_logged()).map(|f| f.rev)),
                }
                prop_assert!(queue.len() <= ROOM.frames);
                prop_assert_eq!(queue.bytes, queue.frames.iter().map(|f| f.size()).sum::<usize>());
                prop_assert_eq!(queue.loose, queue.frames.iter().filter(|f| f.shed.is_some()).count());
            }
            popped.extend(std::iter::from_fn(|| queue.pop()).filter(|f| f.is_logged()).map(|f| f.rev));
            prop_assert_eq!(popped, queued);
        }
    }
}
