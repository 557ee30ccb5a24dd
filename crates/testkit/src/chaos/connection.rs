//! One connection through the proxy.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use super::{
    Way, Weather, reset,
    swallow::{Search, Swallower},
};

const PIECE: usize = 16 * 1024;

/// A client that was accepted.
pub(super) struct Connection {
    pub(super) client: TcpStream,
    pub(super) weather: watch::Receiver<Weather>,
    pub(super) swallower: Arc<Swallower>,
}

impl Connection {
    /// Passes on both ways until both ends have said farewell, or until it is cut.
    pub(super) async fn run(mut self, server: &str) {
        let Some(mut upstream) = self.connect(server).await else {
            reset(&self.client);
            return;
        };
        let _slower = (self.client.set_nodelay(true), upstream.set_nodelay(true));
        let cut = cut(self.weather.clone());
        let is_whole = {
            let (from_client, to_client) = self.client.split();
            let (from_server, to_server) = upstream.split();
            let there = Pipe {
                from: from_client,
                to: to_server,
                way: Way::There,
                weather: self.weather.clone(),
                search: None,
            };
            let back = Pipe {
                from: from_server,
                to: to_client,
                way: Way::Back,
                weather: self.weather.clone(),
                search: Some(Search::of(self.swallower)),
            };
            tokio::select! {
                ended = async { tokio::try_join!(there.run(), back.run()) } => ended.is_ok(),
                () = cut => false,
            }
        };
        if !is_whole {
            reset(&self.client);
            reset(&upstream);
        }
    }

    /// Connects as soon as the weather lets a first word and its answer pass; `None` where it is cut, or nobody listens.
    async fn connect(&mut self, server: &str) -> Option<TcpStream> {
        let seen = self
            .weather
            .wait_for(|weather| !matches!(weather, Weather::Silent(_)))
            .await;
        match seen.map(|weather| *weather) {
            Ok(Weather::Cut) | Err(_) => None,
            Ok(_) => TcpStream::connect(server).await.ok(),
        }
    }
}

/// Resolves when connections are to be cut.
async fn cut(mut weather: watch::Receiver<Weather>) {
    // An error is a proxy that is gone, and its connections with it.
    let _gone = weather.wait_for(|weather| *weather == Weather::Cut).await;
}

/// One direction of a connection.
struct Pipe<'c> {
    from: ReadHalf<'c>,
    to: WriteHalf<'c>,
    way: Way,
    weather: watch::Receiver<Weather>,
    search: Option<Search>,
}

impl Pipe<'_> {
    async fn run(mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            self.open().await?;
            let read = self.from.read(&mut piece).await?;
            if read == 0 {
                return self.to.shutdown().await;
            }
            // What came while the way was being closed waits as well.
            let delay = self.open().await?.delay();
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let Some(search) = &mut self.search else {
                self.to.write_all(&piece[..read]).await?;
                continue;
            };
            let passes = search.before_reply(&piece[..read]);
            self.to.write_all(&piece[..passes]).await?;
            if passes < read {
                self.to.flush().await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    /// Waits until something passes this way; returns the weather then.
    async fn open(&mut self) -> io::Result<Weather> {
        let way = self.way;
        let weather = self.weather.wait_for(|weather| weather.passes(way)).await;
        weather
            .map(|weather| *weather)
            .map_err(|_| io::ErrorKind::ConnectionReset.into())
    }
}
