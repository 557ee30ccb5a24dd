//! Somebody who listens on a live socket for marked posts.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::{io::AsyncReadExt as _, net::TcpStream, sync::watch, task::JoinHandle};

use crate::{people::Person, sockets};

/// What a mark begins with. Its number follows, in digits and as long as any other.
const MARK: &[u8] = b"mark-";
const DIGITS: usize = 8;
/// How long a post may be under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open socket that is read all the time.
pub(crate) struct Listener {
    /// The number of the last mark and when it came; the reader of the socket writes it.
    heard: watch::Receiver<(usize, Instant)>,
    reading: JoinHandle<()>,
}

/// The text of a marked post. Marks are numbered from 1, and posted in order.
pub(crate) fn mark(number: usize) -> String {
    format!("mark-{number:0DIGITS$}")
}

impl Listener {
    /// Opens a socket of a person at a gateway, for one channel.
    pub(crate) async fn open(
        gateway: &str,
        person: &Person,
        channel: &str,
    ) -> anyhow::Result<Self> {
        let socket = sockets::open(gateway, person, channel).await?;
        let (hear, heard) = watch::channel((0, Instant::now()));
        Ok(Self {
            heard,
            reading: tokio::spawn(read(socket, hear)),
        })
    }

    /// Waits until a mark has come; returns when it did.
    pub(crate) async fn heard(&mut self, number: usize) -> anyhow::Result<Instant> {
        let heard = self.heard.wait_for(|(last, _)| *last >= number);
        let heard = tokio::time::timeout(PATIENCE, heard).await;
        let heard = heard.with_context(|| format!("{} was not delivered", mark(number)))?;
        let (_, at) = *heard.context("the live socket was closed")?;
        Ok(at)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads until the socket ends.
async fn read(mut socket: TcpStream, hear: watch::Sender<(usize, Instant)>) {
    let mut seen = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    while let Ok(count @ 1..) = socket.read(&mut chunk).await {
        let now = Instant::now();
        seen.extend_from_slice(&chunk[..count]);
        if let Some(number) = last_mark(&seen) {
            hear.send_replace((number, now));
        }
        // A mark may come in two parts.
        let kept = seen.len().saturating_sub(MARK.len() + DIGITS - 1);
        seen.drain(..kept);
    }
}

fn last_mark(bytes: &[u8]) -> Option<usize> {
    let windows = bytes.windows(MARK.len() + DIGITS).rev();
    let mut numbers = windows.filter_map(|window| {
        let digits = window.strip_prefix(MARK)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    });
    numbers.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mark_of_what_was_read_counts() {
        let read = format!(
            r#"{{"text":"{}"}}{{"text":"{}"}} mark-nothing"#,
            mark(7),
            mark(12)
        );

        assert_eq!(last_mark(read.as_bytes()), Some(12));
        assert_eq!(last_mark(&read.as_bytes()[..18]), None);
    }
}
