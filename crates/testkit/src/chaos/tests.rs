use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::*;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(5);

/// A server that says everything back, behind a proxy; and a client of it.
async fn echo() -> (Proxy, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let proxy = Proxy::before(&server).await.unwrap();
    proxy.tasks.spawn("echo", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 64];
            while let Ok(read @ 1..) = stream.read(&mut piece).await {
                stream.write_all(&piece[..read]).await.unwrap();
            }
        }
    });
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (proxy, client)
}

async fn ask(client: &mut TcpStream, word: &str) -> io::Result<String> {
    client.write_all(word.as_bytes()).await?;
    hear(client, word.len()).await
}

async fn hear(client: &mut TcpStream, length: usize) -> io::Result<String> {
    let mut heard = vec![0; length];
    client.read_exact(&mut heard).await?;
    Ok(String::from_utf8(heard).unwrap())
}

#[tokio::test]
async fn in_clear_weather_everything_passes() {
    let (_proxy, mut client) = echo().await;

    assert_eq!(ask(&mut client, "hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn what_was_said_in_a_silence_arrives_after_it() {
    for way in [Way::There, Way::Back, Way::Both] {
        let (proxy, mut client) = echo().await;
        ask(&mut client, "before").await.unwrap();

        proxy.set(Weather::Silent(way));
        let meanwhile = timeout(SHORT, ask(&mut client, "hello")).await;
        proxy.set(Weather::Clear);
        let after = timeout(LONG, hear(&mut client, 5)).await;

        assert!(meanwhile.is_err(), "{way:?}");
        assert_eq!(after.unwrap().unwrap(), "hello", "{way:?}");
    }
}

#[tokio::test]
async fn who_connects_in_a_silence_is_heard_after_it() {
    let (proxy, _) = echo().await;

    proxy.set(Weather::Silent(Way::Back));
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let meanwhile = timeout(SHORT, ask(&mut client, "hello")).await;
    proxy.set(Weather::Clear);
    let after = timeout(LONG, hear(&mut client, 5)).await;

    assert!(meanwhile.is_err());
    assert_eq!(after.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn a_cut_resets_connections_that_stand_and_new_ones() {
    let (proxy, mut client) = echo().await;
    ask(&mut client, "before").await.unwrap();

    proxy.set(Weather::Cut);
    let cut = timeout(LONG, client.read_u8()).await.unwrap();
    let mut later = TcpStream::connect(proxy.address()).await.unwrap();
    let refused = timeout(LONG, later.read_u8()).await.unwrap();
    proxy.set(Weather::Clear);
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();

    assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(ask(&mut again, "hello").await.unwrap(), "hello");
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "it is about the time of a socket"
)]
async fn slow_weather_holds_every_piece_back() {
    let (proxy, mut client) = echo().await;

    proxy.set(Weather::Slow(SHORT));
    let began = std::time::Instant::now();
    let heard = ask(&mut client, "hello").await.unwrap();

    assert_eq!(heard, "hello");
    assert!(began.elapsed() >= 2 * SHORT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_reply_is_taken_out_and_its_connection_reset() {
    let (proxy, mut client) = echo().await;
    proxy.swallow(Reply::of(b"COMMIT"), 2);

    let first = ask(&mut client, "COMMIT").await;
    let other = ask(&mut client, "BEGIN").await;
    let second = timeout(LONG, ask(&mut client, "COMMIT")).await.unwrap();

    assert_eq!(first.unwrap(), "COMMIT");
    assert_eq!(other.unwrap(), "BEGIN");
    assert_eq!(second.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(proxy.swallowed(), 1);
}

#[tokio::test]
async fn a_farewell_of_one_end_reaches_the_other() {
    let (_proxy, mut client) = echo().await;

    client.shutdown().await.unwrap();

    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn where_no_server_listens_connections_are_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let proxy = Proxy::before(&nobody).await.unwrap();

    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let refused = timeout(LONG, client.read_u8()).await.unwrap();

    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}
