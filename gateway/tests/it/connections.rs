//! What a client may do to a connection is bounded: in number and in time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use guildhall_gateway::GatewaySettings;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{client, hall, hall_with, roomy};

/// Settings with short times, so that tests need not wait for long ones.
fn hasty() -> GatewaySettings {
    GatewaySettings {
        head_seconds: 1,
        body_seconds: 1,
        handshake_seconds: 1,
        idle_seconds: 3,
        stall_seconds: 1,
        ..GatewaySettings::default()
    }
}

/// Sends bytes, then waits for the server to close. Says how long that took and what came back.
async fn until_closed(address: SocketAddr, bytes: &[u8]) -> (Duration, String) {
    let mut socket = TcpStream::connect(address).await.expect("connects");
    socket.write_all(bytes).await.expect("sends");
    until_end(socket).await
}

#[expect(clippy::disallowed_methods, reason = "a test of real time")]
async fn until_end(mut socket: TcpStream) -> (Duration, String) {
    let began = Instant::now();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
    (
        began.elapsed(),
        String::from_utf8_lossy(&answer).into_owned(),
    )
}

fn between(took: Duration, from: u64, to: u64) -> bool {
    (Duration::from_millis(from)..Duration::from_millis(to)).contains(&took)
}

#[tokio::test]
async fn silence_and_half_a_head_are_cut_after_the_time_for_heads() {
    let hall = hall_with(hasty(), roomy()).await;

    let silent = [
        &b""[..],
        b"GET /api/v1/auth/me HTTP/1.1\r\nhost: x\r\nx-half: ",
        b"PRI * HTTP/2.0\r\n",
    ];
    let cut = silent.map(|bytes| until_closed(hall.address, bytes));
    for (took, answer) in futures::future::join_all(cut).await {
        assert!(
            between(took, 900, 2_900) && answer.is_empty(),
            "{took:?} {answer}"
        );
    }
}

#[tokio::test]
async fn a_quiet_connection_is_closed_later_than_one_with_half_a_head() {
    let hall = hall_with(hasty(), roomy()).await;
    let whole = b"GET /favicon.svg HTTP/1.1\r\nhost: x\r\n\r\n";

    let half = async {
        let mut socket = TcpStream::connect(hall.address).await.expect("connects");
        socket.write_all(whole).await.expect("sends");
        let mut answer = [0; 4_096];
        assert!(socket.read(&mut answer).await.expect("answers") > 0);
        tokio::time::sleep(Duration::from_millis(300)).await;
        socket.write_all(b"GET /fav").await.expect("sends");
        until_end(socket).await.0
    };
    let ((quiet, answer), half) = tokio::join!(until_closed(hall.address, whole), half);

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(between(quiet, 2_900, 5_000), "{quiet:?}");
    assert!(between(half, 900, 2_400), "{half:?}");
}

#[tokio::test]
async fn an_http2_connection_that_opens_no_stream_is_closed_when_it_has_been_quiet() {
    let hall = hall_with(hasty(), roomy()).await;
    let (took, _) = until_closed(hall.address, &opening()).await;

    assert!(between(took, 2_900, 5_500), "{took:?}");
}

#[tokio::test]
async fn a_body_that_dribbles_in_is_given_up_and_holds_nobody_else_up() {
    let settings = GatewaySettings {
        calls: 1,
        ..hasty()
    };
    let hall = hall_with(settings, roomy()).await;
    let slow = b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";

    let dribble = tokio::join!(until_closed(hall.address, slow), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client()
            .get(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token())
            .send()
            .await
            .expect("answers")
    });

    let ((took, answer), other) = dribble;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("REASON_DEADLINE"),
        "{answer}"
    );
    assert!(between(took, 900, 5_000), "{took:?}");
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut() {
    let hall = hall_with(hasty(), roomy()).await;
    let mut socket = TcpStream::connect(hall.address).await.expect("connects");
    // Enough answers to fill every buffer between us: each is nearly half a megabyte.
    let asks =
        b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n"
            .repeat(100);
    socket.write_all(&asks).await.expect("sends");

    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest)).await;

    assert!(read.is_ok(), "the connection is still open");
    assert!(
        rest.len() < 100 * 450_000,
        "cut before the end: {}",
        rest.len()
    );
}

#[tokio::test]
async fn an_http2_client_that_makes_no_room_is_cut() {
    let hall = hall_with(hasty(), roomy()).await;
    let mut socket = TcpStream::connect(hall.address).await.expect("connects");
    // SETTINGS_INITIAL_WINDOW_SIZE = 1, then one request for a large file: method and scheme by index, :authority x, :path.
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1];
    let path = b"/docs/swagger-ui.css";
    let headers = [
        0, 0, 27, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x41, 1, b'x', 0x04, 20,
    ];
    let bytes = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &settings,
        &headers,
        path,
    ]
    .concat();
    socket.write_all(&bytes).await.expect("sends");

    let (took, answer) = until_end(socket).await;

    // The head, one byte of the file, and the end: before the connection would count as quiet.
    assert!(between(took, 900, 2_900), "{took:?}");
    assert!((100..1_500).contains(&answer.len()), "{}", answer.len());
}

/// The opening of an HTTP/2 client without settings of its own.
fn opening() -> Vec<u8> {
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()
}

#[tokio::test]
async fn http2_clients_are_told_how_much_they_may_do_at_once() {
    let hall = hall().await;
    let mut socket = TcpStream::connect(hall.address).await.expect("connects");
    socket.write_all(&opening()).await.expect("sends");

    let mut head = [0; 9];
    socket.read_exact(&mut head).await.expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS");
    let mut settings = vec![0; usize::from(head[2])];
    socket.read_exact(&mut settings).await.expect("its body");
    let told = |id: u8| {
        let found = settings.chunks(6).find(|one| one[..2] == [0, id]);
        found.map(|one| u32::from_be_bytes([one[2], one[3], one[4], one[5]]))
    };

    assert_eq!(told(3), Some(128), "MAX_CONCURRENT_STREAMS");
    assert_eq!(told(6), Some(32 << 10), "MAX_HEADER_LIST_SIZE");
}

#[tokio::test]
async fn http2_streams_that_are_reset_as_soon_as_opened_end_the_connection() {
    let hall = hall().await;
    let mut bytes = opening();
    for n in 0..2_000_u32 {
        let [_, b, c, d] = (2 * n + 1).to_be_bytes();
        bytes.extend([0, 0, 6, 1, 5, 0, b, c, d, 0x82, 0x86, 0x84, 0x41, 1, b'x']);
        bytes.extend([0, 0, 4, 3, 0, 0, b, c, d, 0, 0, 0, 8]);
    }
    let mut socket = TcpStream::connect(hall.address).await.expect("connects");
    let (mut read, mut write) = socket.split();
    let mut answer = Vec::new();

    // The server may close before it has read everything.
    let sent = write.write_all(&bytes);
    let all = tokio::time::timeout(
        Duration::from_secs(5),
        futures::future::join(sent, read.read_to_end(&mut answer)),
    );

    assert!(all.await.is_ok(), "still open");
    // GOAWAY with ENHANCE_YOUR_CALM.
    assert!(
        answer.windows(4).any(|window| window == [0, 0, 0, 11]),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let hall = hall().await;
    let mut bytes = b"GET / HTTP/1.1\r\nhost: x\r\n".to_vec();
    bytes.extend(format!("x-long: {}\r\n", "a".repeat(100_000)).into_bytes());

    let (took, answer) = until_closed(hall.address, &bytes).await;

    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn one_address_has_its_share_of_connections() {
    let settings = GatewaySettings {
        connections_per_address: 3,
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, roomy()).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(hall.address).await.expect("connects"));
    }

    let (_, refused) = until_closed(hall.address, b"").await;
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 5"),
        "{refused}"
    );

    held.pop();
    // Until the server has seen the end of it.
    let mut served = false;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        served = client()
            .get(hall.url("/favicon.svg"))
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 200);
        if served {
            break;
        }
    }
    assert!(served);
}
