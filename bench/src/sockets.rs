//! Many open sockets, and what they cost.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use reqwest::Client;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{hall::Hall, people::Person};

/// How many sockets are opened at once.
pub(crate) const AT_ONCE: usize = 64;

/// Prints the server's memory for each of 5,000 sockets that listen and hear nothing.
pub(crate) async fn run(server: &Path) -> anyhow::Result<()> {
    const SOCKETS: usize = 5_000;
    println!("\nsockets: {SOCKETS} WebSockets that listen to one channel and hear nothing");
    let folder = tempfile::tempdir()?;
    let hall = Hall::start(server, folder.path())?;
    let (_, readers, channel) = readers(&hall, SOCKETS).await?;
    // A fresh process: what registering took, for hashes above all, would be there to be used again by sockets.
    drop(hall);
    let hall = Hall::start(server, folder.path())?;
    // One socket first, so that what is set up once is not counted.
    let first = open(&hall.http, &readers[0], &channel).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = hall.resident()?;

    let sockets = open_all(&hall.http, &readers, &channel, SOCKETS).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = hall.resident()?;

    let each = after.saturating_sub(before) / SOCKETS as u64;
    println!(
        "  {} KiB before, {} KiB with {}: {:.1} KiB each",
        before >> 10,
        after >> 10,
        sockets.len(),
        to_kib(each)
    );
    drop((first, sockets));
    Ok(())
}

/// A poster, enough readers that no cap is met, and their channel.
pub(crate) async fn readers(
    hall: &Hall,
    sockets: usize,
) -> anyhow::Result<(Person, Vec<Person>, String)> {
    const SOCKETS_A_READER: usize = 100;
    let http = Client::new();
    let poster = Person::register(&http, &hall.http, "poster").await?;
    let mut readers = Vec::new();
    for n in 0..sockets.div_ceil(SOCKETS_A_READER) {
        readers.push(Person::register(&http, &hall.http, &format!("reader{n}")).await?);
    }
    let channel = poster.channel_with(&readers).await?;
    Ok((poster, readers, channel))
}

/// Opens many sockets, the readers taking turns.
pub(crate) async fn open_all(
    address: &str,
    readers: &[Person],
    channel: &str,
    count: usize,
) -> anyhow::Result<Vec<TcpStream>> {
    let opening = (0..count).map(|n| open(address, &readers[n % readers.len()], channel));
    let opened: Vec<_> = stream::iter(opening)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    opened.into_iter().collect()
}

/// Opens a WebSocket by hand, says hello for one channel, and waits until it stands. By hand, so that reading a frame costs the
/// generator as little as reading from a plain socket does.
pub(crate) async fn open(
    address: &str,
    reader: &Person,
    channel: &str,
) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let upgrade = format!(
        "GET /live HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: guildhall.live.v1.json\r\n\
         Authorization: Bearer {}\r\n\r\n",
        reader.token
    );
    socket.write_all(upgrade.as_bytes()).await?;
    read_until(&mut socket, b"\r\n\r\n")
        .await
        .context("the upgrade")?;
    let hello = format!(r#"{{"id":1,"hello":{{"subscribe":{{"channelIds":["{channel}"]}}}}}}"#);
    socket.write_all(&masked_text(hello.as_bytes())).await?;
    read_until(&mut socket, b"\"ready\"")
        .await
        .context("ready")?;
    Ok(socket)
}

/// Reads until the bytes end with, or hold, `mark`.
async fn read_until(socket: &mut TcpStream, mark: &[u8]) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    while !seen.windows(mark.len()).any(|window| window == mark) {
        let count =
            tokio::time::timeout(Duration::from_secs(30), socket.read(&mut chunk)).await??;
        anyhow::ensure!(
            count > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&seen)
        );
        seen.extend_from_slice(&chunk[..count]);
    }
    Ok(())
}

/// A text frame of a client: masked, with a key of zeros.
fn masked_text(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(length @ 0..=125) => frame.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0x80 | 0x7e);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => unreachable!("a hello is short"),
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text);
    frame
}

#[expect(clippy::cast_precision_loss, reason = "a memory size for people")]
fn to_kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
