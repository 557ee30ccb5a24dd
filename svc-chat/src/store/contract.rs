//! The promises of [`Timeline`] as tests. Every engine passes them unchanged.
//!
//! An engine brings a [`Bench`] and says `contract::suite!(bench)`; each promise becomes one test of that name. A promise is added
//! as a function of one of the files here and as a line of the list below; a test of our own finds one that lacks its line.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use guildhall_kernel::{ChannelId, Key, Time, UserId};
use guildhall_mesh::LocalBus;

use super::timeline::{Appended, Changed, Timeline};
use crate::model::{Draft, Head, Mark, Message, MessageId, Seq, Text};

pub mod catching_up;
pub mod changing;
pub mod marking;
pub mod posting;
pub mod random;
pub mod reading;
pub mod telling;

/// One store of the engine under test; what is in it survives being closed.
#[async_trait]
pub trait Bench: Send + Sync + 'static {
    /// Opens the store, making it where it is missing. With a bus its changes are told there; without one nothing is told, as
    /// in a process that dies between commit and telling.
    async fn open(&self, bus: Option<LocalBus>) -> Arc<dyn Timeline>;
    /// Ends what `open` gave last.
    async fn close(&self);
    /// Opens another store, empty, for as long as it is held.
    async fn another(&self) -> Arc<dyn Timeline>;
    /// Makes a channel's numbers stand at `head`, as if so much had happened. Called while the store is closed.
    async fn wind(&self, channel: ChannelId, head: Head);
}

/// Makes a test of each promise. `$bench` is a function that gives a new, empty [`Bench`]; or, after the word `served`, an async one
/// that gives it where there is a server, and else says so and lets the test pass.
#[macro_export]
macro_rules! timeline_contract {
    (served $bench:path) => {
        $crate::store::contract::timeline_contract! { @list served $bench }
    };
    ($bench:path) => {
        $crate::store::contract::timeline_contract! { @list embedded $bench }
    };
    (@list $engine:ident $bench:path) => {
        $crate::store::contract::timeline_contract! { @ $engine $bench:
            posting {
                the_first_message_is_number_one_and_the_next_the_next
                channels_count_for_themselves
                a_repeated_post_returns_the_first_message_in_its_present_state
                a_key_belongs_to_its_author_and_its_channel
                a_repeat_is_known_after_a_restart
                equal_keys_at_the_same_moment_leave_one_message
                posting_moves_its_authors_mark_and_repeating_moves_nothing
                a_text_comes_back_as_it_was_said
                a_full_channel_refuses_what_needs_a_number_and_knows_repeats
                many_writers_leave_no_gap_and_each_keeps_its_order
                an_epoch_outlives_a_restart_and_no_two_stores_share_one
            }
            changing {
                an_edit_changes_the_text_and_takes_the_next_rev
                the_same_text_again_is_no_change
                only_the_author_edits
                a_deleted_message_cannot_be_edited
                a_deletion_leaves_an_empty_tombstone_in_its_place
                deleting_again_is_no_change
                others_delete_only_where_they_may
                what_is_not_there_is_missing_to_every_change
                changes_at_the_same_moment_take_a_rev_each_and_refused_ones_none
            }
            reading {
                a_page_is_cut_where_its_place_says
                an_instant_stands_before_the_first_message_from_it_on
                walking_page_by_page_meets_every_message_once
                a_page_lacks_nothing_that_its_head_counts
                heads_come_in_the_order_asked_with_the_newest_message
                a_message_is_found_by_its_id_only
                what_was_written_is_read_after_a_restart
            }
            catching_up {
                changes_come_in_the_order_of_the_last_change_each_message_once
                a_list_cut_short_says_how_far_it_is_complete
                at_the_head_there_is_nothing_to_tell
                above_the_head_and_beyond_the_reach_there_is_only_the_head
                whoever_follows_the_changes_ends_in_the_stored_state
            }
            marking {
                a_mark_moves_up_never_down_and_never_above_the_head
                a_newcomer_starts_before_the_first_message_after_it_came
                who_came_later_starts_there_also_before_it_was_written_down
                what_is_posted_after_a_start_was_written_down_is_unread_whatever_its_time
                a_mark_knows_when_its_reader_last_moved_it
                marks_come_in_the_order_asked_and_outlive_a_restart
                readers_are_listed_by_user_page_by_page
            }
            telling {
                every_change_is_told_once_in_the_order_of_revs
                what_changes_nothing_is_not_told
                what_was_not_told_before_a_cut_is_told_after_it
                writers_at_the_same_moment_are_told_in_the_order_of_revs
            }
            random {
                whatever_is_done_it_behaves_like_a_list_in_memory
            }
        }
    };
    (@ embedded $bench:path: $($part:ident { $($promise:ident)* })*) => { $($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            $crate::store::contract::$part::$promise(&$bench()).await;
        }
    )*)* };
    (@ served $bench:path: $($part:ident { $($promise:ident)* })*) => { $($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            if let Some(bench) = $bench().await {
                $crate::store::contract::$part::$promise(&bench).await;
            }
        }
    )*)* };
}

pub use timeline_contract;

pub use timeline_contract as suite;

/// An open store with words for what tests do to it.
struct Stage<'a> {
    bench: &'a dyn Bench,
    timeline: Arc<dyn Timeline>,
}

impl<'a> Stage<'a> {
    async fn set(bench: &'a dyn Bench) -> Self {
        Self {
            bench,
            timeline: bench.open(None).await,
        }
    }

    async fn reopen(self) -> Self {
        self.bench.close().await;
        Self::set(self.bench).await
    }

    /// Posts what must be new.
    async fn post(&self, channel: ChannelId, author: UserId, text: &str, key: &str) -> Message {
        let draft = draft(author, text, key, 0);
        match self
            .timeline
            .append(channel, draft)
            .await
            .expect("is posted")
        {
            Appended::New(message) => message,
            Appended::Repeat(first) => panic!("{key} was there: {first:?}"),
        }
    }

    /// Posts `count` messages with the keys 1, 2, 3, …
    async fn fill(&self, channel: ChannelId, author: UserId, count: u32) {
        for some in (1..=count).collect::<Vec<_>>().chunks(200) {
            for number in join_all(some.iter().map(|number| async move {
                let draft = draft(author, "text", &number.to_string(), 0);
                self.timeline.append(channel, draft).await
            }))
            .await
            {
                number.expect("is posted");
            }
        }
    }

    /// Edits what must be editable.
    async fn edit(&self, id: MessageId, editor: UserId, text: &str) -> Message {
        let at = Time::from_micros(1);
        done(
            self.timeline
                .edit(id, editor, words(text), at)
                .await
                .expect("is edited"),
        )
    }

    /// Deletes what must be deletable.
    async fn delete(&self, id: MessageId, by: UserId) -> Message {
        let at = Time::from_micros(2);
        done(
            self.timeline
                .delete(id, by, false, at)
                .await
                .expect("is deleted"),
        )
    }

    async fn head(&self, channel: ChannelId) -> Head {
        self.timeline.heads(&[channel]).await.expect("has heads")[0].head
    }

    /// The mark that is written down.
    async fn mark(&self, channel: ChannelId, user: UserId) -> Seq {
        self.marks(user, &[channel]).await[0].seq
    }

    async fn marks(&self, user: UserId, channels: &[ChannelId]) -> Vec<Mark> {
        let asked: Vec<_> = channels.iter().map(|one| (*one, None)).collect();
        self.timeline.marks(user, &asked).await.expect("has marks")
    }
}

fn done(changed: Changed) -> Message {
    match changed {
        Changed::Done(message) => message,
        refused @ (Changed::Unchanged(_)
        | Changed::Missing
        | Changed::NotAuthor
        | Changed::Deleted) => panic!("{refused:?}"),
    }
}

fn channel(number: u8) -> ChannelId {
    ChannelId::from_bytes([number; 16])
}

fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn words(text: &str) -> Text {
    Text::parse(text.to_owned()).expect("can be said")
}

fn draft(author: UserId, text: &str, key: &str, at: i64) -> Draft {
    let key = Key::parse(key).expect("a key");
    Draft {
        author,
        text: words(text),
        key,
        at: Time::from_micros(at),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_promise_has_its_line_in_the_list() {
        let list = include_str!("contract.rs");
        let files = [
            include_str!("contract/catching_up.rs"),
            include_str!("contract/changing.rs"),
            include_str!("contract/marking.rs"),
            include_str!("contract/posting.rs"),
            include_str!("contract/random.rs"),
            include_str!("contract/reading.rs"),
            include_str!("contract/telling.rs"),
        ];
        let promises = files
            .iter()
            .flat_map(|file| file.split("\npub async fn ").skip(1));
        let names: Vec<_> = promises.filter_map(|rest| rest.split('(').next()).collect();

        assert!(names.len() > 30, "{names:?}");
        for name in names {
            let line = format!("                {name}\n");
            assert!(
                list.contains(&line),
                "{name} is on no list, so no engine is asked for it"
            );
        }
    }
}
