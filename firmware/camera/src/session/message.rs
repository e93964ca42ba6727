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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_read_as_soon_as_it_is_whole() {
        let text = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0rest";
        for cut in 0..text.len() - 4 {
            assert_eq!(Response::read(&text[..cut]), Ok(None), "{cut}");
        }
        let response = Response::read(text).unwrap().unwrap();
        assert_eq!((response.status, &response.body[..]), (200, &b"v=0"[..]));
    }

    #[test]
    fn two_challenges_become_one_list_in_their_order() {
        let text = b"RTSP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\nwww-authenticate: Digest realm=\"b\", nonce=\"c\"\r\n\r\n";
        let response = Response::read(text).unwrap().unwrap();
        let list = response.header("www-authenticate").unwrap();
        assert_eq!(list, "Basic realm=\"a\", Digest realm=\"b\", nonce=\"c\"");
        assert!(matches!(
            http_auth::PasswordClient::try_from(list.as_str()),
            Ok(http_auth::PasswordClient::Digest(_))
        ));
    }

    #[test]
    fn other_protocols_are_known_by_their_first_bytes() {
        for other in ["SSH-2.0-OpenSSH", "HTTP/1.1 400 Bad Request\r\n\r\n", "\u{1}\u{2}", "RTSP/2.0 200 OK"]
        {
            assert_eq!(Response::read(other.as_bytes()), Err(Refused::NotRtsp), "{other}");
        }
    }

    #[test]
    fn an_endless_answer_is_refused_early() {
        let endless = format!("RTSP/1.0 200 OK\r\n{}", "x: y\r\n".repeat(4000));
        assert_eq!(Response::read(endless.as_bytes()), Err(Refused::HeadTooLarge));
        let large = b"RTSP/1.0 200 OK\r\nContent-Length: 10485760\r\n\r\n";
        assert_eq!(Response::read(large), Err(Refused::BodyTooLarge));
        let negative = b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n";
        assert_eq!(Response::read(negative), Err(Refused::BodyTooLarge));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>, text in "RTSP/1.0 [ -~\r\n]{0,200}") {
            let _ = Response::read(&bytes);
            let _ = Response::read(text.as_bytes());
        }
    }
}
