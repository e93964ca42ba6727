//! What a mirror may do with a connection, and what that is called: the sending half of THREATS.md, row 13.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use update::install::Fault;

use super::*;

const PLAIN: Bounds =
    Bounds { most: 1000, exact: true, stall: Duration::from_millis(400), whole: Duration::from_millis(1500) };

/// Answers each request by `answer`; counts connections.
fn server(
    answer: impl Fn(&mut TcpStream, &str) -> std::io::Result<()> + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/r", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, answer) = (connections.clone(), Arc::new(answer));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut first = String::new();
                    if reader.read_line(&mut first).unwrap_or(0) == 0 {
                        return;
                    }
                    let mut line = String::new();
                    while reader.read_line(&mut line).unwrap_or(0) > 2 {
                        line.clear();
                    }
                    if answer(&mut stream, &first).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, connections)
}

fn tls() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn get(
    answer: impl Fn(&mut TcpStream, &str) -> std::io::Result<()> + Send + Sync + 'static,
) -> Result<Vec<u8>, Fault> {
    let (url, _) = server(answer);
    on_a_runtime(async { Web::new(&url, tls()).unwrap().get("chunks/ab/x.zst", PLAIN).await })
}

fn whole(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes())?;
    stream.write_all(body)
}

const DONE: std::io::Result<()> = Ok(());

fn over() -> std::io::Result<()> {
    Err(std::io::ErrorKind::ConnectionReset.into())
}

#[test]
fn a_file_comes_whole_over_one_connection_that_is_kept() {
    let (url, connections) = server(|stream, first| {
        assert_eq!(first, "GET /r/chunks/ab/x.zst HTTP/1.1\r\n");
        whole(stream, &[7; 1000])
    });
    on_a_runtime(async {
        let mut web = Web::new(&url, tls()).unwrap();
        for _ in 0..5 {
            assert_eq!(web.get("chunks/ab/x.zst", PLAIN).await, Ok(vec![7; 1000]));
        }
    });
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_connection_that_the_server_has_closed_is_made_again() {
    let (url, connections) = server(|stream, _| {
        whole(stream, &[7; 1000])?;
        over()
    });
    on_a_runtime(async {
        let mut web = Web::new(&url, tls()).unwrap();
        for _ in 0..3 {
            assert_eq!(web.get("x", PLAIN).await, Ok(vec![7; 1000]));
        }
    });
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[test]
fn a_length_that_was_not_signed_ends_it_before_the_body() {
    for length in ["999", "1001", "1099511627776"] {
        let fault = get(move |stream, _| {
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())
        });
        assert_eq!(fault, Err(Fault::Length { offered: length.parse().unwrap() }));
    }
}

#[test]
fn an_endless_body_is_left_at_the_signed_length() {
    let began = Instant::now();
    let outcome = get(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            stream.write_all(b"10\r\n0123456789abcdef\r\n")?;
        }
    });
    // 62 pieces are 992 bytes, 63 are more than was signed.
    assert!(matches!(outcome, Err(Fault::Length { offered }) if offered > 1000), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn silence_slowness_and_a_broken_connection_have_their_names() {
    let begin =
        |stream: &mut TcpStream| stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123");
    assert_eq!(
        get(move |stream, _| {
            begin(stream)?;
            thread::sleep(Duration::from_secs(5));
            DONE
        }),
        Err(Fault::Stalled)
    );
    assert_eq!(
        get(|_, _| {
            thread::sleep(Duration::from_secs(5));
            DONE
        }),
        Err(Fault::Stalled),
        "not even a head"
    );
    let began = Instant::now();
    assert_eq!(
        get(move |stream, _| {
            begin(stream)?;
            loop {
                thread::sleep(Duration::from_millis(100));
                stream.write_all(b".")?;
            }
        }),
        Err(Fault::Late)
    );
    assert!(began.elapsed() < Duration::from_secs(4), "a byte now and then does not prolong it");
    assert_eq!(
        get(move |stream, _| {
            begin(stream)?;
            over()
        }),
        Err(Fault::Broken)
    );
    assert_eq!(get(|_, _| over()), Err(Fault::Broken));
}

#[test]
fn statuses_carry_when_to_come_back() {
    let status = |answer: &'static str| get(move |stream, _| stream.write_all(answer.as_bytes()));
    for (answer, code, after) in [
        ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", 500, None),
        ("HTTP/1.1 302 Found\r\nlocation: http://login/\r\ncontent-length: 0\r\n\r\n", 302, None),
        ("HTTP/1.1 429 Slow\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n", 429, Some(120_000)),
        ("HTTP/1.1 503 No\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", 503, None),
        ("HTTP/1.1 206 Part\r\ncontent-length: 1000\r\n\r\n", 206, None),
    ] {
        assert_eq!(status(answer), Err(Fault::Status { code, retry_after_ms: after }), "{answer}");
    }
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    let fault = get(move |stream, _| {
        stream.write_all(
            format!("HTTP/1.1 503 No\r\nretry-after: {date}\r\ncontent-length: 0\r\n\r\n").as_bytes(),
        )
    });
    let Err(Fault::Status { retry_after_ms: Some(ms), .. }) = fault else { panic!("{fault:?}") };
    assert!((90_000..=100_000).contains(&ms), "{ms}");
}

#[test]
fn an_address_that_swallows_everything_leaves_the_next_one_its_turn() {
    on_a_runtime(async {
        // A queue that is full: the kernel drops what else would connect.
        let hole = tokio::net::TcpSocket::new_v4().unwrap();
        hole.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let hole = hole.listen(1).unwrap();
        let full = hole.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(full)).await
        {
            waiting.push(stream.unwrap());
        }
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listening.local_addr().unwrap();
        let found = [full, full, good].into_iter();
        let reached = timeout(Duration::from_secs(5), reach(found, Duration::from_millis(100))).await;
        assert_eq!(reached.expect("the good one is tried").unwrap().peer_addr().unwrap(), good);
        // The last one, or the only one, has all the time that there is.
        let only = timeout(Duration::from_millis(400), reach([full].into_iter(), Duration::ZERO)).await;
        assert!(only.is_err(), "{only:?}");
        let none = reach([].into_iter(), EACH).await.unwrap_err();
        assert_eq!(none.to_string(), "its name has no address");
    });
}

#[test]
fn what_is_no_web_server_is_said() {
    let fault = get(|stream, _| stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"));
    assert_eq!(fault, Err(Fault::Broken));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fault =
        on_a_runtime(async { Web::new(&format!("http://{nobody}"), tls()).unwrap().get("x", PLAIN).await });
    assert!(matches!(&fault, Err(Fault::Unreachable(why)) if why.contains("refused")), "{fault:?}");
    assert!(Web::new("/media/usb", tls()).is_none() && Web::new("ftp://h", tls()).is_none());
}
