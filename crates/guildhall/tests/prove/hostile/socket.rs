//! Bad clients of the WebSocket, frame by frame.

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Hall;

const TEXT: u8 = 0x81;
const MASK: [u8; 4] = [1, 2, 3, 4];

/// Sets a bit that no extension gave a meaning.
pub(super) async fn reserved_bits(hall: Hall) -> anyhow::Result<()> {
    cut(&hall, &frame(TEXT | 0x40, b"{}")).await
}

/// Sends a kind of frame that there is not.
pub(super) async fn bad_opcode(hall: Hall) -> anyhow::Result<()> {
    cut(&hall, &frame(0x83, b"{}")).await
}

/// Sends a frame that is not masked.
pub(super) async fn unmasked(hall: Hall) -> anyhow::Result<()> {
    cut(&hall, &[TEXT, 2, b'{', b'}']).await
}

/// Sends the first part of a Ping that goes on.
pub(super) async fn control_in_parts(hall: Hall) -> anyhow::Result<()> {
    cut(&hall, &frame(0x09, b"ping")).await
}

/// Announces 5 MiB.
pub(super) async fn oversized(hall: Hall) -> anyhow::Result<()> {
    let mut head = vec![TEXT, 0x80 | 0x7f];
    head.extend_from_slice(&(5_u64 << 20).to_be_bytes());
    head.extend_from_slice(&MASK);
    cut(&hall, &head).await
}

/// Sends text that is none.
pub(super) async fn bad_text(hall: Hall) -> anyhow::Result<()> {
    cut(&hall, &frame(TEXT, &[0xff, 0xfe, 0xc0])).await
}

/// Sends JSON that is no live frame.
pub(super) async fn no_frame(hall: Hall) -> anyhow::Result<()> {
    cut(&hall, &frame(TEXT, br#"{"id": 1, "sing": {"loud": true}}"#)).await
}

/// Opens a socket and says nothing.
pub(super) async fn no_hello(hall: Hall) -> anyhow::Result<()> {
    cut(&hall, &[]).await
}

/// Says Hello, makes the server say much, and reads none of it.
pub(super) async fn never_reads(hall: Hall) -> anyhow::Result<()> {
    let mut stream = open(&hall).await?;
    let hello = json!({"id": 1, "hello": {"accessToken": hall.token, "subscribe": {"channelIds": [hall.channel]}}});
    stream
        .write_all(&frame(TEXT, hello.to_string().as_bytes()))
        .await?;
    // Each of these is answered, or counted until it is too many.
    for id in 2..2_000 {
        let wish = json!({"id": id, "subscribe": {"channelIds": [hall.channel]}});
        let wish = frame(TEXT, wish.to_string().as_bytes());
        let sent = stream.write_all(&wish);
        match tokio::time::timeout(std::time::Duration::from_secs(1), sent).await {
            Ok(Ok(())) => {}
            // Cut, or not heard any more.
            Ok(Err(_)) | Err(_) => break,
        }
    }
    ends(&mut stream).await
}

/// Sends bytes after the upgrade; an error unless the server ends the connection, with a word or without.
async fn cut(hall: &Hall, sent: &[u8]) -> anyhow::Result<()> {
    let mut stream = open(hall).await?;
    let _ = stream.write_all(sent).await;
    ends(&mut stream).await
}

/// Reads until the server has said Close or cut the connection.
async fn ends(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut heard = Vec::new();
    let mut part = vec![0; 16 << 10];
    loop {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(read) => heard.extend_from_slice(&part[..read]),
        }
        // A Close frame begins with 0x88 and is the last one: its code is 4 bytes from the end where it has no words.
        let is_closed = heard.len() >= 4
            && heard[heard.len().saturating_sub(128)..]
                .windows(2)
                .any(|head| head[0] == 0x88 && head[1] < 126);
        if is_closed {
            return Ok(());
        }
    }
}

async fn open(hall: &Hall) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(&hall.address).await?;
    let upgrade = "GET /live HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        ensure!(stream.read(&mut byte).await? == 1, "no upgrade");
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer)?;
    let line = answer.lines().next().context("a line")?;
    ensure!(line.contains(" 101 "), "no upgrade: {answer}");
    Ok(stream)
}

/// A masked frame of less than 64 KiB.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).expect("less than 64 KiB");
            frame.push(0x80 | 0x7e);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}
