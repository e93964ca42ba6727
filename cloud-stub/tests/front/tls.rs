//! Certificates from files: shown, exchanged while connections go on, and kept when the new ones are wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloud_stub::http::certificate::{Files, Shown};
use door::Limits;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use crate::stage::{Folder, Stage};

const NAME: &str = "video.example.org";

struct Made {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
}

fn made() -> Made {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    Made { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
}

async fn connect(stage: &Stage, trusted: &Made) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(stage.address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await
}

async fn healthy(stream: &mut TlsStream<TcpStream>) -> bool {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).await.unwrap();
    answer[..read].starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_changed_certificate_is_shown_without_cutting_anybody_off() {
    let folder = Folder::new();
    let (cert, key) = (folder.0.join("cert.pem"), folder.0.join("key.pem"));
    let (first, second) = (made(), made());
    let write = |made: &Made| {
        std::fs::write(&cert, &made.chain).unwrap();
        std::fs::write(&key, &made.key).unwrap();
    };
    write(&first);
    let shown = Shown::default();
    let files = Files::open(&cert, &key, shown.clone()).unwrap();
    tokio::spawn(files.watch());
    let stage = Stage::with(Limits::default(), Some(TlsAcceptor::from(shown.server_config().unwrap()))).await;
    let mut open = connect(&stage, &first).await.unwrap();
    assert!(healthy(&mut open).await);

    // Half of the new pair: the old one is shown on.
    std::fs::write(&cert, &second.chain).unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(connect(&stage, &first).await.is_ok(), "a certificate without its key is shown");
    assert!(healthy(&mut open).await, "the open connection was cut off");
    write(&second);
    let start = Instant::now();
    while connect(&stage, &second).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(15), "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(connect(&stage, &first).await.is_err());
}

#[test]
fn wrong_files_are_named() {
    let folder = Folder::new();
    let (cert, key) = (folder.0.join("cert.pem"), folder.0.join("key.pem"));
    let open = || format!("{:#}", Files::open(&cert, &key, Shown::default()).unwrap_err());
    assert!(open().contains("cannot read") && open().contains("cert.pem"), "{}", open());
    std::fs::write(&cert, made().chain).unwrap();
    std::fs::write(&key, made().key).unwrap();
    assert!(open().contains("do not belong together") && open().contains("key.pem"), "{}", open());
    std::fs::write(&key, "canary").unwrap();
    assert!(open().contains("not PEM") && !open().contains("canary"), "{}", open());
}
