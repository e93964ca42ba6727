//! Requests of RTSP (RFC 2326) and HTTP/1.1 (RFC 9112) off a byte stream.
//!
//! Invariant: nothing grows without limit: a head has at most 64 KiB, a body at most 1 MiB.

use thiserror::Error;

const HEAD_LIMIT: usize = 64 << 10;
const BODY_LIMIT: usize = 1 << 20;

/// A request too large, or no request.
#[derive(Debug, Error)]
#[error("not a request")]
pub(crate) struct NotARequest;

/// One message from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A request.
    Request(Request),
    /// Interleaved data: RTCP, in a playing session.
    Data,
}

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    /// A header's value, by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Takes the first whole message off `bytes`.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Message>, NotARequest> {
    while matches!(bytes.first(), Some(b'\r' | b'\n')) {
        bytes.remove(0);
    }
    if bytes.first() == Some(&b'$') {
        let Some(&[high, low]) = bytes.get(2..4) else { return Ok(None) };
        let end = 4 + usize::from(u16::from_be_bytes([high, low]));
        if bytes.len() < end {
            return Ok(None);
        }
        bytes.drain(..end);
        return Ok(Some(Message::Data));
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_LIMIT { Err(NotARequest) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(_version)) = (first.next(), first.next(), first.next()) else {
        return Err(NotARequest);
    };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method: method.into(), target: target.into(), headers, body: String::new() };
    let length = match request.header("content-length") {
        Some(text) => text.parse().map_err(|_| NotARequest)?,
        None => 0,
    };
    if length > BODY_LIMIT {
        return Err(NotARequest);
    }
    let Some(body) = bytes.get(end + 4..end + 4 + length) else { return Ok(None) };
    request.body = String::from_utf8_lossy(body).into_owned();
    bytes.drain(..end + 4 + length);
    Ok(Some(Message::Request(request)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_whole_and_in_order() {
        let mut bytes = b"\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n$\x01\x00\x02abPOST /x HTTP/1.1\r\ncontent-length: 2\r\n\r\nh".to_vec();
        let Some(Message::Request(options)) = take(&mut bytes).unwrap() else { panic!("no request") };
        assert_eq!((options.method.as_str(), options.header("cseq")), ("OPTIONS", Some("1")));
        assert_eq!(take(&mut bytes).unwrap(), Some(Message::Data));
        assert_eq!(take(&mut bytes).unwrap(), None, "the body is not whole");
        bytes.push(b'i');
        let Some(Message::Request(post)) = take(&mut bytes).unwrap() else { panic!("no request") };
        assert_eq!((post.target.as_str(), post.body.as_str()), ("/x", "hi"));
    }

    #[test]
    fn nothing_grows_without_limit() {
        assert!(take(&mut vec![b'a'; HEAD_LIMIT + 1]).is_err());
        assert!(take(&mut b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n".to_vec()).is_err());
    }
}
