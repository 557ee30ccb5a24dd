//! A network that can be broken: a proxy before one server, whose connections pass, fall silent one way or both, are slow, or are cut.
//!
//! ```no_run
//! # async fn a_test() -> std::io::Result<()> {
//! use guildhall_testkit::chaos::{Proxy, Way, Weather};
//!
//! let proxy = Proxy::before("127.0.0.1:5432").await?;
//! // … clients connect to proxy.address() …
//! proxy.set(Weather::Silent(Way::Back)); // questions arrive, answers do not
//! proxy.set(Weather::Clear); // they arrive now: nothing was lost on the way
//! # Ok(())
//! # }
//! ```
//!
//! A silence is that of a network between two machines: nobody is told, what was sent waits, and arrives once the way is open. One reply
//! can be taken out by what it says, and its connection reset: see [`Proxy::swallow`].
//!
//! In reading order: [`Proxy`]; `connection` is one connection, `swallow` looks for a reply.

mod connection;
mod swallow;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use guildhall_mesh::Tasks;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use connection::Connection;
pub use swallow::Reply;
use swallow::Swallower;

/// How the network between the clients and the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    /// Everything passes at once.
    #[default]
    Clear,
    /// Nothing passes that way, and nobody is told. New connections are accepted and fall silent too.
    Silent(Way),
    /// Every piece of at most 16 KiB passes so much later, each way.
    Slow(Duration),
    /// Connections are reset, new ones too.
    Cut,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the clients to the server.
    There,
    /// From the server to the clients.
    Back,
    /// Both.
    Both,
}

impl Weather {
    /// Whether anything passes in this direction, [`Way::There`] or [`Way::Back`].
    fn passes(self, way: Way) -> bool {
        match self {
            Self::Clear | Self::Slow(_) => true,
            Self::Silent(silent) => silent != way && silent != Way::Both,
            Self::Cut => false,
        }
    }

    /// How long a piece is held back.
    fn delay(self) -> Duration {
        match self {
            Self::Slow(delay) => delay,
            Self::Clear | Self::Silent(_) | Self::Cut => Duration::ZERO,
        }
    }
}

/// A proxy before one server. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    swallower: Arc<Swallower>,
    tasks: Tasks,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 for connections to `server`, "HOST:PORT", which need not be there yet.
    ///
    /// # Errors
    /// The operating system's, where no port can be had.
    pub async fn before(server: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let proxy = Self {
            address: listener.local_addr()?,
            weather: watch::Sender::new(Weather::Clear),
            swallower: Arc::default(),
            tasks: Tasks::new(),
        };
        let gate = Gate {
            server: server.to_owned(),
            weather: proxy.weather.subscribe(),
            swallower: proxy.swallower.clone(),
            tasks: proxy.tasks.clone(),
        };
        proxy.tasks.spawn("chaos proxy", gate.accept(listener));
        Ok(proxy)
    }

    /// Where clients connect to, "127.0.0.1:PORT".
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Changes the weather, for connections that stand too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// From now on takes out every `every`-th reply like this one, and resets the connection that it was to pass on: the server has done
    /// what it was asked, and nobody hears of it. 0: none any more.
    pub fn swallow(&self, reply: Reply, every: u32) {
        self.swallower.look_for(reply, every);
    }

    /// How many replies were taken out.
    pub fn swallowed(&self) -> u32 {
        self.swallower.taken()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.weather.send_replace(Weather::Cut);
        self.tasks.begin_stop();
    }
}

/// Takes the connections of one proxy.
struct Gate {
    server: String,
    weather: watch::Receiver<Weather>,
    swallower: Arc<Swallower>,
    tasks: Tasks,
}

impl Gate {
    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.tasks.stopping() => return,
                accepted = listener.accept() => accepted,
            };
            // A client that gave up before it was taken.
            let Ok((client, _)) = accepted else { continue };
            let connection = Connection {
                client,
                weather: self.weather.clone(),
                swallower: self.swallower.clone(),
            };
            let server = self.server.clone();
            self.tasks.spawn("chaos connection", async move {
                connection.run(&server).await;
            });
        }
    }
}

/// Ends a connection by a reset, not by a farewell.
fn reset(stream: &TcpStream) {
    // A connection that is gone already needs none.
    let _gone = stream.set_zero_linger();
}

#[cfg(test)]
mod tests;
