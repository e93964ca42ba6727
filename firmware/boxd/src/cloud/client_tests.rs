use std::net::Ipv4Addr;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::cloud::files::tests::Scratch;
use crate::cloud::time::parse_date;
use crate::cloud::time::tests::Fake;

/// What the test's cloud says the time is: inside every certificate that is valid from 2030 to 2032.
const NOW: &str = "Wed, 01 Jan 2031 00:00:00 GMT";
const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Wed, 01 Jan 2031 00:00:00 GMT\r\n\
                    Content-Length: 12\r\nConnection: close\r\n\r\n{\"yes\":true}";

#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
struct Yes {
    yes: bool,
}

/// A root of the test's own, and certificates that it signs.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
    _scratch: Scratch,
}

impl Root {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2090, 1, 1);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let scratch = Scratch::new(&format!("ca-{name}"));
        scratch.files().write("ca.pem", pem.as_bytes()).unwrap();
        Self { issuer: Issuer::new(params, key), file: scratch.files().path("ca.pem"), _scratch: scratch }
    }

    /// Serves `answer` to whoever connects, as `name`, with a certificate for these years; gives the port.
    async fn serve(&self, name: &str, years: (i32, i32), answer: &'static str) -> u16 {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        port
    }
}

/// A box whose clock says this, that knows this root and asks `https://localhost:{port}`.
fn client(name: &str, clock: &str, ca: Option<&Root>, port: u16) -> (Client, Arc<Time>, Scratch) {
    let scratch = Scratch::new(&format!("client-{name}"));
    let clock = Fake::at(parse_date(clock).unwrap().as_secs() as i64);
    let time = Arc::new(Time::open(scratch.files(), Box::new(clock)));
    let trust = Trust::new(ca.map(|root| root.file.as_path()), &time).unwrap();
    let address = CloudAddress::parse(&format!("https://localhost:{port}")).unwrap();
    (Client::new(address, trust, time.clone()), time, scratch)
}

fn on_a_runtime<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

async fn sentence(client: &Client) -> String {
    match client.ask(Method::GET, "/", None).await {
        Ok(answer) => answer.json::<Yes>(client.address()).unwrap_err().to_string(),
        Err(obstacle) => obstacle.to_string(),
    }
}

#[test]
fn a_cloud_with_a_valid_certificate_is_asked_and_tells_the_time() {
    on_a_runtime(async {
        let root = Root::new("valid");
        let port = root.serve("localhost", (2030, 2032), JSON).await;
        let (client, time, _scratch) = client("valid", "Wed, 01 Jan 2031 00:00:09 GMT", Some(&root), port);
        let answer = client.ask(Method::GET, "/", None).await.unwrap();
        assert_eq!(answer.json::<Yes>(client.address()).unwrap(), Yes { yes: true });
        assert_eq!(
            time.now(),
            parse_date("Wed, 01 Jan 2031 00:00:09 GMT").unwrap(),
            "good enough: left alone"
        );
    });
}

#[test]
fn a_box_whose_clock_is_behind_learns_the_time_and_gets_in() {
    on_a_runtime(async {
        let root = Root::new("behind");
        let port = root.serve("localhost", (2030, 2032), JSON).await;
        // It was built before the cloud's certificate was made.
        let (client, time, _scratch) = client("behind", "Thu, 01 Jan 2026 00:00:00 GMT", Some(&root), port);
        client.ask(Method::GET, "/", None).await.unwrap();
        assert_eq!(time.now(), parse_date(NOW).unwrap());
    });
}

#[test]
fn an_impostor_cannot_set_the_clock_by_a_certificate_of_the_future() {
    on_a_runtime(async {
        let (root, other) = (Root::new("ours"), Root::new("theirs"));
        let port = other.serve("localhost", (2030, 2032), JSON).await;
        let (client, time, _scratch) = client("impostor", "Thu, 01 Jan 2026 00:00:00 GMT", Some(&root), port);
        let before = time.now();
        assert!(client.ask(Method::GET, "/", None).await.is_err());
        assert_eq!(time.now(), before);
    });
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_what_to_do() {
    on_a_runtime(async {
        let root = Root::new("wrong");
        let clock = "Wed, 01 Jan 2031 00:00:00 GMT";
        let old = root.serve("localhost", (2028, 2029), JSON).await;
        let said = sentence(&client("old", clock, Some(&root), old).0).await;
        assert!(said.contains("has expired") && said.contains(clock), "{said}");
        let foreign = root.serve("other.example", (2030, 2032), JSON).await;
        let said = sentence(&client("foreign", clock, Some(&root), foreign).0).await;
        assert!(said.contains("another name") && said.contains("[tunnel] cloud"), "{said}");
        let good = root.serve("localhost", (2030, 2032), JSON).await;
        let said = sentence(&client("unknown", clock, None, good).0).await;
        assert!(
            said.contains("signed by nobody that the box knows") && said.contains("[tunnel] ca"),
            "{said}"
        );
    });
}

#[test]
fn what_is_no_cloud_is_said() {
    on_a_runtime(async {
        let clock = "Wed, 01 Jan 2031 00:00:00 GMT";
        let root = Root::new("portal");
        let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<h1>Log in</h1>";
        let portal = root.serve("localhost", (2030, 2032), html).await;
        let said = sentence(&client("portal", clock, Some(&root), portal).0).await;
        assert!(said.contains("not a Streambox cloud") && said.contains("login"), "{said}");
        let elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n";
        let elsewhere = root.serve("localhost", (2030, 2032), elsewhere).await;
        assert!(
            sentence(&client("elsewhere", clock, Some(&root), elsewhere).0)
                .await
                .contains("not a Streambox cloud")
        );
        let no =
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 34\r\n\r\n{\"error\":\"This box is too old.\\n\"}\n";
        let no = root.serve("localhost", (2030, 2032), no).await;
        let said = sentence(&client("no", clock, Some(&root), no).0).await;
        assert_eq!(said, "The cloud refuses: This box is too old (status 403).");

        // Not TLS, nothing at all, no such name.
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = plain.local_addr().unwrap().port();
        let greet = async {
            let (mut stream, _) = plain.accept().await.unwrap();
            stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 512]).await;
        };
        let (plain_client, ..) = client("plain", clock, None, port);
        let (said, ()) = tokio::join!(sentence(&plain_client), greet);
        assert!(said.contains("does not speak TLS"), "{said}");
        drop(plain);
        assert!(sentence(&plain_client).await.contains("refuses the connection"));
        let address = CloudAddress::parse("https://no-such-name.invalid").unwrap();
        let (other, time, _scratch) = client("name", clock, None, port);
        let nowhere = Client::new(address, other.trust.clone(), time);
        assert!(
            sentence(&nowhere)
                .await
                .contains("No address is known for the cloud's name “no-such-name.invalid”")
        );
    });
}

#[test]
fn an_endless_answer_is_cut_off() {
    on_a_runtime(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let flood = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = 0_u64;
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let piece = vec![b' '; 65_536];
            while stream.write_all(&piece).await.is_ok() {
                sent += 65_536;
            }
            sent
        };
        let (other, time, _scratch) = client("endless", NOW, None, 1);
        let client = Client::new(CloudAddress::parse(&address).unwrap(), other.trust.clone(), time);
        let both = async { tokio::join!(sentence(&client), flood) };
        let (said, sent) = timeout(Duration::from_secs(20), both).await.unwrap();
        assert!(said.contains("not a Streambox cloud"), "{said}");
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    });
}

#[test]
fn a_file_without_roots_is_named() {
    let scratch = Scratch::new("ca-empty");
    scratch.files().write("ca.pem", b"-----BEGIN canary-----\n").unwrap();
    let time = Arc::new(Time::open(scratch.files(), Box::new(Fake::at(4_000_000_000))));
    for file in [scratch.files().path("ca.pem"), scratch.files().path("none.pem")] {
        let error = Trust::new(Some(&file), &time).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()) && !error.contains("canary"), "{error}");
    }
}
