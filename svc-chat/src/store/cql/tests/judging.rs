//! Plans, without a server.

use std::collections::HashMap;

use guildhall_kernel::Time;

use super::{
    super::{
        plan::{Answer, Facts, MOST, Plan, Wish},
        row::Tip,
    },
    channel, draft, user, words,
};
use crate::{
    model::{Draft, Head, Message, MessageId, Rev, Seq},
    store::timeline::{Appended, Changed},
};

#[test]
fn equal_keys_of_a_group_have_one_outcome() {
    let wishes = [post("a"), post("b"), post("a")];

    let plan = plan(&at(0, 4, 9), &wishes, &Facts::default());

    let seqs: Vec<_> = plan.answers.iter().map(number).collect();
    assert_eq!(seqs, [(true, 5), (true, 6), (false, 5)]);
    assert_eq!((plan.changes.len(), plan.head), (2, head(6, 11)));
}

#[test]
fn a_plan_ends_with_the_last_message_of_its_bucket_and_closes_it() {
    let wishes = [post("a"), post("b"), post("c")];

    let plan = plan(&at(0, 8_190, 8_190), &wishes, &Facts::default());

    assert_eq!((plan.answers.len(), plan.closes), (2, true));
    assert_eq!(plan.head, head(8_192, 8_192));
}

#[test]
fn changes_of_earlier_buckets_share_no_batch_with_others() {
    let facts = facts(&[1, 2, 8_193]);
    let tip = at(1, 8_193, 20);
    let near = plan(&tip, &[edit(8_193, "x"), edit(1, "x")], &facts);
    let far = plan(&tip, &[edit(1, "x"), edit(2, "x"), post("a")], &facts);

    assert_eq!((near.answers.len(), near.is_far), (1, false));
    assert_eq!((far.answers.len(), far.is_far), (2, true));
    assert_eq!((far.head, far.messages.len()), (head(8_193, 22), 2));
}

#[test]
fn a_message_changed_twice_in_a_plan_is_written_once_as_the_last_change_left_it() {
    let wishes = [edit(1, "x"), edit(1, "y"), edit(1, "y"), delete(1)];

    let plan = plan(&at(0, 1, 1), &wishes, &facts(&[1]));

    let unchanged =
        matches!(&plan.answers[2], Answer::Changed(Changed::Unchanged(it)) if it.text == "y");
    assert!(unchanged, "{:?}", plan.answers[2]);
    let texts: Vec<_> = plan
        .changes
        .iter()
        .map(|it| it.message.text.as_str())
        .collect();
    assert_eq!(texts, ["x", "y", ""]);
    assert_eq!(plan.messages.len(), 1);
    assert_eq!(
        (plan.messages[&Seq(1)].rev, plan.head.rev),
        (Rev(4), Rev(4))
    );
}

#[test]
fn a_plan_has_so_many_changes_and_so_many_bytes_and_always_one() {
    let many: Vec<_> = (0..100).map(|key| post(&key.to_string())).collect();
    let long = "x".repeat(15_000);
    let long: Vec<_> = ["a", "b", "c"].map(|key| said(key, &long)).into();
    let longest = [said("a", &"\u{1f389}".repeat(16_000))];
    let nothing = Facts::default();

    assert_eq!(plan(&at(0, 0, 0), &many, &nothing).changes.len(), MOST);
    assert_eq!(plan(&at(0, 0, 0), &long, &nothing).changes.len(), 1);
    assert_eq!(plan(&at(0, 0, 0), &longest, &nothing).changes.len(), 1);
}

#[test]
fn the_latest_time_so_far_only_rises_and_stands_where_it_is_not_the_messages_own() {
    let wishes = [10, 20, 15].map(|at| {
        let draft = Draft {
            at: Time::from_micros(at),
            ..draft(1, &at.to_string())
        };
        Wish::Append(draft)
    });

    let plan = plan(&at(0, 0, 0), &wishes, &Facts::default());

    assert_eq!(
        (plan.latest, plan.later),
        (20, HashMap::from([(Seq(3), 20)]))
    );
}

fn plan(tip: &Tip, wishes: &[Wish], facts: &Facts) -> Plan {
    Plan::of(channel(1), tip, wishes.iter(), facts)
}

fn at(bucket: u32, seq: u32, rev: u32) -> Tip {
    Tip {
        bucket,
        is_open: true,
        head: head(seq, rev),
        applied: Rev(rev),
        ..Tip::EMPTY
    }
}

fn head(seq: u32, rev: u32) -> Head {
    Head {
        seq: Seq(seq),
        rev: Rev(rev),
    }
}

fn post(key: &str) -> Wish {
    Wish::Append(draft(1, key))
}

fn said(key: &str, text: &str) -> Wish {
    Wish::Append(Draft {
        text: words(text),
        ..draft(1, key)
    })
}

fn edit(seq: u32, text: &str) -> Wish {
    let at = Time::from_micros(7);
    Wish::Edit {
        seq: Seq(seq),
        editor: user(1),
        text: words(text),
        at,
    }
}

fn delete(seq: u32) -> Wish {
    let at = Time::from_micros(8);
    Wish::Delete {
        seq: Seq(seq),
        by: user(1),
        of_others: false,
        at,
    }
}

fn facts(seqs: &[u32]) -> Facts {
    let message = |seq: &u32| {
        let draft = draft(1, &seq.to_string());
        let id = MessageId {
            channel: channel(1),
            seq: Seq(*seq),
        };
        let message = Message {
            id,
            rev: Rev(1),
            author: draft.author,
            text: draft.text.as_str().to_owned(),
            key: draft.key,
            posted_at: draft.at,
            edited_at: None,
            deleted_at: None,
        };
        (Seq(*seq), message)
    };
    Facts {
        messages: seqs.iter().map(message).collect(),
        firsts: HashMap::new(),
    }
}

/// Whether it is new, and its number.
fn number(answer: &Answer) -> (bool, u32) {
    match answer {
        Answer::Appended(Appended::New(message)) => (true, message.id.seq.0),
        Answer::Appended(Appended::Repeat(message)) => (false, message.id.seq.0),
        Answer::Changed(_) | Answer::Full => panic!("{answer:?}"),
    }
}
