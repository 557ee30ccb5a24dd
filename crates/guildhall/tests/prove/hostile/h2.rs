//! Bad clients of HTTP/2, who write their frames by hand.

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Hall;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The setting of how much may be sent on a stream before its reader asks for more.
const WINDOW: u16 = 4;
/// `GET / http a`, from the static table and one literal: ":method: GET", ":scheme: http", ":path: /", ":authority: a".
const HEAD: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

/// Opens streams and resets each at once (CVE-2023-44487).
pub(super) async fn rapid_reset(hall: Hall) -> anyhow::Result<()> {
    let mut stream = open(&hall, &[]).await?;
    for batch in 0..200_u32 {
        let mut sent = Vec::new();
        for n in 0..50 {
            let id = (batch * 50 + n) * 2 + 1;
            sent.extend(frame(HEADERS, END_HEADERS | END_STREAM, id, HEAD));
            sent.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        }
        if stream.write_all(&sent).await.is_err() {
            return Ok(());
        }
    }
    told_to_go(&mut stream).await
}

/// Begins headers that never end (CVE-2024-27316).
pub(super) async fn continuation(hall: Hall) -> anyhow::Result<()> {
    let mut stream = open(&hall, &[]).await?;
    stream
        .write_all(&frame(HEADERS, END_STREAM, 1, HEAD))
        .await?;
    // A literal that is not indexed: "x: " and 4,000 bytes.
    let mut field = vec![0x00, 0x01, b'x', 0x7f, 0xa1, 0x1e];
    field.extend_from_slice(&[b'y'; 4_000]);
    for _ in 0..1_000 {
        let sent = frame(CONTINUATION, 0, 1, &field);
        if stream.write_all(&sent).await.is_err() {
            return Ok(());
        }
    }
    told_to_go(&mut stream).await
}

/// Asks for a page again and again and leaves no window for the answers.
pub(super) async fn no_window(hall: Hall) -> anyhow::Result<()> {
    let mut window = WINDOW.to_be_bytes().to_vec();
    window.extend_from_slice(&0_u32.to_be_bytes());
    let mut stream = open(&hall, &window).await?;
    // "/openapi.json" is long enough to wait.
    let mut head = vec![0x82, 0x86, 0x41, 0x01, b'a', 0x44, 13];
    head.extend_from_slice(b"/openapi.json");
    for n in 0..100_u32 {
        let sent = frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, &head);
        if stream.write_all(&sent).await.is_err() {
            return Ok(());
        }
    }
    told_to_go(&mut stream).await
}

/// Reads until GOAWAY or the end.
async fn told_to_go(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        if head[3] == GOAWAY {
            return Ok(());
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn open(hall: &Hall, settings: &[u8]) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(&hall.address).await?;
    stream.write_all(PREFACE).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await?;
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    ensure!(head[3] == SETTINGS, "no HTTP/2: {head:?}");
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok(stream)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
