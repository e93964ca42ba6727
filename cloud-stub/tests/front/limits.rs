//! What a stranger cannot make the front do.

use std::time::{Duration, Instant};

use door::Limits;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::net::TcpStream;

use crate::stage::Stage;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn everything_that_is_not_there_looks_the_same() {
    let stage = Stage::new().await;
    let looks = stage.get("/nothing").await.looks();
    assert!(looks.starts_with("404"), "{looks}");
    for path in [
        "/",
        "/aaaaaaaaaaaaaaaaaaaaaaaaaa/",
        "/api",
        "/api/v1/",
        "/api/v1/enrol/nosession",
        "/x/../api",
        "/%00",
    ] {
        assert_eq!(stage.get(path).await.looks(), looks, "{path}");
    }
    let join = "/api/v1/enrol/nosession/join";
    let yes = enrol::sign_join(&crate::stage::member(1), "nosession", "ACME", [1; 32]);
    assert_eq!(stage.post(join, &yes).await.looks(), looks, "a join to no session");
}

#[tokio::test]
async fn the_api_is_called_by_its_own_names_only() {
    let stage = Stage::new().await;
    for (host, expected) in [
        ("video.example.org", 200),
        ("VIDEO.example.com:8443", 200),
        ("127.0.0.1:8443", 200),
        ("evil.example", 421),
        ("video.example.org.evil.example", 421),
    ] {
        let request = Request::get("/api/v1/openapi.json").header("host", host);
        let answer = stage.ask(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status, expected, "{host}");
    }
    let described = stage.get("/api/v1/openapi.json").await.json();
    for path in [
        "/api/v1/enrol",
        "/api/v1/enrol/{session}",
        "/api/v1/enrol/{session}/join",
        "/api/v1/find",
        "/find",
        "/healthz",
        "/metrics",
    ] {
        assert!(described["paths"][path].is_object(), "{path} is not described");
    }
}

#[tokio::test]
async fn long_and_strange_requests_are_refused() {
    let stage = Stage::new().await;
    let status = async |head: &str, body: &[u8]| {
        let mut bytes = head.replace('\n', "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        let answer = stage.raw(&bytes, SOON).await.expect("closed in time");
        answer.split_whitespace().nth(1).unwrap_or("closed").to_owned()
    };
    let post = "POST /api/v1/enrol HTTP/1.1\nHost: video.example.org\nContent-Type: application/json\nConnection: close\n";
    let long = vec![b' '; 70_000];
    assert_eq!(status(&format!("{post}Content-Length: 70000\n\n"), &long).await, "413");
    assert_eq!(status(&format!("{post}Content-Length: 99999999999999999999\n\n"), b"").await, "400");
    let chunks =
        [b"10000\r\n".as_slice(), &long[..65_536], b"\r\n10000\r\n", &long[..65_536], b"\r\n0\r\n\r\n"]
            .concat();
    assert_eq!(status(&format!("{post}Transfer-Encoding: chunked\n\n"), &chunks).await, "413");
    assert_eq!(status(&format!("{post}Content-Length: 2\nContent-Length: 3\n\n"), b"{} ").await, "400");
    assert_eq!(status(&format!("{post}Content-Length: 1\n\n"), b"x").await, "400");
    let lines = (0..100).fold(String::new(), |lines, i| lines + &format!("X-{i}: 1\n"));
    assert_eq!(status(&format!("{post}{lines}Content-Length: 2\n\n"), b"{}").await, "431");
    let line = format!("X-Long: {}\n", "x".repeat(20_000));
    assert_eq!(status(&format!("{post}{line}Content-Length: 2\n\n"), b"{}").await, "431");
    let form =
        "POST /api/v1/enrol HTTP/1.1\nHost: video.example.org\nContent-Type: text/plain\nConnection: close\n";
    assert_eq!(status(&format!("{form}Content-Length: 2\n\n"), b"{}").await, "415");
    assert_eq!(
        status("DELETE /api/v1/enrol HTTP/1.1\nHost: video.example.org\nConnection: close\n\n", b"").await,
        "405"
    );
    assert_eq!(stage.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_dawdles_is_cut_off_and_others_are_served() {
    let stage = Stage::new().await;
    let start = Instant::now();
    let half_a_head = stage.raw(b"GET /healthz HTTP/1.1\r\nHost: vid", Duration::from_secs(15));
    let half_a_body = stage.raw(
        b"POST /api/v1/enrol HTTP/1.1\r\nHost: video.example.org\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        Duration::from_secs(25),
    );
    let nothing = stage.raw(b"", Duration::from_secs(15));
    let (head, body, nothing, answer) =
        tokio::join!(half_a_head, half_a_body, nothing, stage.get("/healthz"));
    assert!(head.is_some() && nothing.is_some(), "a slow head is let be");
    assert!(body.expect("a slow body is let be").starts_with("HTTP/1.1 408"));
    assert_eq!(answer.status, StatusCode::OK);
    assert!(start.elapsed() < Duration::from_secs(24), "{:?}", start.elapsed());
}

#[tokio::test]
async fn one_address_cannot_take_every_seat() {
    let limits = Limits { seats: 100, seats_per_peer: 5, proxies: Vec::new() };
    let stage = Stage::with(limits, None).await;
    let mut idle = Vec::new();
    for _ in 0..5 {
        idle.push(TcpStream::connect(stage.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let sixth =
        stage.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", SOON).await.unwrap();
    assert_eq!(sixth, "", "a sixth connection is closed at once");
    drop(idle);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.get("/healthz").await.status, StatusCode::OK);
}
