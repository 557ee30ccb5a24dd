//! Promises about read marks.
#![expect(missing_docs, reason = "the names are sentences")]

use guildhall_kernel::Time;

use super::{Bench, Stage, channel, draft, user};
use crate::{
    model::{Head, Mark, Rev, Seq},
    store::timeline::Moved,
};

/// When marks are moved, where that is not the point.
const AT: Time = Time::from_micros(1_000);

pub async fn a_mark_moves_up_never_down_and_never_above_the_head(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(1), 5).await;
    let head = Head {
        seq: Seq(5),
        rev: Rev(5),
    };
    let mark = async |to| {
        let moved = stage
            .timeline
            .mark_read(channel(1), user(2), Seq(to), AT)
            .await
            .expect("marks");
        assert_eq!(moved.head, head);
        assert_eq!(stage.mark(channel(1), user(2)).await, moved.to);
        (moved.from.0, moved.to.0)
    };

    assert_eq!(mark(3).await, (0, 3));
    assert_eq!(mark(2).await, (3, 3));
    assert_eq!(mark(3).await, (3, 3));
    assert_eq!(mark(0).await, (3, 3));
    assert_eq!(mark(u32::MAX).await, (3, 5));
    let nowhere = stage
        .timeline
        .mark_read(channel(9), user(2), Seq(3), AT)
        .await
        .expect("marks");
    assert_eq!(
        nowhere,
        Moved {
            from: Seq(0),
            to: Seq(0),
            head: Head::default()
        }
    );
}

pub async fn a_newcomer_starts_before_the_first_message_after_it_came(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    for (at, key) in [10, 20, 15, 30, 5, 40]
        .into_iter()
        .zip(["1", "2", "3", "4", "5", "6"])
    {
        let draft = draft(user(1), "text", key, at);
        stage
            .timeline
            .append(channel(1), draft)
            .await
            .expect("is posted");
    }

    for (reader, at, to) in [
        (2, 9, 0),
        (3, 10, 1),
        (4, 15, 1),
        (5, 20, 3),
        (6, 30, 5),
        (7, 40, 6),
    ] {
        let at = Time::from_micros(at);
        let moved = stage
            .timeline
            .mark_read_until(channel(1), user(reader), at)
            .await;
        let moved = moved.expect("marks");
        assert_eq!(
            (moved.from, moved.to, moved.head.seq),
            (Seq(0), Seq(to), Seq(6)),
            "{at}"
        );
        assert_eq!(stage.mark(channel(1), user(reader)).await, Seq(to), "{at}");
    }
    let early = Time::from_micros(i64::MIN);
    let never_down = stage
        .timeline
        .mark_read_until(channel(1), user(7), early)
        .await;
    let never_down = never_down.expect("marks");
    assert_eq!((never_down.from, never_down.to), (Seq(6), Seq(6)));
    let late = Time::from_micros(i64::MAX);
    let all = stage
        .timeline
        .mark_read_until(channel(1), user(8), late)
        .await
        .expect("marks");
    assert_eq!(all.to, Seq(6));
    let nowhere = stage
        .timeline
        .mark_read_until(channel(9), user(2), late)
        .await
        .expect("marks");
    assert_eq!(nowhere.to, Seq(0));
}

pub async fn who_came_later_starts_there_also_before_it_was_written_down(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    for (at, key) in [(10, "1"), (20, "2"), (15, "3"), (30, "4")] {
        let draft = draft(user(1), "text", key, at);
        let posted = stage.timeline.append(channel(1), draft).await;
        posted.expect("is posted");
    }
    let start = async |reader, at| {
        let came = (channel(1), Some(Time::from_micros(at)));
        let marks = stage.timeline.marks(user(reader), &[came]).await;
        marks.expect("reads")[0].seq.0
    };

    for (at, seq) in [(9, 0), (10, 1), (19, 1), (20, 3), (29, 3), (30, 4)] {
        assert_eq!(start(2, at).await, seq, "{at}");
    }
    let mark = stage.timeline.mark_read(channel(1), user(2), Seq(2), AT);
    mark.await.expect("marks");
    assert_eq!(start(2, 10).await, 2, "read on since");
    assert_eq!(start(2, 30).await, 4, "came back since");
    assert_eq!(start(1, 10).await, 4, "posted since");
}

pub async fn what_is_posted_after_a_start_was_written_down_is_unread_whatever_its_time(
    bench: &dyn Bench,
) {
    let stage = Stage::set(bench).await;
    let post = async |key, at| {
        let draft = draft(user(1), "text", key, at);
        let posted = stage.timeline.append(channel(1), draft).await;
        posted.expect("is posted");
    };
    let came = Time::from_micros(25);
    post("1", 10).await;
    post("2", 20).await;
    let placed = stage.timeline.mark_read_until(channel(1), user(2), came);
    assert_eq!(placed.await.expect("marks").to, Seq(2));
    let empty = stage.timeline.mark_read_until(channel(2), user(2), came);
    assert_eq!(empty.await.expect("marks").to, Seq(0));

    // The clock was set back.
    post("3", 5).await;
    let early = stage
        .timeline
        .append(channel(2), draft(user(1), "text", "1", 5));
    early.await.expect("is posted");

    let marks = stage.marks(user(2), &[channel(1), channel(2)]).await;
    assert_eq!((marks[0].seq, marks[1].seq), (Seq(2), Seq(0)));
    let moved = stage.timeline.mark_read(channel(1), user(2), Seq(1), AT);
    let moved = moved.await.expect("marks");
    assert_eq!((moved.from, moved.to), (Seq(2), Seq(2)));
    assert_eq!(stage.mark(channel(1), user(2)).await, moved.to);
}

pub async fn a_mark_knows_when_its_reader_last_moved_it(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(1), 5).await;
    let read_at = async || stage.marks(user(2), &[channel(1)]).await[0].read_at;
    let mark = async |to, at| {
        let at = Time::from_micros(at);
        let moved = stage.timeline.mark_read(channel(1), user(2), Seq(to), at);
        moved.await.expect("marks");
    };
    let late = Time::from_micros(i64::MAX);

    assert_eq!(read_at().await, None);
    mark(2, 7).await;
    mark(1, 8).await;
    assert_eq!(read_at().await, Some(Time::from_micros(7)));
    let placed = stage.timeline.mark_read_until(channel(1), user(2), late);
    placed.await.expect("marks");
    assert_eq!(read_at().await, Some(Time::from_micros(7)), "not by them");
    let placed = stage.timeline.mark_read_until(channel(1), user(3), late);
    placed.await.expect("marks");
    assert_eq!(stage.marks(user(3), &[channel(1)]).await[0].read_at, None);
}

pub async fn marks_come_in_the_order_asked_and_outlive_a_restart(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    for number in 1..=3 {
        stage.fill(channel(number), user(1), 4).await;
        let to = Seq(u32::from(number));
        stage
            .timeline
            .mark_read(channel(number), user(2), to, AT)
            .await
            .expect("marks");
    }
    let stage = stage.reopen().await;

    let asked = [channel(3), channel(9), channel(1), channel(2), channel(3)];
    let marks = stage.marks(user(2), &asked).await;

    let mark = |seq| Mark {
        seq: Seq(seq),
        read_at: (seq > 0).then_some(AT),
    };
    assert_eq!(marks, [3, 0, 1, 2, 3].map(mark));
    assert_eq!(stage.marks(user(3), &asked).await, [Mark::default(); 5]);
    let many: Vec<_> = (0..=250).map(channel).collect();
    let marks = stage.marks(user(2), &many).await;
    assert_eq!((marks.len(), marks[2]), (many.len(), mark(2)));
}

pub async fn readers_are_listed_by_user_page_by_page(bench: &dyn Bench) {
    let stage = Stage::set(bench).await;
    stage.fill(channel(1), user(5), 3).await;
    for (reader, to) in [(9, 1), (0, 2), (255, 3)] {
        stage
            .timeline
            .mark_read(channel(1), user(reader), Seq(to), AT)
            .await
            .expect("marks");
    }
    let list = async |after: Option<u8>, limit| {
        let listed = stage
            .timeline
            .readers(channel(1), after.map(user), limit)
            .await;
        listed
            .expect("reads")
            .into_iter()
            .map(|(user, seq)| (user.bytes()[0], seq.0))
            .collect()
    };

    let all: Vec<_> = list(None, 99).await;
    let first: Vec<_> = list(None, 2).await;
    let rest: Vec<_> = list(Some(5), 2).await;
    let between: Vec<_> = list(Some(6), 1).await;
    let none: Vec<_> = list(Some(255), 9).await;

    assert_eq!(all, [(0, 2), (5, 3), (9, 1), (255, 3)]);
    assert_eq!(first, [(0, 2), (5, 3)]);
    assert_eq!(rest, [(9, 1), (255, 3)]);
    assert_eq!(between, [(9, 1)]);
    assert_eq!(none, []);
}
