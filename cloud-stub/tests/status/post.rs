//! A mail server and a webhook's receiver on loopback, which keep what they are told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What has arrived so far.
#[derive(Clone)]
pub(crate) struct Inbox<T> {
    pub(crate) port: u16,
    arrived: Arc<Mutex<Vec<T>>>,
    deaf: Arc<AtomicBool>,
    knocks: Arc<AtomicUsize>,
}

/// One request of a webhook.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl<T: Clone> Inbox<T> {
    /// Whether connections are closed at once.
    pub(crate) fn deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }

    /// What has arrived so far.
    pub(crate) fn arrived(&self) -> Vec<T> {
        self.arrived.lock().unwrap().clone()
    }

    /// Connections so far.
    pub(crate) fn knocks(&self) -> usize {
        self.knocks.load(Ordering::SeqCst)
    }

    /// What has arrived, once that is so many; what came in the end if it never is.
    pub(crate) async fn wait(&self, count: usize) -> Vec<T> {
        for _ in 0..500 {
            if self.arrived.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // One too many would come at once.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.arrived.lock().unwrap().clone()
    }
}

/// A mail server: takes everything, keeps recipient and text.
pub(crate) async fn mail() -> Inbox<(String, String)> {
    let (listener, inbox) = open().await;
    let heard = inbox.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            heard.knocks.fetch_add(1, Ordering::SeqCst);
            if !heard.deaf.load(Ordering::SeqCst) {
                tokio::spawn(smtp(stream, true, heard.arrived.clone()));
            }
        }
    });
    inbox
}

/// Over TLS: from the first byte, once the client asks (STARTTLS), or never.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secured {
    Wrapped,
    Asked,
    Never,
}

/// A mail server that takes nothing without TLS. What it is told before counts as a knock each.
pub(crate) async fn secure_mail(secured: Secured, tls: TlsAcceptor) -> Inbox<(String, String)> {
    let (listener, inbox) = open().await;
    let heard = inbox.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (heard, tls) = (heard.clone(), tls.clone());
            tokio::spawn(async move {
                let stream = match secured {
                    Secured::Wrapped => stream,
                    _ => before_tls(stream, secured, &heard.knocks).await?,
                };
                let stream = tls.accept(stream).await.ok()?;
                smtp(stream, secured == Secured::Wrapped, heard.arrived).await
            });
        }
    });
    inbox
}

/// Until the client wants TLS.
async fn before_tls(stream: TcpStream, secured: Secured, said: &AtomicUsize) -> Option<TcpStream> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 test\r\n").await.ok()?;
    loop {
        let line = line(&mut stream).await?;
        let answer: &[u8] = match line.split(' ').next()?.to_uppercase().as_str() {
            "EHLO" if secured == Secured::Asked => b"250-test\r\n250 STARTTLS\r\n",
            "EHLO" => b"250-test\r\n250 AUTH PLAIN\r\n",
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").await.ok()?;
                return Some(stream.into_inner());
            }
            "QUIT" => b"221 bye\r\n",
            _ => {
                said.fetch_add(1, Ordering::SeqCst);
                b"250 ok\r\n"
            }
        };
        stream.write_all(answer).await.ok()?;
    }
}

async fn smtp<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    greets: bool,
    kept: Arc<Mutex<Vec<(String, String)>>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220 test\r\n").await.ok()?;
    }
    let mut to = String::new();
    loop {
        let line = line(&mut stream).await?;
        let answer: &[u8] = match line.split(' ').next()?.to_uppercase().as_str() {
            "EHLO" => b"250-test\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
            "AUTH" => b"235 welcome\r\n",
            "RCPT" => {
                to =
                    line.trim_start_matches("RCPT TO:").split('>').next()?.trim_start_matches('<').to_owned();
                b"250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mut text = String::new();
                loop {
                    let line = self::line(&mut stream).await?;
                    if line == "." {
                        break;
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
                kept.lock().unwrap().push((to.clone(), text));
                b"250 ok\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await.ok()?;
    }
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    (stream.read_line(&mut line).await.ok()? > 0).then(|| line.trim_end().to_owned())
}

/// A webhook's receiver: refuses the first request and takes all others.
pub(crate) async fn hook() -> Inbox<Posted> {
    let (listener, arrived) = open().await;
    let kept = arrived.arrived.clone();
    tokio::spawn(async move {
        let mut refused = false;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let Some(posted) = request(&mut stream).await else { continue };
            if std::mem::replace(&mut refused, true) {
                kept.lock().unwrap().push(posted);
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            } else {
                let _ = stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    arrived
}

async fn request<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<Posted> {
    let path = line(stream).await?.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let line = line(stream).await?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(Posted { path, headers, body: String::from_utf8(body).ok()? })
}

/// A webhook's receiver over TLS, which takes everything.
pub(crate) async fn secure_hook(tls: TlsAcceptor) -> Inbox<Posted> {
    let (listener, inbox) = open().await;
    let heard = inbox.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (heard, tls) = (heard.clone(), tls.clone());
            tokio::spawn(async move {
                let mut stream = BufReader::new(tls.accept(stream).await.ok()?);
                let posted = request(&mut stream).await?;
                heard.arrived.lock().unwrap().push(posted);
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
                stream.shutdown().await.ok()
            });
        }
    });
    inbox
}

async fn open<T>() -> (TcpListener, Inbox<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Inbox { port, arrived: Arc::default(), deaf: Arc::default(), knocks: Arc::default() })
}
