//! What every bus promises, on each of them; then what only the one between processes can show.

mod contract;
mod faults;
mod nats;
mod server;
pub(crate) mod stage;

/// Runs each promise on every bus.
macro_rules! on_every_bus {
    ($($promise:ident,)*) => {
        mod local {
            $(#[tokio::test] async fn $promise() {
                super::contract::$promise(super::stage::local()).await;
            })*
        }
        mod between_processes {
            $(#[tokio::test] async fn $promise() {
                if let Some(stage) = super::stage::nats().await {
                    super::contract::$promise(stage).await;
                }
            })*
        }
    };
}

on_every_bus! {
    a_note_arrives_as_it_was_sent,
    a_listener_hears_what_its_pattern_covers_and_nothing_else,
    a_listener_hears_from_when_it_began_and_nothing_before,
    notes_of_one_subject_come_in_their_order,
    notes_of_one_scope_come_in_their_order_whatever_they_tell,
    every_sender_of_many_is_heard_in_its_order,
    a_repeat_moves_nothing,
    who_lags_hears_it_once_after_what_fitted_and_then_hears_on,
    a_slow_listener_slows_neither_the_sender_nor_others,
    a_dropped_listener_leaves_the_others_hearing,
    a_closed_bus_ends_its_listeners_after_what_they_had,
    a_whisper_is_overheard_by_whom_its_topic_concerns,
    a_whisper_waits_for_nobody_and_is_lost_without_a_word,
    whispers_and_notes_do_not_mix,
    an_open_bus_is_reachable_and_remembers_what_it_took,
}
