//! Any sequence of calls against a list in memory.
#![expect(missing_docs, reason = "the names are sentences")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use guildhall_kernel::{ChannelId, Time, UserId};
use guildhall_mesh::{Bus as _, Heard, LocalBus, Note, bus::Listener};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};

use super::{Bench, Stage, draft, user, words};
use crate::{
    model::{Mark, Message, MessageId, Rev, Seq},
    store::timeline::{Appended, Changed, Changes, History, Moved, Newest, Place},
};

mod model;

use model::Model;

/// How many sequences are tried; `PROPTEST_CASES` tries more, `PROPTEST_RNG_SEED` other ones.
const CASES: u32 = 32;
const CHANNELS: u8 = 2;
const USERS: u8 = 3;

pub async fn whatever_is_done_it_behaves_like_a_list_in_memory(bench: &dyn Bench) {
    let asked = Config::default();
    let cases = if asked.cases == 256 {
        CASES
    } else {
        asked.cases
    };
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    let config = Config {
        cases,
        rng_seed,
        failure_persistence: None,
        ..asked
    };
    let bus = LocalBus::new();
    let ear = bus
        .listen("guildhall.chat.v1.*.*", 100_000)
        .await
        .expect("listens");
    let ear = Mutex::new(ear);
    let open = async || Stage {
        bench,
        timeline: bench.open(Some(bus.clone())).await,
    };
    let stage = Mutex::new(Some(open().await));
    let case = AtomicU32::new(0);

    // The runner is not async, and shrinks what fails.
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&prop::collection::vec(call(), 1..60), |calls| {
            // Every case has channels of its own in the one store.
            let number = case.fetch_add(1, Ordering::Relaxed);
            let mut model = Model::of(number);
            let mut guard = stage.lock().expect("not poisoned");
            let mut now = guard.take().expect("was put back");
            let ended = runtime.block_on(async {
                for call in &calls {
                    if matches!(call, Call::Reopen) {
                        bench.close().await;
                        now = open().await;
                    } else {
                        let epoch = now.timeline.epoch().clone();
                        let (real, expected) =
                            (ask(&now, call, number).await, model.ask(call, &epoch));
                        prop_assert_eq!(real, expected, "{:?}", call);
                    }
                }
                Ok(())
            });
            *guard = Some(now);
            ended?;
            let mut ear = ear.lock().expect("not poisoned");
            let heard = runtime.block_on(hear_all(&mut ear, &model.told));
            for channel in channels_of(number) {
                let channel = channel.to_string();
                let its_own = |all: &[Note]| {
                    let own = all.iter().filter(|note| note.subject.contains(&channel));
                    own.cloned().collect::<Vec<_>>()
                };
                prop_assert_eq!(its_own(&heard), its_own(&model.told));
            }
            Ok(())
        })
    })
    .unwrap_or_else(|failure| panic!("{failure}"));
}

/// Hears these notes, each for the first time, in whatever order they come. A restart may tell again what was told.
async fn hear_all(ear: &mut Listener, wanted: &[Note]) -> Vec<Note> {
    let mut heard: Vec<Note> = Vec::new();
    while heard.len() < wanted.len() {
        match tokio::time::timeout(Duration::from_secs(20), ear.next()).await {
            Ok(Some(Heard::Note(note))) => {
                let is_wanted = wanted.iter().any(|one| one.id == note.id);
                if is_wanted && heard.iter().all(|one| one.id != note.id) {
                    heard.push(note);
                }
            }
            Ok(Some(Heard::Lagged) | None) | Err(_) => break,
        }
    }
    heard
}

#[derive(Debug, Clone)]
enum Call {
    Append {
        channel: u8,
        author: u8,
        key: u8,
        text: u8,
        at: i64,
    },
    Edit {
        channel: u8,
        seq: u32,
        editor: u8,
        text: u8,
    },
    Delete {
        channel: u8,
        seq: u32,
        by: u8,
        of_others: bool,
    },
    Mark {
        channel: u8,
        user: u8,
        to: u32,
        at: i64,
    },
    MarkUntil {
        channel: u8,
        user: u8,
        at: i64,
    },
    Message {
        channel: u8,
        seq: u32,
    },
    History {
        channel: u8,
        place: Place,
        limit: usize,
    },
    Changes {
        channel: u8,
        after: u32,
        limit: usize,
    },
    Heads,
    Marks {
        user: u8,
        came: Option<i64>,
    },
    Readers {
        channel: u8,
        after: Option<u8>,
        limit: usize,
    },
    Reopen,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Appended(Appended),
    Changed(Changed),
    Moved(Moved),
    Message(Option<Message>),
    History(History),
    Changes(Changes),
    Heads(Vec<Newest>),
    Marks(Vec<Mark>),
    Readers(Vec<(UserId, Seq)>),
}

fn call() -> impl Strategy<Value = Call> {
    let channel = || 0..CHANNELS;
    let person = || 0..USERS;
    let seq = || 0..12_u32;
    let time = || 0..8_i64;
    let place = prop_oneof![
        Just(Place::Newest),
        seq().prop_map(|seq| Place::Before(Seq(seq))),
        seq().prop_map(|seq| Place::After(Seq(seq))),
        seq().prop_map(|seq| Place::Around(Seq(seq))),
        time().prop_map(|at| Place::BeforeTime(Time::from_micros(at))),
    ];
    prop_oneof![
        12 => (channel(), person(), 0..6_u8, 0..3_u8, time())
            .prop_map(|(channel, author, key, text, at)| Call::Append { channel, author, key, text, at }),
        6 => (channel(), seq(), person(), 0..3_u8)
            .prop_map(|(channel, seq, editor, text)| Call::Edit { channel, seq, editor, text }),
        3 => (channel(), seq(), person(), any::<bool>())
            .prop_map(|(channel, seq, by, of_others)| Call::Delete { channel, seq, by, of_others }),
        3 => (channel(), person(), seq(), time())
            .prop_map(|(channel, user, to, at)| Call::Mark { channel, user, to, at }),
        2 => (channel(), person(), time())
            .prop_map(|(channel, user, at)| Call::MarkUntil { channel, user, at }),
        2 => (channel(), seq()).prop_map(|(channel, seq)| Call::Message { channel, seq }),
        6 => (channel(), place, 0..7_usize)
            .prop_map(|(channel, place, limit)| Call::History { channel, place, limit }),
        4 => (channel(), 0..20_u32, 0..7_usize)
            .prop_map(|(channel, after, limit)| Call::Changes { channel, after, limit }),
        2 => Just(Call::Heads),
        4 => (person(), prop::option::of(-1..8_i64)).prop_map(|(user, came)| Call::Marks { user, came }),
        2 => (channel(), prop::option::of(person()), 0..4_usize)
            .prop_map(|(channel, after, limit)| Call::Readers { channel, after, limit }),
        1 => Just(Call::Reopen),
    ]
}

fn channel_of(case: u32, number: u8) -> ChannelId {
    let mut bytes = [number; 16];
    bytes[..4].copy_from_slice(&case.to_be_bytes());
    ChannelId::from_bytes(bytes)
}

fn channels_of(case: u32) -> Vec<ChannelId> {
    (0..=CHANNELS)
        .map(|number| channel_of(case, number))
        .collect()
}

#[expect(clippy::too_many_lines, reason = "one arm a call")]
async fn ask(stage: &Stage<'_>, call: &Call, case: u32) -> Answer {
    let timeline = &stage.timeline;
    let place_of = |channel| channel_of(case, channel);
    let id = |channel, seq| MessageId {
        channel: place_of(channel),
        seq: Seq(seq),
    };
    match *call {
        Call::Append {
            channel,
            author,
            key,
            text,
            at,
        } => {
            let draft = draft(user(author), &text.to_string(), &key.to_string(), at);
            Answer::Appended(
                timeline
                    .append(place_of(channel), draft)
                    .await
                    .expect("answers"),
            )
        }
        Call::Edit {
            channel,
            seq,
            editor,
            text,
        } => {
            let (id, text) = (id(channel, seq), words(&text.to_string()));
            let edited = timeline.edit(id, user(editor), text, EDITED).await;
            Answer::Changed(edited.expect("answers"))
        }
        Call::Delete {
            channel,
            seq,
            by,
            of_others,
        } => {
            let deleted = timeline
                .delete(id(channel, seq), user(by), of_others, DELETED)
                .await;
            Answer::Changed(deleted.expect("answers"))
        }
        Call::Mark {
            channel,
            user: reader,
            to,
            at,
        } => {
            let at = Time::from_micros(at);
            let moved = timeline
                .mark_read(place_of(channel), user(reader), Seq(to), at)
                .await;
            Answer::Moved(moved.expect("answers"))
        }
        Call::MarkUntil {
            channel,
            user: reader,
            at,
        } => {
            let at = Time::from_micros(at);
            let moved = timeline
                .mark_read_until(place_of(channel), user(reader), at)
                .await;
            Answer::Moved(moved.expect("answers"))
        }
        Call::Message { channel, seq } => {
            Answer::Message(timeline.message(id(channel, seq)).await.expect("answers"))
        }
        Call::History {
            channel,
            place,
            limit,
        } => {
            let page = timeline.history(place_of(channel), place, limit).await;
            Answer::History(page.expect("answers"))
        }
        Call::Changes {
            channel,
            after,
            limit,
        } => {
            let changes = timeline.changes(place_of(channel), Rev(after), limit).await;
            Answer::Changes(changes.expect("answers"))
        }
        Call::Heads => Answer::Heads(timeline.heads(&channels_of(case)).await.expect("answers")),
        Call::Marks { user: reader, came } => {
            let came = came.map(Time::from_micros);
            let channels = channels_of(case).into_iter();
            let asked: Vec<_> = channels.map(|channel| (channel, came)).collect();
            let marks = timeline.marks(user(reader), &asked).await;
            Answer::Marks(marks.expect("answers"))
        }
        Call::Readers {
            channel,
            after,
            limit,
        } => {
            let readers = timeline
                .readers(place_of(channel), after.map(user), limit)
                .await;
            Answer::Readers(readers.expect("answers"))
        }
        Call::Reopen => unreachable!("not asked of an open store"),
    }
}

const EDITED: Time = Time::from_micros(100);
const DELETED: Time = Time::from_micros(200);
