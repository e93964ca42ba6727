//! The smallest HTTP/1.1 client that can ask the box: one GET per connection, nothing kept.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Where a web server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site(SocketAddrV4);

impl Site {
    /// A server at an address and port.
    pub const fn new(address: Ipv4Addr, port: u16) -> Self {
        Self(SocketAddrV4::new(address, port))
    }

    /// The absolute URL of a path that starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0)
    }

    /// One GET, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer within `limit` (per read).
    pub fn ask(&self, path: &str, limit: Duration) -> Result<Response> {
        self.ask_with(path, "", limit)
    }

    /// One GET with these header lines, each with its end, whatever its status.
    ///
    /// # Errors
    /// As [`Site::ask`].
    pub fn ask_with(&self, path: &str, headers: &str, limit: Duration) -> Result<Response> {
        let wrong = || format!("GET {}", self.url(path));
        let stream = TcpStream::connect_timeout(&self.0.into(), limit).with_context(wrong)?;
        stream.set_read_timeout(Some(limit))?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{headers}connection: close\r\n\r\n", self.0);
        (&stream).write_all(request.as_bytes()).with_context(wrong)?;
        read(&mut BufReader::new(&stream)).with_context(wrong)
    }

    /// One POST of JSON as the site's own page would send it, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer within 10 s (per read).
    pub fn post(&self, path: &str, body: &Value) -> Result<Response> {
        self.post_with(path, "", body)
    }

    /// As [`Site::post`], with these header lines, each with its end.
    ///
    /// # Errors
    /// As [`Site::post`].
    pub fn post_with(&self, path: &str, headers: &str, body: &Value) -> Result<Response> {
        self.send_with("POST", path, headers, body)
    }

    /// As [`Site::post_with`], by another method.
    ///
    /// # Errors
    /// As [`Site::post`].
    pub fn send_with(&self, method: &str, path: &str, headers: &str, body: &Value) -> Result<Response> {
        let wrong = || format!("{method} {}", self.url(path));
        let limit = Duration::from_secs(10);
        let stream = TcpStream::connect_timeout(&self.0.into(), limit).with_context(wrong)?;
        stream.set_read_timeout(Some(limit))?;
        let (host, body) = (self.0, body.to_string());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\n{headers}connection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        (&stream).write_all(request.as_bytes()).with_context(wrong)?;
        read(&mut BufReader::new(&stream)).with_context(wrong)
    }

    /// One GET that must answer 200.
    ///
    /// # Errors
    /// Any other status, or no answer within 10 s.
    pub fn get(&self, path: &str) -> Result<Response> {
        let response = self.ask(path, Duration::from_secs(10))?;
        ensure!(response.status == 200, "GET {}: {} {}", self.url(path), response.status, response.text());
        Ok(response)
    }

    /// One GET that must answer 200 with JSON.
    ///
    /// # Errors
    /// As [`Site::get`], or the body is not JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        let response = self.get(path)?;
        serde_json::from_slice(&response.body).with_context(|| format!("JSON at {path}: {}", response.text()))
    }
}

/// Reads one answer.
///
/// # Errors
/// When it is not complete.
pub(crate) fn read(reader: &mut impl BufRead) -> Result<Response> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if response.header("transfer-encoding") == Some("chunked") {
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).context("chunk size")?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            response.body.extend_from_slice(chunk.get(..size).unwrap_or_default());
        }
    } else if let Some(length) = response.header("content-length") {
        response.body = vec![0; length.parse()?];
        reader.read_exact(&mut response.body).context("the body ends early")?;
    } else if status != 304 && status != 204 {
        bail!("neither a length nor chunks");
    }
    Ok(response)
}
