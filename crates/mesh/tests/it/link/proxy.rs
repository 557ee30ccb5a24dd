//! A way between a link and a process that a test can freeze and count.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use guildhall_mesh::Tasks;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Passes bytes on, until it is frozen.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    frozen: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr, tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let frozen = watch::Sender::new(false);
        let (count, watched, own) = (connections.clone(), frozen.clone(), tasks.clone());
        tasks.spawn("proxy", async move {
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let Ok(far) = TcpStream::connect(target).await else {
                    continue;
                };
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                own.spawn("to", pass(near_in, far_out, watched.subscribe()));
                own.spawn("fro", pass(far_in, near_out, watched.subscribe()));
            }
        });
        Self {
            address,
            connections,
            frozen,
        }
    }

    /// From now on nothing comes through, and nobody is told; or again.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.frozen.send_replace(is_frozen);
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut frozen: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes).await {
        let thawed = frozen.wait_for(|is_frozen| !is_frozen).await.is_ok();
        if count == 0 || !thawed || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
