//! What bounds the calls and connections of a process, and how it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use guildhall_mesh::{Reason, Tasks, link::LinkSettings, status::reason};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    knock::enter,
    proxy::Proxy,
    town::{CHANNEL, Process, Stopwatch, Town},
};

const GRACE: Duration = Duration::from_secs(5);

async fn with(town: &Town, change: impl FnOnce(&mut LinkSettings)) -> Process {
    let mut settings = town.settings(&["chat"]);
    change(&mut settings);
    town.serve("one", "127.0.0.1:0", settings, &["chat"]).await
}

#[tokio::test]
async fn more_calls_than_a_process_takes_on_are_sent_away_with_a_hint() {
    let town = Town::new();
    let chat = with(&town, |settings| settings.calls = 2).await;
    let link = town.link(&[chat.address]);

    let slow = async || town.post(&link, "sleep 1000").await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        town.post(&link, "hello").await
    };
    let (one, two, late) = tokio::join!(slow(), slow(), late);

    assert!(one.is_ok() && two.is_ok());
    let late = late.expect_err("sent away");
    assert_eq!(
        (late.code(), reason(&late)),
        (Code::Unavailable, Reason::Busy)
    );
    assert!(late.get_details_retry_info().is_some());
    assert_eq!(town.post(&link, "hello").await.expect("room again"), "one");
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_are_closed() {
    let town = Town::new();
    let chat = with(&town, |settings| settings.connections = 1).await;
    let first = town.link(&[chat.address]);
    town.post(&first, "hello").await.expect("answered");

    let second = town.link(&[chat.address]);
    let refused = town.post(&second, "hello").await;

    assert_eq!(refused.expect_err("full").code(), Code::Unavailable);
    assert!(town.post(&first, "hello").await.is_ok());
}

#[tokio::test]
async fn a_client_that_opens_streams_only_to_reset_them_is_thrown_out() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let papers = town.authority.issue(town.world.dir.path(), &["gateway"]);
    let mut stream = enter(chat.address, Some(papers.pair()))
        .await
        .expect("let in");

    let mut flood = Vec::new();
    for id in (1..2_001_u32).step_by(2) {
        // HEADERS that end the stream: POST https /. Then RST_STREAM: cancel.
        flood.extend_from_slice(&[0, 0, 3, 1, 5]);
        flood.extend_from_slice(&id.to_be_bytes());
        flood.extend_from_slice(&[0x83, 0x87, 0x84, 0, 0, 4, 3, 0]);
        flood.extend_from_slice(&id.to_be_bytes());
        flood.extend_from_slice(&[0, 0, 0, 8]);
    }
    // It may be thrown out before it has said everything.
    let _ = stream.write_all(&flood).await;
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(GRACE, stream.read_to_end(&mut heard)).await;

    let mut frames = heard.as_slice();
    let mut goaway = None;
    while let Some((head, rest)) = frames.split_first_chunk::<9>() {
        let length = usize::from(head[1]) * 256 + usize::from(head[2]);
        let (payload, rest) = rest.split_at(length.min(rest.len()));
        if head[3] == 7 {
            goaway = Some(payload[4..8].to_vec());
        }
        frames = rest;
    }
    // For the reason ENHANCE_YOUR_CALM.
    assert_eq!(goaway, Some(vec![0, 0, 0, 11]));
}

#[tokio::test]
async fn who_does_not_shake_hands_is_closed_after_five_seconds() {
    let town = Town::new();
    let chat = town.chat("one").await;

    let began = Stopwatch::start();
    let mut silent = TcpStream::connect(chat.address).await.expect("connects");
    let read = silent.read(&mut [0; 1]).await;

    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    let took = began.passed().as_secs_f64();
    assert!((4.5..7.0).contains(&took), "{took}");
}

#[tokio::test]
async fn a_process_that_stops_lets_its_calls_end() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);
    town.post(&link, "hello").await.expect("answered");

    let call = town.post(&link, "sleep 600");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Stopwatch::start();
        (chat.tasks.stop(GRACE).await, began.passed())
    };
    let (answer, (cut, took)) = tokio::join!(call, stop);

    assert_eq!(answer.expect("answered"), "one");
    assert_eq!(cut, 0);
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    let refused = town.post(&link, "hello").await;
    assert_eq!(refused.expect_err("gone").code(), Code::Unavailable);
}

#[tokio::test]
async fn a_call_that_does_not_end_in_the_grace_is_cut() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);
    town.post(&link, "hello").await.expect("answered");

    let time = Duration::from_secs(20);
    let call = town.post_to(&link, CHANNEL, "sleep 60000", time);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        chat.tasks.stop(Duration::from_millis(300)).await
    };
    let began = Stopwatch::start();
    let (answer, cut) = tokio::join!(call, stop);

    assert_eq!(answer.expect_err("cut").code(), Code::Unavailable);
    assert!(cut > 0);
    assert!(began.passed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_frozen_client_does_not_hold_up_the_end() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let tasks = Tasks::new();
    let way = Proxy::to(chat.address, &tasks).await;
    let link = town.link(&[way.address]);
    town.post(&link, "hello").await.expect("answered");
    way.freeze(true);

    let began = Stopwatch::start();
    let cut = chat.tasks.stop(GRACE).await;

    assert_eq!(cut, 0);
    assert!(began.passed() < Duration::from_secs(3));
    tasks.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn open_connections_do_not_hold_up_the_end_of_a_client() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);
    town.post(&link, "hello").await.expect("answered");

    let began = Stopwatch::start();
    let call = town.post(&link, "sleep 500");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        town.tasks.begin_stop();
    };
    let (answer, ()) = tokio::join!(call, stop);
    let late = town.post(&link, "hello").await;
    let cut = town.tasks.stop(GRACE).await;

    assert_eq!(answer.expect("answered"), "one");
    assert_eq!(late.expect("what ends may still ask"), "one");
    assert_eq!(cut, 0);
    assert!(began.passed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_rolling_restart_fails_no_call() {
    let town = Arc::new(Town::new());
    let names = ["one", "two"];
    let mut processes = Vec::new();
    for name in names {
        processes.push(town.chat(name).await);
    }
    let link = town.link(&[processes[0].address, processes[1].address]);
    let is_over = Arc::new(AtomicBool::new(false));
    let load = (0..8).map(|n| {
        let (town, link, is_over) = (town.clone(), link.clone(), is_over.clone());
        async move {
            let mut count = 0;
            while !is_over.load(Ordering::SeqCst) {
                let channel = format!("00000000-0000-7000-8000-{:012}", n * 1_000 + count % 50);
                let text = if count % 3 == 0 { "sleep 20" } else { "hello" };
                let time = Duration::from_secs(5);
                let answer = town.post_to(&link, &channel, text, time).await;
                answer.unwrap_or_else(|error| panic!("call {count} of {n}: {error:?}"));
                count += 1;
            }
            count
        }
    });
    let load = futures::future::join_all(load);

    let rolling = async {
        for round in 0..4 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let which = round % 2;
            let address = processes[which].address.to_string();
            assert_eq!(processes[which].tasks.stop(GRACE).await, 0);
            let settings = town.settings(&["chat", "live"]);
            processes[which] = town
                .serve(names[which], &address, settings, &["chat", "live"])
                .await;
            // Long enough to be found again.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        is_over.store(true, Ordering::SeqCst);
    };
    let (counts, ()) = tokio::join!(load, rolling);

    let all: i32 = counts.iter().sum();
    assert!(all > 500, "{all}");
    assert!(processes.iter().all(|process| process.asked() > 0));
}

#[tokio::test]
async fn old_connections_are_made_anew_and_no_call_fails() {
    let town = Town::new();
    let chat = with(&town, |settings| settings.age_seconds = 1).await;
    let tasks = Tasks::new();
    let way = Proxy::to(chat.address, &tasks).await;
    let link = town.link(&[way.address]);

    let began = Stopwatch::start();
    while began.passed() < Duration::from_millis(3_500) {
        let answer = town.post(&link, "sleep 10").await;
        assert_eq!(answer.expect("answered"), "one");
    }

    assert!(
        (3..=5).contains(&way.connections()),
        "{}",
        way.connections()
    );
    tasks.stop(Duration::ZERO).await;
}
