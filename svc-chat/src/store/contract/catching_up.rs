//! Promises of `changes`.
#![expect(missing_docs, reason = "the names are sentences")]

use std::collections::BTreeMap;

use futures::future::join_all;
use guildhall_kernel::Time;

use super::{Bench, Stage, channel, user, words};
use crate::{
    model::{Head, MessageId, Rev, Seq},
    store::timeline::{Changes, Place, REACH},
};

pub async fn changes_come_in_the_order_of_the_last_change_each_message_once(bench: &dyn Bench) {
    let stage = story(bench).await;

    let all = list(&stage, 0, 9).await;
    let some = list(&stage, 4, 9).await;

    // Message 1 was changed last by 7, 2 by 2, 3 by 5, 4 by 6.
    assert_eq!(all, (vec![(2, 2), (3, 5), (4, 6), (1, 7)], 7));
    assert_eq!(some, (vec![(3, 5), (4, 6), (1, 7)], 7));
    let Changes::Since { messages, head, .. } = changes(&stage, 4, 9).await else {
        panic!("within reach")
    };
    assert_eq!(messages[0].text, "", "present states, tombstones too");
    assert_eq!(messages[2].text, "edited again");
    assert_eq!(
        head,
        Head {
            seq: Seq(4),
            rev: Rev(7)
        }
    );
}

pub async fn a_list_cut_short_says_how_far_it_is_complete(bench: &dyn Bench) {
    let stage = story(bench).await;

    assert_eq!(list(&stage, 0, 1).await, (vec![(2, 2)], 2));
    assert_eq!(list(&stage, 2, 2).await, (vec![(3, 5), (4, 6)], 6));
    assert_eq!(list(&stage, 6, 2).await, (vec![(1, 7)], 7));
    assert_eq!(list(&stage, 2, 3).await, (vec![(3, 5), (4, 6), (1, 7)], 7));
    assert_eq!(list(&stage, 3, 0).await, (vec![], 3));
}

pub async fn at_the_head_there_is_nothing_to_tell(bench: &dyn Bench) {
    let stage = story(bench).await;

    assert_eq!(list(&stage, 7, 9).await, (vec![], 7));
    let empty = stage
        .timeline
        .changes(channel(9), Rev(0), 9)
        .await
        .expect("reads");
    let nothing = Changes::Since {
        messages: vec![],
        through: Rev(0),
        head: Head::default(),
    };
    assert_eq!(empty, nothing);
}

pub async fn above_the_head_and_beyond_the_reach_there_is_only_the_head(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(1), REACH + 1).await;
    let head = Head {
        seq: Seq(REACH + 1),
        rev: Rev(REACH + 1),
    };

    assert_eq!(
        changes(&stage, REACH + 2, 9).await,
        Changes::TooFar { head }
    );
    assert_eq!(changes(&stage, u32::MAX, 9).await, Changes::TooFar { head });
    assert_eq!(changes(&stage, 0, 9).await, Changes::TooFar { head });
    let (reached, through) = list(&stage, 1, usize::MAX).await;
    assert_eq!((reached.len(), through), (REACH as usize, REACH + 1));
}

pub async fn whoever_follows_the_changes_ends_in_the_stored_state(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let write = async |number: u8| {
        for post in 0..30_u8 {
            let posted = stage
                .post(channel(1), user(number), "text", &post.to_string())
                .await;
            if post % 2 == 0 {
                stage.edit(posted.id, user(number), "edited").await;
            }
            if post % 3 == 0 {
                stage.delete(posted.id, user(number)).await;
            }
        }
    };
    let follow = async |limit: usize| {
        let (mut seen, mut log) = (Rev(0), BTreeMap::new());
        // 4 writers, each 30 posts, 15 edits, 10 deletions.
        while seen < Rev(4 * 55) {
            let Changes::Since {
                messages,
                through,
                head,
            } = changes(&stage, seen.0, limit).await
            else {
                panic!("within reach")
            };
            assert!(through >= seen && through <= head.rev);
            let last = messages.last().map_or(seen, |message| message.rev);
            assert!(last <= through && messages.is_sorted_by_key(|message| message.rev));
            log.extend(
                messages
                    .into_iter()
                    .map(|message| (message.id.seq, message)),
            );
            seen = through;
        }
        log
    };

    let (_, one, two) = futures::join!(join_all((1..=4).map(write)), follow(3), follow(100));

    let stored = stage
        .timeline
        .history(channel(1), Place::Newest, 999)
        .await
        .expect("reads");
    assert_eq!(one.into_values().collect::<Vec<_>>(), stored.messages);
    assert_eq!(two.into_values().collect::<Vec<_>>(), stored.messages);
}

/// Posts 1, 2, 3; edits 1; deletes 3; posts 4; edits 1 again.
async fn story(bench: &dyn Bench) -> Stage<'_> {
    let stage = Stage::set(bench).await;
    let id = |seq| MessageId {
        channel: channel(1),
        seq: Seq(seq),
    };
    stage.fill(channel(1), user(1), 3).await;
    stage.edit(id(1), user(1), "edited").await;
    stage.delete(id(3), user(1)).await;
    stage.post(channel(1), user(1), "four", "four").await;
    let at = Time::from_micros(9);
    stage
        .timeline
        .edit(id(1), user(1), words("edited again"), at)
        .await
        .expect("is edited");
    stage
}

async fn changes(stage: &Stage<'_>, after: u32, limit: usize) -> Changes {
    stage
        .timeline
        .changes(channel(1), Rev(after), limit)
        .await
        .expect("reads")
}

/// The changes as (seq, rev), and through where.
async fn list(stage: &Stage<'_>, after: u32, limit: usize) -> (Vec<(u32, u32)>, u32) {
    let Changes::Since {
        messages, through, ..
    } = changes(stage, after, limit).await
    else {
        panic!("within reach")
    };
    let numbers = |message: &crate::model::Message| (message.id.seq.0, message.rev.0);
    (messages.iter().map(numbers).collect(), through.0)
}
