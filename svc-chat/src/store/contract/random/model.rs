//! What a timeline should be.

use std::collections::{BTreeMap, HashMap};

use guildhall_kernel::{Key, Time};
use guildhall_mesh::Note;

use super::{super::user, Answer, CHANNELS, Call, DELETED, EDITED, channel_of};
use crate::{
    event,
    model::{Epoch, Head, Mark, Message, MessageId, Rev, Seq},
    store::timeline::{Appended, Changed, Changes, History, Moved, Newest, Place},
};

/// A list of messages a channel, looked through from end to end.
#[derive(Default)]
pub(super) struct Model {
    case: u32,
    logs: HashMap<u8, Log>,
    /// The events of its changes.
    pub(super) told: Vec<Note>,
}

#[derive(Default)]
struct Log {
    messages: Vec<Message>,
    rev: u32,
    marks: BTreeMap<u8, Mark>,
}

impl Model {
    /// No messages yet; `case` is a part of its channels' ids.
    pub(super) fn of(case: u32) -> Self {
        Self {
            case,
            ..Self::default()
        }
    }

    pub(super) fn ask(&mut self, call: &Call, epoch: &Epoch) -> Answer {
        match *call {
            Call::Append {
                channel,
                author,
                key,
                text,
                at,
            } => {
                let at = Time::from_micros(at);
                let said = (key.to_string(), text.to_string());
                Answer::Appended(self.append(channel, author, said, at, epoch))
            }
            Call::Edit {
                channel,
                seq,
                editor,
                text,
            } => Answer::Changed(self.edit((channel, seq), editor, text.to_string(), epoch)),
            Call::Delete {
                channel,
                seq,
                by,
                of_others,
            } => Answer::Changed(self.delete((channel, seq), by, of_others, epoch)),
            Call::Mark {
                channel,
                user,
                to,
                at,
            } => Answer::Moved(
                self.log(channel)
                    .mark(user, to, Some(Time::from_micros(at))),
            ),
            Call::MarkUntil { channel, user, at } => {
                let log = self.log(channel);
                let to = log.until(at);
                Answer::Moved(log.mark(user, to, None))
            }
            Call::Message { channel, seq } => Answer::Message(self.log(channel).find(seq).cloned()),
            Call::History {
                channel,
                place,
                limit,
            } => Answer::History(self.log(channel).history(place, limit)),
            Call::Changes {
                channel,
                after,
                limit,
            } => Answer::Changes(self.log(channel).changes(after, limit)),
            Call::Heads => Answer::Heads(self.of_all(|log| Newest {
                head: log.head(),
                message: log.messages.last().cloned(),
            })),
            Call::Marks { user, came } => Answer::Marks(self.of_all(|log| {
                let mark = log.read_by(user);
                let start = came.map_or(0, |came| log.until(came));
                let seq = mark.seq.max(Seq(start));
                Mark { seq, ..mark }
            })),
            Call::Readers {
                channel,
                after,
                limit,
            } => {
                let marks = &self.log(channel).marks;
                let marks = marks.iter().filter(|(reader, _)| Some(**reader) > after);
                let readers = marks
                    .take(limit)
                    .map(|(reader, mark)| (user(*reader), mark.seq));
                Answer::Readers(readers.collect())
            }
            Call::Reopen => unreachable!("changes nothing"),
        }
    }

    fn append(
        &mut self,
        channel: u8,
        author: u8,
        (key, text): (String, String),
        posted_at: Time,
        epoch: &Epoch,
    ) -> Appended {
        let case = self.case;
        let log = self.log(channel);
        let same =
            |message: &&Message| message.author == user(author) && message.key.as_str() == key;
        if let Some(first) = log.messages.iter().find(same) {
            return Appended::Repeat(first.clone());
        }
        log.rev += 1;
        let seq = number(log.messages.len() + 1);
        let message = Message {
            id: MessageId {
                channel: channel_of(case, channel),
                seq: Seq(seq),
            },
            rev: Rev(log.rev),
            author: user(author),
            text,
            key: Key::parse(&key).expect("a key"),
            posted_at,
            edited_at: None,
            deleted_at: None,
        };
        log.messages.push(message.clone());
        let mark = Mark {
            seq: Seq(seq),
            read_at: Some(posted_at),
        };
        log.marks.insert(author, mark);
        self.told.push(event::posted(epoch, &message));
        Appended::New(message)
    }

    fn edit(
        &mut self,
        (channel, seq): (u8, u32),
        editor: u8,
        text: String,
        epoch: &Epoch,
    ) -> Changed {
        let log = self.log(channel);
        let rev = log.rev + 1;
        let Some(message) = log.find(seq) else {
            return Changed::Missing;
        };
        if message.author != user(editor) {
            return Changed::NotAuthor;
        }
        if message.deleted_at.is_some() {
            return Changed::Deleted;
        }
        if message.text == text {
            return Changed::Unchanged(message.clone());
        }
        message.rev = Rev(rev);
        message.text = text;
        message.edited_at = Some(EDITED);
        let message = message.clone();
        log.rev = rev;
        self.told.push(event::edited(epoch, &message));
        Changed::Done(message)
    }

    fn delete(
        &mut self,
        (channel, seq): (u8, u32),
        by: u8,
        of_others: bool,
        epoch: &Epoch,
    ) -> Changed {
        let log = self.log(channel);
        let rev = log.rev + 1;
        let Some(message) = log.find(seq) else {
            return Changed::Missing;
        };
        if message.author != user(by) && !of_others {
            return Changed::NotAuthor;
        }
        if message.deleted_at.is_some() {
            return Changed::Unchanged(message.clone());
        }
        message.rev = Rev(rev);
        message.text.clear();
        message.deleted_at = Some(DELETED);
        let message = message.clone();
        log.rev = rev;
        self.told.push(event::deleted(epoch, &message));
        Changed::Done(message)
    }

    fn log(&mut self, channel: u8) -> &mut Log {
        self.logs.entry(channel).or_default()
    }

    fn of_all<T>(&mut self, read: impl Fn(&Log) -> T) -> Vec<T> {
        (0..=CHANNELS)
            .map(|channel| read(self.log(channel)))
            .collect()
    }
}

impl Log {
    fn find(&mut self, seq: u32) -> Option<&mut Message> {
        self.messages
            .iter_mut()
            .find(|message| message.id.seq.0 == seq)
    }

    fn head(&self) -> Head {
        Head {
            seq: Seq(number(self.messages.len())),
            rev: Rev(self.rev),
        }
    }

    fn read_by(&self, user: u8) -> Mark {
        self.marks.get(&user).copied().unwrap_or_default()
    }

    /// The last message before the first one posted after an instant.
    fn until(&self, at: i64) -> u32 {
        let early = |message: &&Message| message.posted_at.micros() <= at;
        number(self.messages.iter().take_while(early).count())
    }

    fn mark(&mut self, user: u8, to: u32, at: Option<Time>) -> Moved {
        let (before, head) = (self.read_by(user), self.head());
        let from = before.seq;
        let to = Seq(to).min(head.seq).max(from);
        if to > from {
            let read_at = at.or(before.read_at);
            self.marks.insert(user, Mark { seq: to, read_at });
        }
        Moved { from, to, head }
    }

    fn history(&self, place: Place, limit: usize) -> History {
        // Everything stands on one side of the place or the other.
        let seq_of = |message: &Message| message.id.seq;
        let all = &self.messages;
        let cut = match place {
            Place::Newest => all.len(),
            Place::Before(seq) => all.iter().filter(|it| seq_of(it) < seq).count(),
            Place::After(seq) | Place::Around(seq) => {
                all.iter().filter(|it| seq_of(it) <= seq).count()
            }
            Place::BeforeTime(time) => all.iter().take_while(|it| it.posted_at < time).count(),
        };
        let (below, above) = match place {
            Place::Newest | Place::Before(_) | Place::BeforeTime(_) => (limit, 0),
            Place::After(_) => (0, limit),
            Place::Around(_) => (limit.div_ceil(2), limit / 2),
        };
        let start = cut.saturating_sub(below);
        let end = (cut + above).min(all.len());
        History {
            messages: all[start..end].to_vec(),
            has_older: start > 0,
            has_newer: end < all.len(),
            head: self.head(),
        }
    }

    fn changes(&self, after: u32, limit: usize) -> Changes {
        let head = self.head();
        if after > head.rev.0 {
            return Changes::TooFar { head };
        }
        let mut messages: Vec<_> = self
            .messages
            .iter()
            .filter(|message| message.rev > Rev(after))
            .cloned()
            .collect();
        messages.sort_by_key(|message| message.rev);
        let mut through = head.rev;
        if messages.len() > limit {
            messages.truncate(limit);
            through = messages.last().map_or(Rev(after), |message| message.rev);
        }
        Changes::Since {
            messages,
            through,
            head,
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a short log")
}
