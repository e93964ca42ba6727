//! tiny_http on a Unix socket, behind embedded-svc's traits. The only module here that has threads, a clock and sockets of its
//! own.
//!
//! tiny_http alone would not survive strangers: an unread large body makes it allocate that much, a line of a head may be
//! endless, nothing has a deadline, each connection has a thread, and one failed `accept` ends it (its issues 56, 143, 290). The
//! box's front door is its only client: it reads and bounds requests first and brings a few at a time, each on a connection of
//! its own.

#![allow(clippy::disallowed_methods, reason = "threads and the clock are what this module is for")]

use std::io::{self, Cursor};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use embedded_svc::http::server::{Connection, Handler};
use embedded_svc::http::{Headers, Method, Query};
use embedded_svc::io::{ErrorType, Read, Write};
use ring::rand::{SecureRandom as _, SystemRandom};
use tiny_http::{Header, Response, Server, StatusCode};

use crate::desk::{Answer, Ask};
use crate::desk_client::{Client, Desk as _};
use crate::gate::{Gate, Random};
use crate::handlers::{Page, Site, World};
use crate::request::BODY_BYTES;

/// Threads that answer. Of these, eight at most wait for cameras and six for a password's turn.
const THREADS: usize = 16;
/// Stack of each, bytes: JSON of 64 KiB nests 128 levels deep at most.
const STACK: usize = 512 << 10;

/// Why the page ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The main process is gone: so is the page.
    #[error("the box's main process has ended")]
    Gone,
    /// The main process does not say who the owner is.
    #[error("the box's main process did not answer: {0}")]
    Start(String),
    /// There is no socket or no thread.
    #[error("cannot serve the page")]
    Io(#[source] io::Error),
}

/// Serves the page on `listener` until the main process, at the other end of `desk`, is gone. A box without an owner can be
/// claimed until so long after its start.
///
/// # Errors
/// Why it ended; it never ends otherwise.
pub fn run(desk: UnixStream, listener: UnixListener, claim: Duration) -> Result<(), ServeError> {
    let (over, ended) = channel();
    let told = over.clone();
    let client = Client::start(desk, move || tell(&told, ServeError::Gone)).map_err(ServeError::Io)?;
    let page = Arc::new(open(client, claim)?);
    let server = Server::from_listener(listener, None)
        .map_err(|error| ServeError::Io(io::Error::other(error.to_string())))?;
    let server = Arc::new(server);
    for _ in 0..THREADS {
        let (page, server, over) = (page.clone(), server.clone(), over.clone());
        let answering = move || {
            let error = loop {
                match server.recv() {
                    Ok(request) => answer(&*page, request),
                    Err(error) => break error,
                }
            };
            tell(&over, ServeError::Io(error));
        };
        std::thread::Builder::new()
            .name("page".to_owned())
            .stack_size(STACK)
            .spawn(answering)
            .map_err(ServeError::Io)?;
    }
    Err(ended.recv().unwrap_or(ServeError::Gone))
}

fn tell(over: &Sender<ServeError>, error: ServeError) {
    // Whoever listened knows already.
    let _ = over.send(error);
}

/// The page, once the main process has said who the owner is.
fn open(client: Client, claim: Duration) -> Result<Page<Client, Real>, ServeError> {
    let world = Real { start: Instant::now(), random: SystemRandom::new() };
    match client.ask(Ask::Start) {
        Ok(Answer::Start { password, language, name, up_ms }) => {
            let left = claim.saturating_sub(Duration::from_millis(up_ms));
            let gate = Gate::new(password.map(Into::into), left);
            Ok(Page::new(client, world, gate, Site { language, name }))
        }
        Ok(_) => Err(ServeError::Start("it gave another answer".to_owned())),
        Err(refusal) => Err(ServeError::Start(refusal.sentence)),
    }
}

/// The clock and the random numbers of this machine.
struct Real {
    start: Instant,
    random: SystemRandom,
}

impl World for Real {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self) -> Option<Random> {
        let mut random = Random::default();
        self.random.fill(&mut random).ok()?;
        Some(random)
    }
}

/// Has one request answered.
fn answer(page: &impl for<'e> Handler<Exchange<'e>>, mut request: tiny_http::Request) {
    let head = Head::of(&request);
    let mut exchange = Exchange {
        head,
        body: Body { reader: request.as_reader(), left: BODY_BYTES + 1 },
        status: None,
        headers: Vec::new(),
        out: Vec::new(),
    };
    let failed = page.handle(&mut exchange).is_err();
    let (status, headers, out) = (exchange.status, exchange.headers, exchange.out);
    // What is left of a body would be read into one buffer of its announced size.
    if request.body_length().is_some_and(|length| length > BODY_BYTES) {
        let _ = io::copy(&mut request.as_reader(), &mut io::sink());
    }
    let response = match status {
        Some(status) if !failed => {
            let length = out.len();
            Response::new(StatusCode(status), headers, Cursor::new(out), Some(length), None)
        }
        _ => Response::new(StatusCode(500), Vec::new(), Cursor::new(Vec::new()), Some(0), None),
    };
    // Whoever asked may have left.
    let _ = request.respond(response.with_chunked_threshold(usize::MAX));
}

/// A request's head.
struct Head {
    method: Option<Method>,
    uri: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn of(request: &tiny_http::Request) -> Self {
        let method = match request.method() {
            tiny_http::Method::Get => Some(Method::Get),
            tiny_http::Method::Head => Some(Method::Head),
            tiny_http::Method::Post => Some(Method::Post),
            tiny_http::Method::Put => Some(Method::Put),
            tiny_http::Method::Delete => Some(Method::Delete),
            _ => None,
        };
        let line = |header: &Header| (header.field.to_string(), header.value.to_string());
        Self { method, uri: request.url().to_owned(), headers: request.headers().iter().map(line).collect() }
    }
}

impl Query for Head {
    fn uri(&self) -> &str {
        &self.uri
    }

    /// Any other method is as little understood as this one.
    fn method(&self) -> Method {
        self.method.unwrap_or(Method::Options)
    }
}

impl Headers for Head {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A request's body; reading stops one byte past what a body may have.
struct Body<'e> {
    reader: &'e mut dyn io::Read,
    left: usize,
}

impl ErrorType for Body<'_> {
    type Error = io::Error;
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left);
        let len = io::Read::read(self.reader, buffer.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(len);
        Ok(len)
    }
}

/// One request and what is answered to it.
struct Exchange<'e> {
    head: Head,
    body: Body<'e>,
    status: Option<u16>,
    headers: Vec<Header>,
    out: Vec<u8>,
}

impl ErrorType for Exchange<'_> {
    type Error = io::Error;
}

impl Read for Exchange<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Write for Exchange<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Query for Exchange<'_> {
    fn uri(&self) -> &str {
        self.head.uri()
    }

    fn method(&self) -> Method {
        self.head.method()
    }
}

impl Headers for Exchange<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

/// There is no raw connection behind this one.
struct Raw;

impl ErrorType for Raw {
    type Error = io::Error;
}

impl Read for Raw {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Write for Raw {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<'e> Connection for Exchange<'e> {
    type Headers = Head;
    type Read = Body<'e>;
    type RawConnectionError = io::Error;
    type RawConnection = Raw;

    fn split(&mut self) -> (&Head, &mut Body<'e>) {
        (&self.head, &mut self.body)
    }

    fn initiate_response<'a>(
        &'a mut self,
        status: u16,
        _message: Option<&'a str>,
        headers: &'a [(&'a str, &'a str)],
    ) -> io::Result<()> {
        let line = |(name, value): &(&str, &str)| {
            Header::from_bytes(name.as_bytes(), value.as_bytes())
                .map_err(|()| io::Error::from(io::ErrorKind::InvalidInput))
        };
        self.headers = headers.iter().map(line).collect::<io::Result<_>>()?;
        self.status = Some(status);
        Ok(())
    }

    fn is_response_initiated(&self) -> bool {
        self.status.is_some()
    }

    fn raw_connection(&mut self) -> io::Result<&mut Raw> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
