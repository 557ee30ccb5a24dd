//! Where one reader stands in one channel's log. No I/O: frames go in, what to do with them comes out.
//!
//! A position is live or behind. Live, the next change is queued, an older one is dropped, and one that leaves a hole makes it
//! behind. Behind, live frames are held until the changes up to the needed one were read from chat; then they are released. Too many
//! held ones are thrown away and read from chat too.

use std::sync::Arc;

use super::frame::Frame;

/// How many live frames are held for a reader that is behind.
const HELD: usize = 64;

/// A reader's place in a channel.
#[derive(Debug)]
pub(crate) struct Position {
    /// The last change that was queued for the reader.
    at: u32,
    behind: Option<Box<Behind>>,
}

#[derive(Debug, Default)]
struct Behind {
    /// The change up to which chat must be asked.
    need: u32,
    held: Vec<Arc<Frame>>,
}

/// What to do with a live frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Queue it.
    Queue,
    /// Nothing: the reader has it, or it is held.
    Nothing,
    /// It was held, and there is a hole before it: read from chat.
    Hole,
}

/// Where a reader stands after changes were read from chat.
#[derive(Debug)]
pub(crate) enum Caught {
    /// Not there yet: read on.
    Behind,
    /// Live: these held frames come next.
    Up(Vec<Arc<Frame>>),
}

impl Position {
    /// A reader that has all changes up to `at`, in a channel whose live frames begin after `live`.
    pub(crate) fn new(at: u32, live: u32) -> Self {
        let behind = (at < live).then(|| {
            Box::new(Behind {
                need: live,
                held: Vec::new(),
            })
        });
        Self { at, behind }
    }

    /// The last change that was queued for the reader.
    pub(crate) fn at(&self) -> u32 {
        self.at
    }

    /// Whether chat must be asked before anything is delivered.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// Takes a live frame of the log.
    pub(crate) fn offer(&mut self, frame: &Arc<Frame>) -> Offered {
        if frame.rev <= self.at {
            return Offered::Nothing;
        }
        if let Some(behind) = &mut self.behind {
            if behind.held.len() < HELD {
                behind.held.push(frame.clone());
            } else {
                behind.held = Vec::new();
                behind.need = frame.rev;
            }
            return Offered::Nothing;
        }
        if frame.after_rev <= self.at {
            self.at = frame.rev;
            return Offered::Queue;
        }
        let hole = Behind {
            need: frame.after_rev,
            held: vec![frame.clone()],
        };
        self.behind = Some(Box::new(hole));
        Offered::Hole
    }

    /// Everything up to `through` was queued for the reader, from chat.
    pub(crate) fn caught(&mut self, through: u32) -> Caught {
        self.at = self.at.max(through);
        self.release()
    }

    /// The reader was told to begin at `head`.
    pub(crate) fn restart(&mut self, head: u32) -> Caught {
        self.at = head;
        self.release()
    }

    fn release(&mut self) -> Caught {
        let Some(behind) = &mut self.behind else {
            return Caught::Up(Vec::new());
        };
        if self.at < behind.need {
            return Caught::Behind;
        }
        let held = std::mem::take(&mut behind.held);
        self.behind = None;
        let mut released = Vec::new();
        for frame in held {
            match self.offer(&frame) {
                Offered::Queue => released.push(frame),
                Offered::Nothing | Offered::Hole => {}
            }
        }
        Caught::Up(released)
    }
}

#[cfg(test)]
mod tests {
    use guildhall_kernel::ChannelId;
    use guildhall_proto::chat::v1::Message;
    use proptest::prelude::*;

    use super::*;

    fn live(rev: u32) -> Arc<Frame> {
        jump(rev, rev - 1)
    }

    fn jump(rev: u32, after_rev: u32) -> Arc<Frame> {
        let message = Message {
            rev,
            ..Default::default()
        };
        Frame::message(ChannelId::from_bytes([1; 16]), after_rev, message)
    }

    #[test]
    fn a_live_reader_takes_the_next_and_drops_the_old() {
        for (at, frame, offered, now) in [
            (5, live(6), Offered::Queue, 6),
            (5, live(5), Offered::Nothing, 5),
            (5, live(1), Offered::Nothing, 5),
            (5, live(7), Offered::Hole, 5),
            (5, jump(9, 5), Offered::Queue, 9),
            (5, jump(9, 3), Offered::Queue, 9),
            (5, jump(9, 6), Offered::Hole, 5),
            (0, live(1), Offered::Queue, 1),
        ] {
            let mut position = Position::new(at, at);

            assert_eq!(position.offer(&frame), offered, "{at} {}", frame.rev);
            assert_eq!(position.at(), now, "{at} {}", frame.rev);
        }
    }

    #[test]
    fn a_reader_behind_holds_live_frames_until_it_is_caught_up() {
        let mut position = Position::new(2, 5);
        assert_eq!(position.offer(&live(6)), Offered::Nothing);
        assert_eq!(position.offer(&live(7)), Offered::Nothing);

        assert!(matches!(position.caught(4), Caught::Behind));
        let Caught::Up(released) = position.caught(6) else {
            panic!("caught up")
        };

        assert_eq!(
            released.iter().map(|frame| frame.rev).collect::<Vec<_>>(),
            [7]
        );
        assert_eq!((position.at(), position.is_behind()), (7, false));
    }

    #[test]
    fn a_hole_is_read_and_then_the_frame_behind_it_follows() {
        let mut position = Position::new(5, 5);
        assert_eq!(position.offer(&live(8)), Offered::Hole);

        let Caught::Up(released) = position.caught(7) else {
            panic!("caught up")
        };

        assert_eq!(
            released.iter().map(|frame| frame.rev).collect::<Vec<_>>(),
            [8]
        );
    }

    #[test]
    fn a_restart_goes_on_from_the_head() {
        let mut position = Position::new(0, 2_000);
        position.offer(&live(2_001));

        assert!(matches!(position.restart(1_990), Caught::Behind));
        let Caught::Up(released) = position.caught(2_000) else {
            panic!("caught up")
        };

        assert_eq!(released.len(), 1);
    }

    proptest! {
        /// Whatever is lost, repeated or late on the way, and whenever chat is asked: in order, and without a hole.
        #[test]
        fn what_is_delivered_is_the_log(
            start in 0_u32..20,
            gap in 0_u32..20,
            steps in prop::collection::vec((0_u8..4, 1_u32..6), 0..400),
        ) {
            let mut head = start + gap;
            let mut position = Position::new(start, head);
            let mut delivered: Vec<u32> = Vec::new();
            let mut read = start;
            for (step, n) in steps {
                match step {
                    // A change is stored and told.
                    0 | 1 => {
                        head += 1;
                        if position.offer(&live(head)) == Offered::Queue {
                            delivered.push(head);
                        }
                    }
                    // A change is stored, and its frame is lost.
                    2 => head += 1,
                    // Chat is asked for a few changes.
                    _ => {
                        if position.is_behind() {
                            let through = (position.at() + n).min(head);
                            delivered.extend(position.at() + 1..=through);
                            read = read.max(through);
                            if let Caught::Up(released) = position.caught(through) {
                                delivered.extend(released.iter().map(|frame| frame.rev));
                            }
                        }
                    }
                }
            }
            // In the end all is told, and chat is asked until it is enough.
            head += 1;
            if position.offer(&live(head)) == Offered::Queue {
                delivered.push(head);
            }
            while position.is_behind() {
                let through = (position.at() + 3).min(head);
                delivered.extend(position.at() + 1..=through);
                if let Caught::Up(released) = position.caught(through) {
                    delivered.extend(released.iter().map(|frame| frame.rev));
                }
            }
            prop_assert_eq!(delivered, (start + 1..=head).collect::<Vec<_>>());
        }
    }
}
