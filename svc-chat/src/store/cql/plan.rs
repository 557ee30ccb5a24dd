//! What a group of wishes comes to on the end of a channel's log: judged in their order, pure.
//!
//! A plan holds for one head. If the batch that writes it goes through on the condition of that head, nobody changed the channel in
//! between, so what was judged is what was true.

use std::collections::{BTreeMap, HashMap};

use guildhall_kernel::{ChannelId, Key, Time, UserId};

use super::row::{Change, Tip, What, bucket_of, last_of};
use crate::{
    model::{Draft, Head, Message, MessageId, Rev, Seq, Text},
    store::timeline::{Appended, Changed},
};

/// How many changes share a batch.
pub(super) const MOST: usize = 32;
/// How many bytes of text and key share one, roughly. A single change may be longer.
const MOST_BYTES: usize = 32 << 10;

/// What somebody wants of a channel.
#[derive(Debug)]
pub(super) enum Wish {
    Append(Draft),
    Edit {
        seq: Seq,
        editor: UserId,
        text: Text,
        at: Time,
    },
    Delete {
        seq: Seq,
        by: UserId,
        of_others: bool,
        at: Time,
    },
}

impl Wish {
    /// How long it is in a batch, roughly: a post stands there as a message and as a change.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(draft) => 2 * (draft.text.as_str().len() + draft.key.as_str().len()),
            Self::Edit { text, .. } => 2 * text.as_str().len(),
            Self::Delete { .. } => 0,
        }
    }
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Appended(Appended),
    Changed(Changed),
    /// The channel's numbers are used up.
    Full,
}

/// What was read for judging.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Messages in their present state.
    pub(super) messages: HashMap<Seq, Message>,
    /// What was posted under the keys of the group.
    pub(super) firsts: HashMap<(UserId, Key), Seq>,
}

impl Facts {
    /// The newest change of what was read.
    pub(super) fn newest(&self) -> Rev {
        let revs = self.messages.values().map(|message| message.rev);
        revs.max().unwrap_or_default()
    }
}

/// What is to be written, and what to answer then.
#[derive(Debug)]
pub(super) struct Plan {
    /// One for each of the first wishes; the rest waits for the next plan.
    pub(super) answers: Vec<Answer>,
    /// In the order of their revs.
    pub(super) changes: Vec<Change>,
    /// The messages as the last change left them.
    pub(super) messages: BTreeMap<Seq, Message>,
    /// The latest time so far, for messages that were posted at an earlier one.
    pub(super) later: HashMap<Seq, i64>,
    pub(super) head: Head,
    pub(super) latest: i64,
    /// Whether it holds the last message of its bucket.
    pub(super) closes: bool,
    /// Whether it changes messages of earlier buckets, which a batch cannot reach. Such changes do not share one with others.
    pub(super) is_far: bool,
}

impl Plan {
    pub(super) fn of<'a>(
        channel: ChannelId,
        tip: &Tip,
        wishes: impl Iterator<Item = &'a Wish>,
        facts: &Facts,
    ) -> Self {
        let plan = Self {
            answers: Vec::new(),
            changes: Vec::new(),
            messages: BTreeMap::new(),
            later: HashMap::new(),
            head: tip.head,
            latest: tip.latest,
            closes: false,
            is_far: false,
        };
        let mut judge = Judge {
            channel,
            tip,
            facts,
            plan,
            posted: HashMap::new(),
        };
        let mut bytes = 0;
        for wish in wishes {
            let changes = judge.plan.changes.len();
            bytes += wish.bytes();
            if changes == MOST || (changes > 0 && bytes > MOST_BYTES) || judge.plan.closes {
                break;
            }
            let Some(answer) = judge.answer(wish) else {
                break;
            };
            judge.plan.answers.push(answer);
        }
        judge.plan
    }
}

impl Plan {
    /// Whether it holds a new message.
    pub(super) fn posts(&self) -> bool {
        self.changes
            .iter()
            .any(|change| change.what == What::Posted)
    }
}

struct Judge<'a> {
    channel: ChannelId,
    tip: &'a Tip,
    facts: &'a Facts,
    plan: Plan,
    /// What the plan itself posts, by author and key.
    posted: HashMap<(UserId, Key), Seq>,
}

impl Judge<'_> {
    /// `None`: not in this plan.
    fn answer(&mut self, wish: &Wish) -> Option<Answer> {
        match wish {
            Wish::Append(draft) => self.append(draft),
            Wish::Edit {
                seq,
                editor,
                text,
                at,
            } => self.edit(*seq, *editor, text, *at),
            Wish::Delete {
                seq,
                by,
                of_others,
                at,
            } => self.delete(*seq, *by, *of_others, *at),
        }
    }

    fn append(&mut self, draft: &Draft) -> Option<Answer> {
        let key = (draft.author, draft.key.clone());
        let first = self
            .posted
            .get(&key)
            .or_else(|| self.facts.firsts.get(&key));
        if let Some(first) = first.and_then(|seq| self.present(*seq)) {
            return Some(Answer::Appended(Appended::Repeat(first)));
        }
        let (Some(seq), Some(rev)) = (self.plan.head.seq.next(), self.plan.head.rev.next()) else {
            return Some(Answer::Full);
        };
        if self.plan.is_far {
            return None;
        }
        let message = Message {
            id: MessageId {
                channel: self.channel,
                seq,
            },
            rev,
            author: draft.author,
            text: draft.text.as_str().to_owned(),
            key: draft.key.clone(),
            posted_at: draft.at,
            edited_at: None,
            deleted_at: None,
        };
        let plan = &mut self.plan;
        plan.head.seq = seq;
        plan.latest = plan.latest.max(draft.at.micros());
        if plan.latest != draft.at.micros() {
            plan.later.insert(seq, plan.latest);
        }
        plan.closes = !self.tip.is_closed && seq == last_of(self.tip.bucket);
        self.posted.insert(key, seq);
        self.keep(What::Posted, &message);
        Some(Answer::Appended(Appended::New(message)))
    }

    fn edit(&mut self, seq: Seq, editor: UserId, text: &Text, at: Time) -> Option<Answer> {
        let Some(mut message) = self.present(seq) else {
            return Some(Answer::Changed(Changed::Missing));
        };
        if message.author != editor {
            return Some(Answer::Changed(Changed::NotAuthor));
        }
        if message.deleted_at.is_some() {
            return Some(Answer::Changed(Changed::Deleted));
        }
        if message.text == text.as_str() {
            return Some(Answer::Changed(Changed::Unchanged(message)));
        }
        text.as_str().clone_into(&mut message.text);
        message.edited_at = Some(at);
        self.change(What::Edited, message)
    }

    fn delete(&mut self, seq: Seq, by: UserId, of_others: bool, at: Time) -> Option<Answer> {
        let Some(mut message) = self.present(seq) else {
            return Some(Answer::Changed(Changed::Missing));
        };
        if message.author != by && !of_others {
            return Some(Answer::Changed(Changed::NotAuthor));
        }
        if message.deleted_at.is_some() {
            return Some(Answer::Changed(Changed::Unchanged(message)));
        }
        message.text.clear();
        message.deleted_at = Some(at);
        self.change(What::Deleted, message)
    }

    /// Gives a changed message the next rev.
    fn change(&mut self, what: What, mut message: Message) -> Option<Answer> {
        let Some(rev) = self.plan.head.rev.next() else {
            return Some(Answer::Full);
        };
        let is_far = bucket_of(message.id.seq) != self.tip.bucket;
        if !self.plan.changes.is_empty() && is_far != self.plan.is_far {
            return None;
        }
        self.plan.is_far = is_far;
        message.rev = rev;
        self.keep(what, &message);
        Some(Answer::Changed(Changed::Done(message)))
    }

    fn keep(&mut self, what: What, message: &Message) {
        self.plan.head.rev = message.rev;
        self.plan.messages.insert(message.id.seq, message.clone());
        self.plan.changes.push(Change {
            what,
            message: message.clone(),
        });
    }

    /// The message as the plan has it so far.
    fn present(&self, seq: Seq) -> Option<Message> {
        let planned = self.plan.messages.get(&seq);
        planned.or_else(|| self.facts.messages.get(&seq)).cloned()
    }
}
