//! Boxes that are slow, die, lie or never end.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloud_stub::gateway::Limits;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{BOX, GATE, IMMUTABLE, Stage, YARD, found, ordinary, start_box, until};

fn quick() -> Limits {
    Limits {
        body: 1 << 20,
        per_box: 4,
        bytes_per_box: 3 << 20,
        queue: Duration::from_millis(200),
        connect: Duration::from_millis(200),
        head: Duration::from_millis(300),
        idle: Duration::from_millis(200),
        whole: Duration::from_millis(600),
    }
}

/// A box of raw bytes: `answer` is called with each connection after the head of a request was read.
async fn raw_box<F>(answer: impl Fn(TcpStream, usize) -> F + Send + 'static) -> (u16, Arc<AtomicUsize>)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let number = counted.fetch_add(1, Ordering::SeqCst);
            read_head(&mut stream).await.unwrap();
            tokio::spawn(answer(stream, number));
        }
    });
    (port, count)
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// The status that a viewer gets from this box, and how long it took.
async fn status_of(port: u16) -> (u16, Duration) {
    let stage = Stage::with(port, 8 << 20, quick());
    let start = Instant::now();
    let got = stage.get(&format!("/{GATE}/7.m4s")).await;
    assert_eq!(stage.gateway.kept().1, 0, "nothing of it is kept");
    (got.status, start.elapsed())
}

#[tokio::test]
async fn a_box_that_says_nothing_costs_a_deadline() {
    let (port, _) = raw_box(|stream, _| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(stream);
        Ok(())
    })
    .await;
    let (status, took) = status_of(port).await;
    assert_eq!(status, 503);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_body_byte_by_byte_costs_a_deadline() {
    let (port, _) = raw_box(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
        for _ in 0..1000 {
            stream.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await;
    let (status, took) = status_of(port).await;
    assert_eq!(status, 503);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn half_a_body_is_never_given_for_a_whole_one() {
    let (port, connections) = raw_box(|mut stream, number| async move {
        if number == 0 {
            return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234").await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789").await
    })
    .await;
    let stage = Stage::with(port, 8 << 20, quick());
    let path = format!("/{GATE}/7.m4s");
    assert_eq!(stage.get(&path).await.status, 503);
    let again = stage.get(&path).await;
    assert_eq!((again.status, again.body.as_ref()), (200, b"0123456789".as_slice()));
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn endless_and_boundless_bodies_are_refused_before_they_cost_memory() {
    for head in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let (port, _) = raw_box(move |mut stream, _| {
            let counted = counted.clone();
            async move {
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(b"1000\r\n").await?;
                    stream.write_all(&[b'x'; 4096]).await?;
                    counted.fetch_add(stream.write(b"\r\n").await?, Ordering::SeqCst);
                }
            }
        })
        .await;
        let (status, took) = status_of(port).await;
        assert_eq!(status, 503, "{head}");
        assert!(took < Duration::from_secs(1), "{head}: {took:?}");
        let before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(sent.load(Ordering::SeqCst), before, "{head}: the connection is closed");
    }
}

#[tokio::test]
async fn nonsense_is_an_outage() {
    for answer in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 302 Found\r\nlocation: http://10.13.1.2/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let (port, connections) =
            raw_box(move |mut stream, _| async move { stream.write_all(answer.as_bytes()).await }).await;
        assert_eq!(status_of(port).await.0, 503, "{answer}");
        assert_eq!(connections.load(Ordering::SeqCst), 1, "{answer}: asked once, and nobody else");
    }
}

#[tokio::test]
async fn a_kept_connection_that_went_stale_costs_a_second_try_and_nothing_else() {
    let (port, connections) = raw_box(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx").await?;
        // The next request on it is read and then dropped: as a box that has just been restarted.
        read_head(&mut stream).await
    })
    .await;
    let stage = Stage::with(port, 8 << 20, quick());
    for number in 1..=6 {
        assert_eq!(stage.get(&format!("/{GATE}/{number}.m4s")).await.status, 200, "{number}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn connections_are_kept_and_one_box_gets_so_many_requests_at_a_time_only() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counter, highest) = (now.clone(), most.clone());
    let (port, _) = start_box(move |_| {
        let (now, most) = (counter.clone(), highest.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            found(IMMUTABLE, "x")
        }
    })
    .await;
    let stage = Stage::with(port, 8 << 20, quick());
    let all: Vec<_> = (0..16).map(|n| stage.later(&format!("/{GATE}/{n}.m4s"))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().status, 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn one_camera_full_of_slow_objects_leaves_the_others_alone() {
    let (port, _) = start_box(|path| async move {
        if path.starts_with("/gate/") {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        ordinary(path).await
    })
    .await;
    let stage = Stage::before(port);
    let slow: Vec<_> = (0..200).map(|n| stage.later(&format!("/{GATE}/{n}.m4s"))).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused = slow.iter().filter(|slow| slow.is_finished()).count();
    assert!(refused > 150, "{refused} were turned away at once");
    let start = Instant::now();
    assert_eq!(stage.get(&format!("/{YARD}/7.m4s")).await.status, 200);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_box_that_announces_much_and_sends_little_leaves_memory_to_the_others() {
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 13, 1, 2);
    let (greedy, _) = raw_box(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        stream.shutdown().await
    })
    .await;
    let (modest, _) = start_box(|_| async { found(IMMUTABLE, vec![1; 900_000]) }).await;
    let limits =
        Limits { idle: Duration::from_secs(2), whole: Duration::from_secs(2), per_box: 64, ..quick() };
    let stage = Stage::of(&[(BOX, greedy), (OTHER, modest)], 4 << 20, limits);
    stage.change(|links| *links = links.clone().with(YARD, OTHER, "yard"));
    let greed: Vec<_> = (0..16).map(|n| stage.later(&format!("/{GATE}/{n}.m4s"))).collect();
    until("most of them are refused", || greed.iter().filter(|one| one.is_finished()).count() >= 13).await;
    for n in 0..6 {
        assert_eq!(stage.get(&format!("/{YARD}/{n}.m4s")).await.status, 200, "{n}");
    }
    assert!(greed.iter().any(|one| !one.is_finished()), "meanwhile the greedy one goes on");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Objects of all sizes through a small cache: it never holds more than it may, and everybody gets the right bytes.
    #[test]
    fn the_cache_stays_within_its_bound_whatever_goes_through_it(
        asked in prop::collection::vec((0..40u32, 1..60_000usize), 20..120),
    ) {
        const BOUND: u64 = 200_000;
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (port, _) = start_box(|path| async move {
                let (msn, size) = path["/gate/".len()..path.len() - ".m4s".len()].split_once('.').unwrap();
                let byte = msn.parse::<u8>().unwrap();
                found(IMMUTABLE, vec![byte; size.parse().unwrap()])
            })
            .await;
            let stage = Stage::with(port, BOUND, Limits::default());
            for batch in asked.chunks(3) {
                let batch: Vec<_> =
                    batch.iter().map(|(n, size)| (*n, *size, stage.later(&format!("/{GATE}/{n}.{size}.m4s")))).collect();
                for (n, size, got) in batch {
                    let got = got.await.unwrap();
                    assert_eq!((got.status, got.body.len()), (200, size));
                    assert!(got.body.iter().all(|byte| u32::from(*byte) == n));
                    assert!(stage.gateway.kept().0 <= BOUND);
                }
            }
        });
    }
}
