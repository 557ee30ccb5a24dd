//! Bad clients of HTTP/1.1.

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Hall, expect_answer};

/// Sends half a head and waits.
pub(super) async fn half_head(hall: Hall) -> anyhow::Result<()> {
    let head = b"POST /api/v1/spaces HTTP/1.1\r\nhost: a\r\nx-half";
    expect_answer(&hall, head, &["", " 408 "]).await
}

/// Promises a body and sends two bytes of it.
pub(super) async fn slow_body(hall: Hall) -> anyhow::Result<()> {
    let mut head = post(&hall, 500);
    head.extend_from_slice(b"{\"");
    expect_answer(&hall, &head, &["", " 408 "]).await
}

/// Promises the largest body there is and sends all of it but a byte: a hundred of these are more than all bodies may take together.
pub(super) async fn most_of_a_body(hall: Hall) -> anyhow::Result<()> {
    let mut sent = post(&hall, 1 << 20);
    sent.extend_from_slice(&vec![b' '; (1 << 20) - 1]);
    expect_answer(&hall, &sent, &["", " 408 "]).await
}

/// Does the same for a call that needs a token, without one: refused before the body.
pub(super) async fn body_of_nobody(hall: Hall) -> anyhow::Result<()> {
    let head = "POST /api/v1/spaces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1048576\r\n\r\n{";
    expect_answer(&hall, head.as_bytes(), &[" 401 "]).await
}

/// Announces a body of 10 MiB.
pub(super) async fn large_body(hall: Hall) -> anyhow::Result<()> {
    let mut head = post(&hall, 10 << 20);
    head.extend_from_slice(&vec![b' '; 64 << 10]);
    expect_answer(&hall, &head, &[" 413 "]).await
}

/// Sends 2 MiB in chunks, without a word about the length.
pub(super) async fn large_chunks(hall: Hall) -> anyhow::Result<()> {
    let mut sent = format!(
        "POST /api/v1/spaces HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        hall.token
    )
    .into_bytes();
    for _ in 0..32 {
        sent.extend_from_slice(b"10000\r\n");
        sent.extend_from_slice(&vec![b' '; 64 << 10]);
        sent.extend_from_slice(b"\r\n");
    }
    // Cut while it still writes, a client may not get to read the answer.
    expect_answer(&hall, &sent, &[" 413 ", ""]).await
}

/// Sends JSON of 200,000 levels.
pub(super) async fn deep_json(hall: Hall) -> anyhow::Result<()> {
    let body = format!("{{\"name\":{}", "[".repeat(200_000));
    let mut sent = post(&hall, body.len());
    sent.extend_from_slice(body.as_bytes());
    expect_answer(&hall, &sent, &[" 400 "]).await
}

/// Sends what is no HTTP at all.
pub(super) async fn no_http(hall: Hall) -> anyhow::Result<()> {
    expect_answer(
        &hall,
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        &["", " 400 "],
    )
    .await
}

/// Asks for events and never reads them: it may stay while all that waits for it fits, and the server is none the worse.
pub(super) async fn never_reads(hall: Hall) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(&hall.address).await?;
    let request = format!(
        "GET /api/v1/live?subscribe.channelIds={} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\r\n",
        hall.channel, hall.token
    );
    stream.write_all(request.as_bytes()).await?;
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    let known = ["HTTP/1.1 200", "HTTP/1.1 429", "HTTP/1.1 503"];
    ensure!(
        read == 0 || known.iter().any(|known| text.starts_with(known)),
        "answered {text:?}"
    );
    Ok(())
}

fn post(hall: &Hall, length: usize) -> Vec<u8> {
    format!(
        "POST /api/v1/spaces HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        hall.token
    )
    .into_bytes()
}
