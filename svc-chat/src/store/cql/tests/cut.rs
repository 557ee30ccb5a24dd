//! Servers that freeze or go away, behind a proxy that does so.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::join_all;
use guildhall_kernel::{Clock as _, SystemClock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

use super::{super::CqlTimeline, Keyspace, bench, channel, draft};
use crate::{
    config::CqlSettings,
    store::{
        StoreError,
        timeline::{Appended, Place, Timeline},
    },
};

/// No call takes longer than this: a group is tried for eight seconds, and its last try may take three.
const LONGEST: Duration = Duration::from_secs(13);
/// How soon all is well after the servers answer again. The driver tries to connect every ten seconds.
const RECOVERY: Duration = Duration::from_secs(13);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_frozen_servers_are_refused_in_time_and_work_once_they_go_on() {
    let Some(bench) = bench().await else { return };
    refused_and_recovered(&bench, State::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_servers_that_are_gone_are_refused_in_time_and_work_once_they_are_back() {
    let Some(bench) = bench().await else { return };
    refused_and_recovered(&bench, State::Gone).await;
}

async fn refused_and_recovered(bench: &Keyspace, trouble: State) {
    let proxy = Proxy::to(&bench.settings.nodes[0]).await;
    let settings = CqlSettings {
        nodes: vec![proxy.address.to_string()],
        ..bench.settings.clone()
    };
    let (timeline, _tasks) = bench.start_on(&settings, None).await;
    posted(&timeline, "before".into()).await.expect("is posted");
    assert_eq!(timeline.ready().await, Ok(()));

    proxy.set(trouble);
    // More than share a batch.
    let posts = (0..100).map(|number| timed(posted(&timeline, format!("during {number}"))));
    let reads = (0..3).map(|_| timed(timeline.history(channel(1), Place::Newest, 9)));
    let (posts, reads) = futures::join!(join_all(posts), join_all(reads));
    let unready = timed(timeline.ready()).await;

    for (took, post) in &posts {
        let refused = matches!(
            post,
            Err(StoreError::Refused(_) | StoreError::OutcomeUnknown(_))
        );
        assert!(refused, "{post:?}");
        assert!(*took < LONGEST, "after {took:?}");
    }
    for (took, read) in reads {
        assert!(matches!(read, Err(StoreError::Refused(_))), "{read:?}");
        assert!(took < LONGEST, "after {took:?}");
    }
    assert!(unready.1.is_err() && unready.0 < LONGEST, "{unready:?}");

    proxy.set(State::Open);
    let clock = SystemClock::new();
    while timeline.ready().await.is_err() {
        assert!(clock.uptime() < RECOVERY, "not ready again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    posted(&timeline, "after".into()).await.expect("is posted");
    // Who was refused tries again, and nobody posts twice.
    for (number, (_, before)) in posts.iter().enumerate() {
        let again = posted(&timeline, format!("during {number}")).await;
        let again = again.expect("is posted");
        if matches!(before, Err(StoreError::Refused(_))) {
            assert!(matches!(again, Appended::New(_)), "{number}: {again:?}");
        }
    }
    let heads = timeline.heads(&[channel(1)]).await.expect("reads");
    assert_eq!(heads[0].head.seq.0, 102);
}

async fn posted(timeline: &Arc<CqlTimeline>, key: String) -> Result<Appended, StoreError> {
    timeline.append(channel(1), draft(1, &key)).await
}

async fn timed<T>(call: impl Future<Output = T>) -> (Duration, T) {
    let clock = SystemClock::new();
    let answer = call.await;
    (clock.uptime(), answer)
}

/// How the way to the servers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Connections stay and nothing passes.
    Frozen,
    /// Connections break, and new ones too.
    Gone,
}

/// A way to one server.
struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Proxy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tasks end with the test's runtime"
    )]
    async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (state, seen) = watch::channel(State::Open);
        let server = server.to_owned();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *seen.borrow() == State::Gone {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&server).await else {
                    continue;
                };
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near.0, far.1, seen.clone()));
                tokio::spawn(pass(far.0, near.1, seen.clone()));
            }
        });
        Self { address, state }
    }

    fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// Carries bytes one way as long as the way is open; ends when it is gone or the proxy is.
async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let opened = state.wait_for(|state| *state != State::Frozen).await;
        let is_open = opened.is_ok_and(|state| *state == State::Open);
        if !is_open {
            return;
        }
        let count = tokio::select! {
            changed = state.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = from.read(&mut bytes) => match read {
                Ok(count @ 1..) => count,
                Ok(0) | Err(_) => return,
            },
        };
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
