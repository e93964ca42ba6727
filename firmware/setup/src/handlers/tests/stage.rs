//! A box, a clock and browsers in memory, between which the page stands.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use embedded_svc::http::{Headers, Query};
use embedded_svc::io::{ErrorType, Read, Write};
use serde_json::{Value, json};

use super::super::*;
use crate::desk::{Refusal, Reply};

/// A box that keeps what it is told.
#[derive(Default)]
pub(super) struct TestBox {
    pub(super) password: Mutex<Option<String>>,
    pub(super) asked: Mutex<Vec<String>>,
    pub(super) refuses: Mutex<Option<Refusal>>,
}

impl Desk for Arc<TestBox> {
    fn ask(&self, ask: Ask) -> Reply {
        let word = serde_json::to_value(&ask).unwrap();
        lock(&self.asked).push(word["ask"].as_str().unwrap().to_owned());
        if let Some(refusal) = lock(&self.refuses).clone() {
            return Err(refusal);
        }
        Ok(match ask {
            Ask::SetPassword { hash } => {
                *lock(&self.password) = Some(hash);
                desk::Answer::Done
            }
            Ask::Overview => desk::Answer::Overview(Box::new(overview())),
            Ask::Add { picks, .. } => desk::Answer::Added {
                outcomes: picks.iter().map(|_| Ok(CameraId::new("gate").unwrap())).collect(),
            },
            Ask::Snapshot { .. } => desk::Answer::Snapshot { jpeg: STANDARD.encode(b"<script>") },
            Ask::Events => desk::Answer::Events { events: Vec::new() },
            Ask::Diagnostics => desk::Answer::Diagnostics { text: "all is well\n".to_owned() },
            _ => desk::Answer::Done,
        })
    }
}

pub(super) fn overview() -> desk::Overview {
    serde_json::from_value(json!({
        "now_ms": 1, "name": null, "condition": "searching", "pages": [], "devices": [], "cameras": [],
        "join": {"state": "off"}, "clock_known": true, "uplink_cap_kbps": null, "uplink_bit_rate": 0,
        "update": {"state": "single"}, "version": "0", "up_s": 1
    }))
    .unwrap()
}

#[derive(Default)]
pub(super) struct TestWorld {
    pub(super) millis: AtomicU64,
    pub(super) drawn: AtomicU64,
}

impl World for Arc<TestWorld> {
    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    fn random(&self) -> Option<Random> {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&self.drawn.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        Some(random)
    }
}

/// A connection in memory.
pub(super) struct Wire {
    pub(super) head: Head,
    pub(super) body: Body,
    pub(super) answer: Option<(u16, Vec<(String, String)>)>,
    pub(super) out: Vec<u8>,
}

pub(super) struct Head {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: Vec<(String, String)>,
}

pub(super) struct Body(std::io::Cursor<Vec<u8>>);

macro_rules! infallible {
    ($($name:ident),*) => { $(impl ErrorType for $name { type Error = Infallible; })* };
}
infallible!(Wire, Body);

impl Query for Head {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn method(&self) -> Method {
        self.method
    }
}

impl Headers for Head {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        Ok(std::io::Read::read(&mut self.0, buffer).unwrap())
    }
}

impl Query for Wire {
    fn uri(&self) -> &str {
        self.head.uri()
    }

    fn method(&self) -> Method {
        self.head.method()
    }
}

impl Headers for Wire {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        self.body.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Connection for Wire {
    type Headers = Head;
    type Read = Body;
    type RawConnectionError = Infallible;
    type RawConnection = Self;

    fn split(&mut self) -> (&Head, &mut Body) {
        (&self.head, &mut self.body)
    }

    fn initiate_response<'a>(
        &'a mut self,
        status: u16,
        _message: Option<&'a str>,
        headers: &'a [(&'a str, &'a str)],
    ) -> Result<(), Infallible> {
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.answer = Some((status, headers.iter().map(line).collect()));
        Ok(())
    }

    fn is_response_initiated(&self) -> bool {
        self.answer.is_some()
    }

    fn raw_connection(&mut self) -> Result<&mut Self, Infallible> {
        Ok(self)
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The cookies that the browser keeps, as it sends them.
    pub(super) fn cookies(&self) -> String {
        let lines = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        lines.map(|(_, line)| line.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
    }
}

/// A browser on the LAN.
#[derive(Clone)]
pub(super) struct Browser {
    pub(super) peer: &'static str,
    pub(super) near: &'static str,
    pub(super) cookies: String,
}

pub(super) struct Test {
    pub(super) page: Page<Arc<TestBox>, Arc<TestWorld>>,
    pub(super) desk: Arc<TestBox>,
    pub(super) world: Arc<TestWorld>,
    pub(super) kept: Cell<usize>,
}

pub(super) const PASSWORD: &str = "canary-password";

impl Test {
    pub(super) fn new() -> Self {
        let (desk, world) = (Arc::<TestBox>::default(), Arc::<TestWorld>::default());
        let gate = Gate::new(None, Duration::from_secs(1800));
        let page = Page::new(desk.clone(), world.clone(), gate, Site::default());
        Self { page, desk, world, kept: Cell::new(0) }
    }

    pub(super) fn send(&self, method: Method, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let head = Head { method, uri: uri.to_owned(), headers: headers.iter().map(line).collect() };
        let body = Body(std::io::Cursor::new(body.to_vec()));
        let mut wire = Wire { head, body, answer: None, out: Vec::new() };
        self.page.handle(&mut wire).unwrap();
        let (status, headers) = wire.answer.unwrap();
        let got = Got { status, headers, body: wire.out };
        assert!(!String::from_utf8_lossy(&got.body).contains("canary"), "{got:?}");
        got
    }

    pub(super) fn get(&self, browser: &Browser, uri: &str) -> Got {
        self.send(Method::Get, uri, &browser.headers(), b"")
    }

    pub(super) fn post(&self, browser: &Browser, path: &str, body: &Value) -> Got {
        let mut headers = browser.headers();
        headers.extend([("origin", "http://box.local"), ("content-type", "application/json")]);
        let uri = format!("/api/v1/setup/{path}");
        self.send(Method::Post, &uri, &headers, body.to_string().as_bytes())
    }

    pub(super) fn state(&self, browser: &Browser) -> Value {
        self.get(browser, "/api/v1/setup/state").json()
    }

    pub(super) fn claimed() -> (Self, Browser) {
        let test = Self::new();
        let mut browser = Browser::near();
        let got = test.post(&browser, "claim", &json!({"password": PASSWORD, "language": "kk"}));
        assert_eq!(got.status, 200, "{got:?}");
        browser.cookies = got.cookies();
        test.asked();
        (test, browser)
    }

    /// What the box was asked since the last look.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = lock(&self.desk.asked);
        asked[self.kept.replace(asked.len())..].to_vec()
    }
}

impl Browser {
    pub(super) fn near() -> Self {
        Self { peer: "192.168.1.7", near: "yes", cookies: String::new() }
    }

    pub(super) fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![("host", "box.local"), ("x-box-peer", self.peer), ("x-box-near", self.near)];
        if !self.cookies.is_empty() {
            headers.push(("cookie", &self.cookies));
        }
        headers
    }
}
