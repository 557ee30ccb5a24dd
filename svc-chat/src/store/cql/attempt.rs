//! A batch: its name, what it builds on, and its rows.

use guildhall_kernel::{ChannelId, Time};
use scylla::{
    statement::batch::{Batch, BatchType},
    value::{CqlValue, MaybeUnset},
};
use uuid::Uuid;

use super::{
    database::Database,
    plan::Plan,
    row::{Change, Tip, int},
};
use crate::model::Message;

/// A batch on its way.
pub(super) struct Attempt {
    /// What its changes carry.
    pub(super) name: Uuid,
    /// The end that it builds on.
    pub(super) from: Tip,
    pub(super) plan: Plan,
    pub(super) state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Never sent, or certainly not made.
    Open,
    /// Sent, outcome unknown.
    InDoubt,
    /// Made. What it changes in earlier buckets may still be pending.
    Made,
}

impl Attempt {
    /// Forgets whether it was sent.
    #[cfg(test)]
    pub(super) fn doubt(&mut self) {
        self.state = State::InDoubt;
    }

    /// The end once the batch is made. What is far is still pending then.
    pub(super) fn after(&self) -> Tip {
        let Self { from, plan, .. } = self;
        Tip {
            is_closed: plan.closes,
            head: plan.head,
            applied: if plan.is_far {
                from.applied
            } else {
                plan.head.rev
            },
            latest: plan.latest,
            ..*from
        }
    }

    /// The batch: the head first, on the condition of the old one.
    pub(super) fn batch(&self, channel: ChannelId, database: &Database) -> (Batch, Vec<Row>) {
        let Self {
            name, from, plan, ..
        } = self;
        let statements = &database.statements;
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_execution_profile_handle(Some(database.profiles.claim.clone()));
        batch.append_statement(statements.advance.clone());
        let to = self.after();
        let mut rows = vec![vec![
            big(to.head.seq.0),
            big(to.head.rev.0),
            big(to.applied.0),
            wide(to.latest),
            set(CqlValue::Boolean(to.is_closed)),
            id(channel.uuid()),
            set(CqlValue::Int(int(from.bucket))),
            big(from.head.seq.0),
            big(from.head.rev.0),
        ]];
        if !plan.is_far {
            for (seq, message) in &plan.messages {
                batch.append_statement(statements.put_message.clone());
                let later = plan.later.get(seq).copied();
                rows.push(message_row(from.bucket, message, later));
            }
        }
        for change in &plan.changes {
            batch.append_statement(statements.put_change.clone());
            rows.push(change_row(from.bucket, change, *name));
        }
        (batch, rows)
    }
}

type Row = Vec<MaybeUnset<CqlValue>>;

fn message_row(bucket: u32, message: &Message, later: Option<i64>) -> Row {
    vec![
        id(message.id.channel.uuid()),
        set(CqlValue::Int(int(bucket))),
        big(message.id.seq.0),
        big(message.rev.0),
        id(message.author.uuid()),
        text(message.key.as_str()),
        text(&message.text),
        wide(message.posted_at.micros()),
        maybe(later),
        maybe(message.edited_at.map(Time::micros)),
        maybe(message.deleted_at.map(Time::micros)),
    ]
}

fn change_row(bucket: u32, Change { what, message }: &Change, batch: Uuid) -> Row {
    vec![
        id(message.id.channel.uuid()),
        set(CqlValue::Int(int(bucket))),
        big(message.rev.0),
        big(message.id.seq.0),
        set(CqlValue::TinyInt(what.number())),
        id(message.author.uuid()),
        text(message.key.as_str()),
        text(&message.text),
        wide(message.posted_at.micros()),
        maybe(message.edited_at.map(Time::micros)),
        maybe(message.deleted_at.map(Time::micros)),
        id(batch),
    ]
}

fn set(value: CqlValue) -> MaybeUnset<CqlValue> {
    MaybeUnset::Set(value)
}

fn wide(number: i64) -> MaybeUnset<CqlValue> {
    set(CqlValue::BigInt(number))
}

fn big(number: u32) -> MaybeUnset<CqlValue> {
    wide(number.into())
}

fn id(uuid: Uuid) -> MaybeUnset<CqlValue> {
    set(CqlValue::Uuid(uuid))
}

fn text(text: &str) -> MaybeUnset<CqlValue> {
    set(CqlValue::Text(text.to_owned()))
}

fn maybe(number: Option<i64>) -> MaybeUnset<CqlValue> {
    MaybeUnset::from_option(number.map(CqlValue::BigInt))
}
