//! What becomes of calls when processes fail.

use std::{sync::atomic::Ordering, time::Duration};

use guildhall_mesh::{Reason, Tasks, status::reason};
use guildhall_proto::live::v1::{self as live, live_service_client::LiveServiceClient};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    proxy::Proxy,
    town::{CHANNEL, Stopwatch, Town, nobody, until},
};

#[tokio::test]
async fn who_refuses_connections_costs_no_call() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[nobody().await, chat.address, nobody().await]);

    for _ in 0..20 {
        let answer = town.post(&link, "hello").await;
        assert_eq!(answer.expect("answered"), "one");
    }
}

#[tokio::test]
async fn a_call_whose_process_dies_is_answered_by_another() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let link = town.link(&[one.address, two.address]);
    let first = town.post(&link, "hello").await.expect("answered");
    let (dies, lives) = if first == "one" {
        (one, "two")
    } else {
        (two, "one")
    };

    let call = town.post(&link, "sleep 400");
    let death = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        dies.tasks.stop(Duration::ZERO).await;
    };
    let (answer, ()) = tokio::join!(call, death);

    assert_eq!(answer.expect("answered"), lives);
}

#[tokio::test]
async fn a_listener_that_never_speaks_does_not_eat_the_time_of_a_retry_safe_call() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_at = silent.local_addr().expect("bound");
    let link = town.link(&[silent_at, chat.address]);

    for n in 0..30 {
        let channel = format!("00000000-0000-7000-8000-{n:012}");
        let began = Stopwatch::start();
        let time = Duration::from_secs(3);
        let answer = town.post_to(&link, &channel, "hello", time).await;

        assert_eq!(answer.expect("answered"), "one");
        assert!(began.passed() < Duration::from_millis(2_500));
    }
}

#[tokio::test]
async fn a_process_that_freezes_is_left_out_after_three_calls_and_comes_back() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let tasks = Tasks::new();
    let way = Proxy::to(one.address, &tasks).await;
    let link = town.link(&[way.address, two.address]);
    let mut channels = (0..).map(|n| format!("00000000-0000-7000-8000-{n:012}"));
    let time = Duration::from_secs(4);
    let channel = loop {
        let channel = channels.next().expect("endless");
        let at = town.post_to(&link, &channel, "hello", time).await;
        if at.expect("answered") == "one" {
            break channel;
        }
    };
    let timed = async || {
        let began = Stopwatch::start();
        let answer = town.post_to(&link, &channel, "hello", time).await;
        (answer.expect("answered"), began.passed())
    };

    way.freeze(true);
    for _ in 0..3 {
        let (answer, took) = timed().await;
        assert_eq!(answer, "two");
        assert!(took < Duration::from_millis(2_500), "{took:?}");
    }
    let (answer, took) = timed().await;
    assert_eq!(answer, "two");
    assert!(took < Duration::from_millis(500), "{took:?}");

    way.freeze(false);
    until("it is asked again", async || timed().await.0 == "one").await;
    tasks.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn nobody_waits_for_the_only_process_beyond_the_deadline_when_it_freezes() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let tasks = Tasks::new();
    let way = Proxy::to(chat.address, &tasks).await;
    let link = town.link(&[way.address]);
    town.post(&link, "hello").await.expect("answered");
    way.freeze(true);

    let began = Stopwatch::start();
    let time = Duration::from_millis(800);
    let late = town.post_to(&link, CHANNEL, "hello", time).await;

    let late = late.expect_err("too late");
    assert_eq!(
        (late.code(), reason(&late)),
        (Code::DeadlineExceeded, Reason::Deadline)
    );
    let took = began.passed();
    assert!(
        took >= time && took < Duration::from_millis(1_300),
        "{took:?}"
    );
    tasks.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn who_is_too_busy_leaves_the_call_to_another() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let link = town.link(&[one.address, two.address]);

    let spared_one = town.post(&link, "busy one").await;
    let spared_two = town.post(&link, "busy two").await;

    assert_eq!(spared_one.expect("answered"), "two");
    assert_eq!(spared_two.expect("answered"), "one");
}

#[tokio::test]
async fn a_call_is_sent_three_times_at_most_and_its_refusal_passed_on() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);

    let refused = town.post(&link, "busy").await.expect_err("refused");

    assert_eq!(refused.details(), super::echo::busy().details());
    assert_eq!(chat.asked(), 3);
}

#[tokio::test]
async fn unavailable_without_a_hint_is_not_asked_again() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let link = town.link(&[one.address, two.address]);

    let refused = town.post(&link, "away").await.expect_err("refused");

    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unavailable, "away")
    );
    assert_eq!(one.asked() + two.asked(), 1);
}

#[tokio::test]
async fn what_may_have_a_second_effect_is_sent_once() {
    let town = Town::new();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    one.echo.is_busy.store(true, Ordering::SeqCst);
    two.echo.is_busy.store(true, Ordering::SeqCst);
    let link = town.link(&[one.address, two.address]);

    let mut client = LiveServiceClient::new(link.on_behalf(&town.person.caller()));
    let refused = client.watch(live::WatchRequest::default()).await;

    let refused = refused.map(|_| ()).expect_err("refused");
    assert_eq!(refused.details(), super::echo::busy().details());
    assert_eq!(one.asked() + two.asked(), 1);
}

#[tokio::test]
async fn with_nobody_there_the_caller_hears_soon_who_is_missing_and_when_to_come_back() {
    let town = Town::new();
    let link = town.link(&[nobody().await, nobody().await]);

    for _ in 0..2 {
        let began = Stopwatch::start();
        let refused = town.post(&link, "hello").await.expect_err("refused");

        assert!(began.passed() < Duration::from_secs(4));
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(reason(&refused), Reason::Busy);
        assert!(refused.message().contains("chat"), "{}", refused.message());
        assert!(refused.get_details_retry_info().is_some());
    }
}

#[tokio::test]
async fn a_process_that_is_being_started_again_is_waited_for() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let address = nobody().await;
    let link = town.link(&[address]);
    let back = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let socket = TcpListener::bind(address).await.expect("still free");
        let (mut near, _) = socket.accept().await.expect("accepts");
        let mut far = TcpStream::connect(chat.address).await.expect("there");
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    };

    tokio::select! {
        answer = town.post(&link, "hello") => assert_eq!(answer.expect("answered"), "one"),
        ended = back => panic!("the connection ended: {ended:?}"),
    }
}

#[tokio::test]
async fn repeats_have_a_budget() {
    let (town, _clock) = Town::stopped();
    let (one, two) = (town.chat("one").await, town.chat("two").await);
    let link = town.link(&[one.address, two.address]);
    let at = town.post(&link, "hello").await.expect("answered");
    let busy = format!("busy {at}");

    let mut repeated = 0;
    for _ in 0..300 {
        repeated += usize::from(town.post(&link, &busy).await.is_ok());
        // So that it is not left out.
        assert_eq!(town.post(&link, "hello").await.expect("answered"), at);
    }

    // A purse of 50, and a tenth of 600 calls.
    assert!((100..=111).contains(&repeated), "{repeated}");
}

#[tokio::test]
async fn who_failed_is_left_out_for_a_time_that_grows_and_then_asked_by_one_call() {
    let (town, clock) = Town::stopped();
    let chat = town.chat("one").await;
    let tasks = Tasks::new();
    let dead = Proxy::to(nobody().await, &tasks).await;
    let link = town.link(&[dead.address, chat.address]);
    let many = async || {
        for n in 0..20 {
            let channel = format!("00000000-0000-7000-8000-{n:012}");
            let time = Duration::from_secs(5);
            let answer = town.post_to(&link, &channel, "hello", time).await;
            assert_eq!(answer.expect("answered"), "one");
        }
    };

    many().await;
    assert_eq!(dead.connections(), 1);
    clock.pass(Duration::from_millis(1_300));
    many().await;
    assert_eq!(dead.connections(), 2);
    clock.pass(Duration::from_millis(1_300));
    many().await;
    assert_eq!(dead.connections(), 2);
    clock.pass(Duration::from_millis(1_300));
    many().await;
    assert_eq!(dead.connections(), 3);
    tasks.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn the_last_one_is_asked_whatever_it_did() {
    let (town, _clock) = Town::stopped();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);
    for _ in 0..10 {
        town.post(&link, "away").await.expect_err("refused");
    }

    let answer = town.post(&link, "hello").await;

    assert_eq!(answer.expect("answered"), "one");
}

#[tokio::test]
async fn a_broken_write_that_nobody_could_repeat_has_an_unknown_outcome() {
    let town = Town::new();
    let chat = town.chat("one").await;
    let link = town.link(&[chat.address]);
    town.post(&link, "hello").await.expect("answered");

    let call = town.post(&link, "sleep 2000");
    let death = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        chat.tasks.stop(Duration::ZERO).await;
    };
    let (answer, ()) = tokio::join!(call, death);

    let refused = answer.expect_err("nobody is left");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused), Reason::OutcomeUnknown);
}
