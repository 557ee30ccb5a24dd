//! Promises of `edit` and `delete`.
#![expect(missing_docs, reason = "the names are sentences")]

use std::collections::BTreeSet;

use futures::future::join_all;
use guildhall_kernel::Time;

use super::{Bench, Stage, channel, user, words};
use crate::{
    model::{Head, MessageId, Rev, Seq},
    store::timeline::Changed,
};

const LATER: Time = Time::from_micros(77);

pub async fn an_edit_changes_the_text_and_takes_the_next_rev(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;
    stage.post(channel(1), user(2), "two", "b").await;

    let edited = stage
        .timeline
        .edit(posted.id, user(1), words("new"), LATER)
        .await;

    let edited = super::done(edited.expect("answers"));
    assert_eq!(
        (edited.text.as_str(), edited.rev, edited.edited_at),
        ("new", Rev(3), Some(LATER))
    );
    assert_eq!(
        (edited.id, edited.author, &edited.key, edited.posted_at),
        (posted.id, posted.author, &posted.key, posted.posted_at)
    );
    assert_eq!(
        stage.timeline.message(posted.id).await.expect("reads"),
        Some(edited)
    );
    assert_eq!(
        stage.head(channel(1)).await,
        Head {
            seq: Seq(2),
            rev: Rev(3)
        }
    );
}

pub async fn the_same_text_again_is_no_change(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;

    let same = stage
        .timeline
        .edit(posted.id, user(1), words("one"), LATER)
        .await;

    assert_eq!(same.expect("answers"), Changed::Unchanged(posted));
    assert_eq!(stage.head(channel(1)).await.rev, Rev(1));
}

pub async fn only_the_author_edits(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;

    let refused = stage
        .timeline
        .edit(posted.id, user(2), words("two"), LATER)
        .await;
    let refused_same = stage
        .timeline
        .edit(posted.id, user(2), words("one"), LATER)
        .await;
    stage.delete(posted.id, user(1)).await;
    let refused_gone = stage
        .timeline
        .edit(posted.id, user(2), words("two"), LATER)
        .await;

    for answer in [refused, refused_same, refused_gone] {
        assert_eq!(answer.expect("answers"), Changed::NotAuthor);
    }
    assert_eq!(stage.head(channel(1)).await.rev, Rev(2));
}

pub async fn a_deleted_message_cannot_be_edited(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;
    let deleted = stage.delete(posted.id, user(1)).await;

    let refused = stage
        .timeline
        .edit(posted.id, user(1), words("back"), LATER)
        .await;

    assert_eq!(refused.expect("answers"), Changed::Deleted);
    assert_eq!(
        stage.timeline.message(posted.id).await.expect("reads"),
        Some(deleted)
    );
}

pub async fn a_deletion_leaves_an_empty_tombstone_in_its_place(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;
    stage.post(channel(1), user(1), "two", "b").await;
    let edited = stage.edit(posted.id, user(1), "edited").await;

    let deleted = stage
        .timeline
        .delete(posted.id, user(1), false, LATER)
        .await;

    let deleted = super::done(deleted.expect("answers"));
    assert_eq!(
        (deleted.text.as_str(), deleted.rev, deleted.deleted_at),
        ("", Rev(4), Some(LATER))
    );
    assert_eq!(
        (deleted.id, deleted.author, &deleted.key),
        (edited.id, edited.author, &edited.key)
    );
    assert_eq!(
        (deleted.posted_at, deleted.edited_at),
        (edited.posted_at, edited.edited_at)
    );
    assert_eq!(
        stage.timeline.message(posted.id).await.expect("reads"),
        Some(deleted)
    );
    assert_eq!(
        stage.head(channel(1)).await,
        Head {
            seq: Seq(2),
            rev: Rev(4)
        }
    );
}

pub async fn deleting_again_is_no_change(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;
    let deleted = stage.delete(posted.id, user(1)).await;

    let again = stage
        .timeline
        .delete(posted.id, user(1), false, LATER)
        .await;
    let by_another = stage.timeline.delete(posted.id, user(2), true, LATER).await;

    assert_eq!(again.expect("answers"), Changed::Unchanged(deleted.clone()));
    assert_eq!(by_another.expect("answers"), Changed::Unchanged(deleted));
    assert_eq!(stage.head(channel(1)).await.rev, Rev(2));
}

pub async fn others_delete_only_where_they_may(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    let posted = stage.post(channel(1), user(1), "one", "a").await;

    let refused = stage
        .timeline
        .delete(posted.id, user(2), false, LATER)
        .await;
    assert_eq!(refused.expect("answers"), Changed::NotAuthor);
    let unharmed = stage.timeline.message(posted.id).await.expect("reads");
    assert_eq!(unharmed, Some(posted.clone()));

    let deleted = stage.timeline.delete(posted.id, user(2), true, LATER).await;
    let refused = stage
        .timeline
        .delete(posted.id, user(2), false, LATER)
        .await;

    assert_eq!(super::done(deleted.expect("answers")).author, user(1));
    assert_eq!(refused.expect("answers"), Changed::NotAuthor);
}

pub async fn what_is_not_there_is_missing_to_every_change(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.post(channel(1), user(1), "one", "a").await;

    for (channel, seq) in [(channel(1), 0), (channel(1), 2), (channel(2), 1)] {
        let id = MessageId {
            channel,
            seq: Seq(seq),
        };
        let edit = stage.timeline.edit(id, user(1), words("new"), LATER).await;
        let delete = stage.timeline.delete(id, user(1), true, LATER).await;
        assert_eq!(edit.expect("answers"), Changed::Missing, "{id:?}");
        assert_eq!(delete.expect("answers"), Changed::Missing, "{id:?}");
    }
}

pub async fn changes_at_the_same_moment_take_a_rev_each_and_refused_ones_none(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(1), 10).await;
    let id = |number: u32| MessageId {
        channel: channel(1),
        seq: Seq(1 + number % 10),
    };

    // Each message is edited many times, by its author and by a stranger, and somewhere in between deleted, twice.
    let timeline = &stage.timeline;
    let edits = (0..200).map(|number| {
        let editor = user(1 + u8::from(number % 4 == 3));
        timeline.edit(id(number), editor, words(&number.to_string()), LATER)
    });
    let deletes = (0..20).map(|number| timeline.delete(id(number), user(1), false, LATER));
    let (edits, deletes) = futures::join!(join_all(edits), join_all(deletes));

    let mut revs = BTreeSet::new();
    for changed in edits.into_iter().chain(deletes) {
        if let Changed::Done(message) = changed.expect("answers") {
            assert!(
                revs.insert(message.rev),
                "{:?} was given twice",
                message.rev
            );
        }
    }
    let taken: Vec<_> = revs.iter().map(|rev| rev.0).collect();
    let expected: Vec<_> = (11..=stage.head(channel(1)).await.rev.0).collect();
    assert_eq!(taken, expected);
}
