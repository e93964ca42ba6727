//! RTSP messages as the probe writes and reads them (RFC 2326, 4 to 7). Pure.

use super::limits::{HEAD_BYTES, SDP_BYTES};

/// A response, read to the end of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names (lower case) and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why bytes are not a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Another protocol.
    NotRtsp,
    /// A head over [`HEAD_BYTES`].
    HeadTooLarge,
    /// A body over [`SDP_BYTES`].
    BodyTooLarge,
}

impl Response {
    /// Reads a response from the start of `bytes`: `None` while more are needed.
    ///
    /// # Errors
    /// [`Refused`] as soon as it is sure, so that an endless head or body is not waited for.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Refused> {
        const START: &[u8] = b"RTSP/1.0 ";
        // A few servers answer with an empty line first.
        let skipped = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let bytes = bytes.get(skipped..).unwrap_or_default();
        let known = bytes.len().min(START.len());
        if bytes.get(..known) != START.get(..known) {
            return Err(Refused::NotRtsp);
        }
        let window = bytes.get(..bytes.len().min(HEAD_BYTES)).unwrap_or_default();
        let Some((head, body_at)) = head_end(window) else {
            return if bytes.len() >= HEAD_BYTES { Err(Refused::HeadTooLarge) } else { Ok(None) };
        };
        let head = String::from_utf8_lossy(window.get(..head).unwrap_or_default()).into_owned();
        let mut lines = head.split('\n').map(|line| line.trim_end_matches('\r'));
        let status = lines
            .next()
            .and_then(|line| line.split_ascii_whitespace().nth(1))
            .and_then(|code| code.parse().ok())
            .filter(|code| (100..1000).contains(code))
            .ok_or(Refused::NotRtsp)?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self { status, headers, body: Vec::new() };
        let length = response.header("content-length").map_or(Ok(0), |text| text.parse::<u64>());
        let length = match length {
            Ok(length) if length <= SDP_BYTES as u64 => length as usize,
            _ => return Err(Refused::BodyTooLarge),
        };
        let body = bytes.get(body_at..).unwrap_or_default();
        match body.get(..length) {
            Some(body) => {
                body.clone_into(&mut response.body);
                Ok(Some(response))
            }
            None => Ok(None),
        }
    }

    /// A header's value; several of one name are joined by a comma (RFC 2326, 4.2).
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }
}

/// Length of the head and where the body starts.
fn head_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let crlf = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = bytes.windows(2).position(|end| end == b"\n\n").map(|at| (at, at + 2));
    match (crlf, lf) {
        (Some(crlf), Some(lf)) => Some(if crlf.0 <= lf.0 { crlf } else { lf }),
        (crlf, lf) => crlf.or(lf),
    }
}

/// A DESCRIBE request (RFC 2326, 10.2).
pub fn describe(url: &str, cseq: u32, authorization: Option<&str>) -> String {
    let mut request = format!(
        "DESCRIBE {url} RTSP/1.0\r\nCSeq: {cseq}\r\nAccept: application/sdp\r\nUser-Agent: {USER_AGENT}\r\n"
    );
    if let Some(value) = authorization {
        request.push_str("Authorization: ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request
}

/// The name under which the box asks.
pub const USER_AGENT: &str = "streambox";
