//! What a client may do to the hall is bounded: in number, in size, in time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use guildhall_gateway::{GatewaySettings, LimitSettings};
use guildhall_proto::auth::v1::{
    GetMeRequest, GetMeResponse, account_service_client::AccountServiceClient,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Request};

use crate::support::{client, client_h2, hall, hall_with, problem, roomy};

const GET_ME: &str = "/guildhall.auth.v1.AccountService/GetMe";
const UPDATE_ME: &str = "/guildhall.auth.v1.AccountService/UpdateMe";

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

#[tokio::test]
async fn more_calls_than_the_hall_can_bear_are_refused_at_once() {
    let settings = GatewaySettings {
        calls: 2,
        ..GatewaySettings::default()
    };
    let hall = hall_with(settings, roomy()).await;
    hall.is_ready().await;
    hall.services.go_slow(true);
    let slow = |_| {
        let request = client()
            .get(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token());
        hall.tasks
            .spawn("slow", async move { request.send().await.is_ok() })
    };
    let _held: Vec<_> = (0..2).map(slow).collect();
    while hall.services.asked(GET_ME).len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let rest = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .send()
        .await
        .expect("answers");
    assert!(rest.headers().contains_key("retry-after"));
    let (status, rest) = problem(rest).await;
    assert_eq!((status, &rest["reason"]), (503, &"REASON_BUSY".into()));
    let grpc = AccountServiceClient::new(hall.channel().await)
        .get_me(GetMeRequest {})
        .await
        .expect_err("refused");
    assert_eq!(
        (grpc.code(), guildhall_mesh::status::reason(&grpc)),
        (Code::Unavailable, guildhall_mesh::Reason::Busy)
    );
}

#[tokio::test]
async fn whoever_calls_too_often_is_told_when_to_come_back() {
    let limits = LimitSettings {
        sign_in_burst: 2,
        sign_in_per_minute: 6,
        ordinary_burst: 3,
        ordinary_per_minute: 6,
        ..roomy()
    };
    let hall = hall_with(GatewaySettings::default(), limits).await;
    let login = |from: &'static str| {
        client()
            .post(hall.url("/api/v1/auth/login"))
            .header("x-forwarded-for", from)
            .bearer_auth(hall.token())
            .json(&serde_json::json!({"username": "alice", "password": "p"}))
            .send()
    };

    // Other names for the address, or a token of one's own, are no way round.
    for from in ["198.51.100.1", "198.51.100.2"] {
        assert_eq!(login(from).await.expect("answers").status(), 200);
    }
    let refused = login("198.51.100.3").await.expect("answers");
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=10).contains(&wait), "{wait}");
    let (status, refused) = problem(refused).await;
    assert_eq!(
        (status, &refused["reason"]),
        (429, &"REASON_RATE_LIMITED".into())
    );

    let mut grpc = AccountServiceClient::new(hall.channel().await);
    let mut ask = async || {
        let mut request = Request::new(GetMeRequest {});
        let token = format!("Bearer {}", hall.token()).parse().expect("text");
        request.metadata_mut().insert("authorization", token);
        grpc.get_me(request)
            .await
            .map(tonic::Response::<GetMeResponse>::into_inner)
    };
    for _ in 0..3 {
        ask().await.expect("within the burst");
    }
    let refused = ask().await.expect_err("too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let info = tonic_types::StatusExt::get_details_retry_info(&refused);
    assert!(
        info.and_then(|info| info.retry_delay)
            .is_some_and(|wait| wait <= Duration::from_secs(10))
    );
}

#[tokio::test]
async fn large_bodies_are_refused_before_anybody_parses_them() {
    let hall = hall().await;
    let patch = |client: reqwest::Client, body: reqwest::Body| {
        client
            .patch(hall.url("/api/v1/auth/me"))
            .bearer_auth(hall.token())
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    let text = vec![b' '; (1 << 20) + 1];

    for client in [client(), client_h2()] {
        let announced = patch(client.clone(), text.clone().into())
            .await
            .expect("answers");
        let (status, refused) = problem(announced).await;
        assert_eq!(
            (status, &refused["reason"]),
            (413, &"REASON_TOO_LARGE".into())
        );
        let pieces = text
            .chunks(100_000)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect::<Vec<_>>();
        let streamed = patch(
            client,
            reqwest::Body::wrap_stream(futures::stream::iter(pieces)),
        )
        .await
        .expect("answers");
        assert_eq!(problem(streamed).await.0, 413);
    }

    let grpc = client_h2()
        .post(hall.url(UPDATE_ME))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(vec![0; (1 << 20) + 6])
        .send()
        .await
        .expect("answers");
    assert_eq!(
        (grpc.status().as_u16(), &grpc.headers()["grpc-status"]),
        (200, &http::HeaderValue::from_static("8"))
    );
    assert!(hall.services.asked(UPDATE_ME).is_empty());
}

#[tokio::test]
async fn deep_and_broken_json_is_refused_by_name() {
    let hall = hall().await;
    let post = |body: String| {
        client()
            .post(hall.url("/api/v1/auth/login"))
            .header("content-type", "application/json")
            .body(body)
            .send()
    };

    for body in [
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        "{\"username\": ".into(),
        "{\"unknown\": 1}".into(),
        "{\"username\": \"\\ud800\"}".into(),
        String::new(),
    ] {
        let (status, refused) = problem(post(body).await.expect("answers")).await;
        assert_eq!(
            (status, &refused["reason"]),
            (400, &"REASON_BAD_FIELD".into())
        );
        assert!(
            refused["errors"]
                .as_array()
                .is_some_and(|errors| !errors.is_empty()),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_for() {
    let hall = hall().await;
    hall.is_ready().await;
    hall.services.go_slow(true);

    let late = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .header("request-timeout", "0.3")
        .send()
        .await
        .expect("answers");

    let (status, late) = problem(late).await;
    assert_eq!((status, &late["reason"]), (504, &"REASON_DEADLINE".into()));
}

#[tokio::test]
async fn a_soft_stop_takes_no_new_connection_and_finishes_what_was_begun() {
    let hall = hall().await;
    hall.is_ready().await;
    hall.services.go_slow(true);
    let slow = client()
        .get(hall.url("/api/v1/auth/me"))
        .bearer_auth(hall.token())
        .header("request-timeout", "0.5")
        .send();
    let begun = tokio::join!(slow, async {
        while hall.services.asked(GET_ME).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        hall.tasks.begin_stop();
    });

    assert_eq!(begun.0.expect("an answer all the same").status(), 504);
    assert_eq!(
        hall.tasks.stop(Duration::from_secs(3)).await,
        0,
        "nothing had to be cut off"
    );
    assert!(TcpStream::connect(hall.address).await.is_err());
    assert!(!*hall.gateway.ready().borrow());
}
