//! THREATS.md, row 3: what a hostile camera writes in XML ends in a plain sentence. No entity is resolved, reading stops at
//! depth 32 and at 1 MiB, nobody else is contacted, and no login is shown.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "the camera's own sockets and clock"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml exempts only what stands under cfg(test)"
)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use camera::errand::Errand;
use common::{Listener, Simcam, send, source};
use model::Trouble;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const ERRANDS: [Errand; 4] = [Errand::Inspect, Errand::Improve, Errand::Snapshot, Errand::Channels];

/// A place that only the camera speaks of, and how often anybody came.
async fn lure() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, came)
}

#[tokio::test]
async fn entities_document_types_and_depth_lead_nowhere() {
    let (lure, came) = lure().await;
    for xml in ["entities", "bomb", "dtd", "deep", "huge"] {
        let camera = Simcam::start("gate.h264", &["--user", "admin", "--password", "secret-1"]);
        camera.tell(&format!("set xml={xml} xml-url=http://{lure}/x"));
        let device = source(&camera.onvif(), Some(("admin", "secret-1")));
        let began = Instant::now();
        for errand in ERRANDS {
            let trouble = send(&device, errand).await.unwrap_err();
            assert!(
                matches!(trouble, Trouble::Protocol { .. } | Trouble::TooLarge { .. }),
                "{xml}: {trouble:?}"
            );
            assert!(!trouble.to_string().contains("lol"), "{xml}: {trouble}");
        }
        let (trouble, stopped) = Listener::of(device).trouble().await;
        assert!(
            matches!(trouble, Trouble::Protocol { .. } | Trouble::TooLarge { .. }) && !stopped,
            "{trouble:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(20), "{xml} took {:?}", began.elapsed());
        assert_eq!((camera.fact("right"), camera.fact("wrong")), (0, 0), "{xml}: no login");
        // It is not damaged: when the camera answers as it should, it plays.
        camera.tell("set xml=right");
        assert!(send(&source(&camera.onvif(), Some(("admin", "secret-1"))), Errand::Inspect).await.is_ok());
    }
    assert_eq!(came.load(Ordering::Relaxed), 0, "nobody else is asked for anything");
}

#[tokio::test]
async fn of_100_megabytes_one_is_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut chunk = [0; 8192];
            let _ = stream.read(&mut chunk).await;
            // Without a length: nothing announces how much there is.
            let mut part = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<a>".to_vec();
            let mut sent = 0;
            while sent < 100_000_000 && stream.write_all(&part).await.is_ok() {
                sent += part.len();
                part = b"<b>text</b>".repeat(1 << 12);
            }
            count.fetch_max(sent, Ordering::Relaxed);
        }
    });
    let device = source(&format!("http://{address}"), None);
    for errand in ERRANDS {
        let trouble = send(&device, errand).await.unwrap_err();
        assert!(matches!(trouble, Trouble::TooLarge { .. }), "{trouble:?}");
    }
    // What the sockets of both ends hold comes on top of the 1 MiB.
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < 16 << 20, "{taken} bytes were taken");
}
