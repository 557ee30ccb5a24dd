//! The bus while its server is killed, frozen, and robbed of its files.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use guildhall_mesh::{
    Bus, Feed, Heard, NatsBus, Tasks,
    bus::{BusError, Listener, NatsSettings},
    outbox::relay,
};

use super::{
    server::Server,
    stage::{self, heard, note, number},
};
use crate::{feed::Taker, outbox::Rows};

/// The deadline of the tests' settings, and what a machine with little time may add.
const DEADLINE: Duration = Duration::from_secs(2 + 1);
/// Within which time a server that is back must be of use.
const BACK: Duration = Duration::from_secs(10);

/// Waits until the bus takes notes again; says how long it took.
async fn takes_again(bus: &NatsBus) -> Duration {
    let since = now();
    while bus.send(note("again", "E", 0)).await.is_err() {
        assert!(now() - since < BACK, "{:?}", bus.is_reachable());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bus.is_reachable(), Ok(()));
    now() - since
}

/// A send while the server is away: refused in time, with the right word.
async fn is_refused_in_time(bus: &NatsBus) {
    let since = now();
    let sent = bus.send(note("away", "E", 1)).await;
    assert!(matches!(sent, Err(BusError::Unreachable(_))), "{sent:?}");
    assert!(now() - since < DEADLINE, "{:?}", now() - since);
}

/// Hears until it is told of a loss; notes may come before.
async fn hears_of_a_loss(listener: &mut Listener) {
    loop {
        match heard(listener).await {
            Some(Heard::Lagged) => return,
            Some(Heard::Note(_)) => {}
            None => panic!("the listener was ended"),
        }
    }
}

async fn hears_on(bus: &NatsBus, listener: &mut Listener) {
    bus.send(note("on", "E", 77)).await.expect("takes it");
    loop {
        match heard(listener).await {
            Some(Heard::Note(note)) if number(&note) == 77 => return,
            Some(_) => {}
            None => panic!("the listener was ended"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a server needs is real time"
)]
fn now() -> Instant {
    Instant::now()
}

async fn opened(server: &Server, tasks: &Tasks) -> (NatsSettings, NatsBus) {
    let settings = stage::settings(&server.url());
    let bus = stage::open(&settings, tasks).await;
    (settings, bus)
}

#[tokio::test]
async fn after_a_kill_notes_pass_again_and_every_listener_hears_of_the_loss() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let tasks = Tasks::new();
    let (_, bus) = opened(&server, &tasks).await;
    let mut listener = bus
        .listen("guildhall.chat.v1.*.*", 64)
        .await
        .expect("listens");

    for _ in 0..3 {
        server.kill();
        is_refused_in_time(&bus).await;
        assert!(bus.is_reachable().is_err());
        server.run().await;

        let took = takes_again(&bus).await;

        assert!(took < BACK, "{took:?}");
        hears_of_a_loss(&mut listener).await;
        hears_on(&bus, &mut listener).await;
    }
}

#[tokio::test]
async fn a_frozen_server_costs_a_sender_its_deadline_and_no_more() {
    let Some(server) = Server::start().await else {
        return;
    };
    let tasks = Tasks::new();
    let (_, bus) = opened(&server, &tasks).await;
    let mut listener = bus
        .listen("guildhall.chat.v1.*.*", 64)
        .await
        .expect("listens");

    server.freeze();
    for _ in 0..5 {
        is_refused_in_time(&bus).await;
    }
    // By now the silence was noticed.
    assert!(bus.is_reachable().is_err());
    server.thaw();

    takes_again(&bus).await;
    hears_of_a_loss(&mut listener).await;
    hears_on(&bus, &mut listener).await;
}

#[tokio::test]
async fn a_wiped_server_gets_its_streams_back_and_is_known_to_have_forgotten() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let tasks = Tasks::new();
    let (_, bus) = opened(&server, &tasks).await;
    let told = note("wipe", "E", 1);
    bus.send(told.clone()).await.expect("takes it");
    let forgot = bus.forgot();

    server.wipe();
    is_refused_in_time(&bus).await;
    server.run().await;

    takes_again(&bus).await;
    assert!(forgot.has_changed().expect("the bus is open"));
    assert!(!bus.remembers(&told).await.expect("answers"));
}

#[tokio::test]
async fn a_killed_server_has_forgotten_nothing_that_it_acknowledged() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let tasks = Tasks::new();
    let (_, bus) = opened(&server, &tasks).await;
    let told = note("keep", "E", 1);
    bus.send(told.clone()).await.expect("takes it");

    server.kill();
    server.run().await;

    takes_again(&bus).await;
    assert!(!bus.forgot().has_changed().expect("the bus is open"));
    assert!(bus.remembers(&told).await.expect("answers"));
}

#[tokio::test]
async fn without_a_server_the_bus_opens_refuses_and_begins_when_it_comes() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.kill();
    let tasks = Tasks::new();

    let (_, bus) = opened(&server, &tasks).await;
    is_refused_in_time(&bus).await;
    server.run().await;

    takes_again(&bus).await;
}

#[tokio::test]
async fn a_follower_goes_on_over_kills_and_a_freeze_and_misses_nothing() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let tasks = Tasks::new();
    let (_, bus) = opened(&server, &tasks).await;
    let taker = Taker::default();
    Feed::of_stream(bus.clone(), "guildhall.chat.v1.*.*").follow(&tasks, "taker", taker.clone());

    let mut sent = 0;
    for round in 0..3 {
        while sent < 10 * (round + 1) {
            sent += 1;
            let next = note("feed", "E", sent);
            while bus.send(next.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        if round == 1 {
            server.freeze();
            tokio::time::sleep(Duration::from_secs(8)).await;
            server.thaw();
        } else {
            server.kill();
            server.run().await;
        }
    }

    taker.has_all_in_order(sent).await;
}

#[tokio::test]
async fn what_a_wiped_server_forgot_is_told_again_from_the_outbox() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let tasks = Tasks::new();
    let (settings, bus) = opened(&server, &tasks).await;
    let rows = Rows::new();
    for n in 1..=20 {
        rows.keep(note("outbox", "E", n));
    }
    relay(&tasks, rows.clone(), Arc::new(bus.clone()));
    rows.told(20).await;

    server.wipe();
    server.run().await;
    takes_again(&bus).await;
    let taker = Taker::default();
    let pattern = "guildhall.chat.v1.outbox.*";
    Feed::of_stream(bus.clone(), pattern).follow(&tasks, "late", taker.clone());

    taker.has_all_in_order(20).await;

    // And where nobody was there to see it.
    assert_eq!(tasks.stop(stage::PATIENCE).await, 0);
    server.wipe();
    server.run().await;
    let tasks = Tasks::new();
    let bus = stage::open(&settings, &tasks).await;
    relay(&tasks, rows.clone(), Arc::new(bus.clone()));
    let taker = Taker::default();
    Feed::of_stream(bus.clone(), pattern).follow(&tasks, "later", taker.clone());

    taker.has_all_in_order(20).await;
}
