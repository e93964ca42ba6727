//! Whoever stands between a box and its cloud with the releases: passes on what is said, or lies. Everything that the box
//! fetches goes through it, one connection for each request.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Below it are the releases; all else is the cloud's.
pub(crate) const RELEASES: &str = "updates/";

/// What the box asks for.
pub(crate) struct Asked {
    /// The path, without the slash at its beginning.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// What is done about it.
pub(crate) enum Does {
    /// Whoever is asked answers.
    Passes,
    /// This is the answer.
    Says(Vec<u8>),
    /// These bytes are, head and all.
    Repeats(Vec<u8>),
    /// A body without an end.
    Floods,
    /// This body, its length announced, a byte after each pause.
    Drips(Vec<u8>, Duration),
}

pub(crate) type Lie = dyn Fn(&Asked) -> Does + Send + Sync;
/// Answers, head and all, by the path that they are of.
pub(crate) type Heard = BTreeMap<String, Vec<u8>>;

/// A running one.
#[derive(Clone)]
pub(crate) struct Front {
    /// How the box calls it.
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    cloud: Mutex<String>,
    releases: String,
    lie: Mutex<Arc<Lie>>,
    heard: Mutex<Heard>,
    asked: Mutex<Vec<String>>,
    /// Bytes of floods and drips that were taken, and how many of those the box has hung up on.
    taken: AtomicU64,
    hung_up: AtomicUsize,
}

impl Front {
    /// Passes everything on to servers at these addresses.
    pub(crate) fn new(cloud: &str, releases: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inner = Inner {
            cloud: Mutex::new(cloud.to_owned()),
            releases: releases.to_owned(),
            lie: Mutex::new(Arc::new(|_: &Asked| Does::Passes)),
            heard: Mutex::default(),
            asked: Mutex::default(),
            taken: AtomicU64::new(0),
            hung_up: AtomicUsize::new(0),
        };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let front = Self { url, inner: Arc::new(inner) };
        let serving = front.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // Who hangs up early is nobody's trouble here.
                thread::spawn(move || serving.serve(stream));
            }
        });
        front
    }

    /// Where the cloud is now.
    pub(crate) fn leads_to(&self, cloud: &str) {
        cloud.clone_into(&mut self.inner.cloud.lock().unwrap());
    }

    /// From now on it does this.
    pub(crate) fn lies(&self, lie: impl Fn(&Asked) -> Does + Send + Sync + 'static) {
        *self.inner.lie.lock().unwrap() = Arc::new(lie);
    }

    /// The attacker is gone.
    pub(crate) fn is_honest(&self) {
        self.lies(|_| Does::Passes);
    }

    /// The last honest answer of each path.
    pub(crate) fn heard(&self) -> Heard {
        self.inner.heard.lock().unwrap().clone()
    }

    /// How often something below this path was asked for.
    pub(crate) fn asked(&self, below: &str) -> usize {
        self.inner.asked.lock().unwrap().iter().filter(|path| path.starts_with(below)).count()
    }

    /// Bytes of floods and drips that were taken, and how many of those the box has hung up on.
    pub(crate) fn hung_up(&self) -> (u64, usize) {
        (self.inner.taken.load(Ordering::SeqCst), self.inner.hung_up.load(Ordering::SeqCst))
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let (mut head, mut line, mut length) = (String::new(), String::new(), 0);
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            let lower = line.to_ascii_lowercase();
            length =
                lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
            if !lower.starts_with("connection:") {
                head.push_str(&line);
            }
        }
        let Some(path) = head.split(' ').nth(1) else { return Ok(()) };
        let path = path.trim_start_matches('/').to_owned();
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        self.inner.asked.lock().unwrap().push(path.clone());
        let asked = Asked { path, body };
        let lie = self.inner.lie.lock().unwrap().clone();
        match lie(&asked) {
            Does::Passes => {
                let answer = self.pass_on(&head, &asked)?;
                stream.write_all(&answer)?;
                self.inner.heard.lock().unwrap().insert(asked.path, answer);
            }
            Does::Says(body) => {
                stream.write_all(&answer_head(body.len()))?;
                stream.write_all(&body)?;
            }
            Does::Repeats(answer) => stream.write_all(&answer)?,
            Does::Floods => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                let piece = [&b"1000\r\n"[..], &[7; 4096], b"\r\n"].concat();
                while stream.write_all(&piece).is_ok() {
                    self.inner.taken.fetch_add(4096, Ordering::SeqCst);
                }
                self.inner.hung_up.fetch_add(1, Ordering::SeqCst);
            }
            Does::Drips(body, pause) => {
                stream.write_all(&answer_head(body.len()))?;
                for byte in body {
                    thread::sleep(pause);
                    if stream.write_all(&[byte]).is_err() {
                        self.inner.hung_up.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    self.inner.taken.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        Ok(())
    }

    fn pass_on(&self, head: &str, asked: &Asked) -> std::io::Result<Vec<u8>> {
        let (server, head) = if asked.path.starts_with(RELEASES) {
            (self.inner.releases.clone(), head.replacen(RELEASES, "", 1))
        } else {
            (self.inner.cloud.lock().unwrap().clone(), head.to_owned())
        };
        let mut stream = TcpStream::connect(server.trim_start_matches("http://"))?;
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.write_all(&asked.body)?;
        // Nothing more is asked on this connection.
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

fn answer_head(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").into_bytes()
}

/// The past: what was heard then, of these paths; the rest is passed on.
pub(crate) fn replay(heard: Heard, below: &'static str) -> impl Fn(&Asked) -> Does + Send + Sync {
    move |asked| match heard.get(&asked.path) {
        Some(answer) if asked.path.starts_with(below) => Does::Repeats(answer.clone()),
        _ => Does::Passes,
    }
}
