//! Two ends over pipes: what gets through, what ends the connection, and what a slow reader costs.

use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

type Pipe = WebSocketStream<DuplexStream>;

async fn pipe(bytes: usize) -> (Pipe, Pipe) {
    let (client, server) = duplex(bytes);
    (
        WebSocketStream::from_raw_socket(client, Role::Client, Some(config())).await,
        server::upgraded(server).await,
    )
}

/// An end that pumps: what was delivered, how to send, how it ended.
struct End {
    got: Arc<Mutex<Vec<Vec<u8>>>>,
    send: mpsc::Sender<Bytes>,
    ended: tokio::task::JoinHandle<Error>,
}

fn end(socket: Pipe, queue: usize) -> End {
    let got = Arc::new(Mutex::new(Vec::new()));
    let (send, mut outgoing) = mpsc::channel(queue);
    let delivered = Arc::clone(&got);
    let ended = tokio::spawn(async move {
        pump(socket, |datagram| delivered.lock().unwrap().push(datagram.to_vec()), &mut outgoing).await
    });
    End { got, send, ended }
}

#[tokio::test(start_paused = true)]
async fn datagrams_keep_their_bounds_in_both_directions() {
    let (client, server) = pipe(4096).await;
    let (client, server) = (end(client, 64), end(server, 64));
    let sent: Vec<Vec<u8>> = (0..200_usize).map(|n| vec![n as u8; 1 + n * 10]).collect();
    for datagram in &sent {
        client.send.send(Bytes::copy_from_slice(datagram)).await.unwrap();
        server.send.send(Bytes::copy_from_slice(datagram)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*server.got.lock().unwrap(), sent);
    assert_eq!(*client.got.lock().unwrap(), sent);
}

#[tokio::test(start_paused = true)]
async fn an_idle_carrier_lives_and_a_silent_one_dies_after_45_s() {
    let (client, server) = pipe(4096).await;
    let (client, server) = (end(client, 4), end(server, 4));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!client.ended.is_finished() && !server.ended.is_finished(), "pings keep it alive");

    let (client, silent) = pipe(1 << 20).await;
    let start = Instant::now();
    let client = end(client, 4);
    assert!(matches!(client.ended.await.unwrap(), Error::Dead));
    assert_eq!(start.elapsed().as_secs(), DEAD_AFTER.as_secs());
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_is_used_needs_no_pings() {
    let (client, server) = duplex(1 << 16);
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, Some(config())).await;
    let _server = end(server::upgraded(server).await, 4);
    for _ in 0..60 {
        client.send(Message::binary(vec![4; 32])).await.unwrap();
        let silence = timeout(Duration::from_secs(14), client.next()).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    let ping = timeout(Duration::from_secs(21), client.next()).await;
    assert!(matches!(ping, Ok(Some(Ok(Message::Ping(_))))), "{ping:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_datagram_ends_the_connection() {
    for message in [
        Message::text("hello"),
        Message::binary(vec![0; MESSAGE_BYTES + 1]),
        Message::binary(vec![0; 1 << 20]),
        Message::Close(None),
    ] {
        let (client, server) = duplex(1 << 21);
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let server = end(server::upgraded(server).await, 4);
        client.send(message).await.unwrap();
        let error = server.ended.await.unwrap();
        assert!(matches!(error, Error::NoDatagram | Error::WebSocket(_) | Error::Closed), "{error}");
        assert!(server.got.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn noise_ends_the_connection() {
    use tokio::io::AsyncWriteExt as _;
    for seed in 0..64_u8 {
        let (mut client, server) = duplex(1 << 16);
        let server = end(server::upgraded(server).await, 4);
        let noise: Vec<u8> = (0..4096_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed.wrapping_mul(37))
            .collect();
        let _ = client.write_all(&noise).await;
        drop(client);
        server.ended.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_takes_nothing_fills_the_queue_and_dies() {
    let (client, stuck) = pipe(4096).await;
    let client = end(client, 16);
    let mut taken = 0;
    for _ in 0..2000 {
        taken += usize::from(client.send.try_send(Bytes::from(vec![7; 1400])).is_ok());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!((1..100).contains(&taken), "{taken} of 2000 datagrams were stored for somebody who takes none");
    assert!(matches!(client.ended.await.unwrap(), Error::Dead));
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_owner() {
    let (client, server) = pipe(4096).await;
    let (client, server) = (end(client, 4), end(server, 4));
    drop(client.send);
    assert!(matches!(client.ended.await.unwrap(), Error::Closed));
    assert!(matches!(server.ended.await.unwrap(), Error::Closed | Error::WebSocket(_)));
}

#[tokio::test]
async fn both_ends_agree_on_the_upgrade() {
    let mut request = "ws://hub.example/tunnel/v1".into_client_request().unwrap();
    assert!(
        server::answer::<_, ()>(&request).is_none(),
        "without the subprotocol there is nothing to be had"
    );
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("chat, wireguard"));
    let answer: Response<()> = server::answer(&request).unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "wireguard");
    let plain = Request::get("http://hub.example/tunnel/v1")
        .header("Sec-WebSocket-Protocol", "wireguard")
        .body(())
        .unwrap();
    assert!(server::answer::<_, ()>(&plain).is_none());
}

/// What a server that speaks HTTP/1.1 answers, byte by byte.
async fn answering(answer: &'static str) -> Result<(), Error> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/tunnel/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        stream.write_all(answer.as_bytes()).await.unwrap();
        head
    });
    let tls = trusting_nobody();
    let result = client::dial(&url, &tls).await.map(drop);
    let head = server.await.unwrap().to_lowercase();
    assert!(head.starts_with("get /tunnel/v1 http/1.1\r\n"), "{head}");
    assert!(head.contains("sec-websocket-protocol: wireguard\r\n"), "{head}");
    result
}

fn trusting_nobody() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Arc::new(
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    )
}

#[tokio::test]
async fn a_captive_portal_is_no_hub() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        "\r\n\r\n",
    ] {
        assert!(matches!(answering(answer).await, Err(Error::WebSocket(_))), "{answer}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_says_so() {
    for url in ["", "hub.example", "https://hub.example/", "wss://", "wss:///x"] {
        let error = client::dial(url, &trusting_nobody()).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Address(_)), "{url}: {error}");
    }
}
