//! What a camera answers, with no other address in it than those that may be contacted.
//!
//! Two headers of RTSP make a client send something elsewhere, and retina follows both. `source` in Transport (RFC 2326,
//! 12.39) names the sender of RTP, to whom two packets are sent before it is known who that is; it becomes the camera's
//! own address, and is put in where it is missing, because retina takes the other end of its connection, a local pipe,
//! for the camera. Content-Base and Content-Location (12.11, 12.14) name the host to which a TEARDOWN goes over
//! connections of its own when the first one has broken; they become the pipe, which is gone by then.
//!
//! Everything else passes byte by byte: interleaved packets, bodies, other headers. Where two readings of a head would
//! be possible, it is refused. Pure.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::limits::{HEAD_BYTES, SDP_BYTES};
use super::message::Refused;

/// One direction of one connection: from the camera.
#[derive(Debug)]
pub struct Rewriter {
    camera: IpAddr,
    pipe: SocketAddr,
    /// The start of a message, until it is whole.
    head: Vec<u8>,
    /// Bytes that still belong to the last message.
    body: usize,
}

impl Rewriter {
    /// For a connection to `camera` behind a local `pipe`.
    pub fn new(camera: IpAddr, pipe: SocketAddr) -> Self {
        Self { camera, pipe, head: Vec::new(), body: 0 }
    }

    /// Takes what came from the camera, and appends to `out` what may pass on.
    ///
    /// # Errors
    /// When the head is larger than [`HEAD_BYTES`] or announces a body over [`SDP_BYTES`], no length, or two.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.body > 0 {
                let (now, later) = bytes.split_at(self.body.min(bytes.len()));
                out.extend_from_slice(now);
                self.body -= now.len();
                bytes = later;
                continue;
            }
            bytes = rest;
            self.head.push(first);
            match self.head.as_slice() {
                // An interleaved packet (RFC 2326, 10.12): channel and length.
                [b'$', _, high, low] => {
                    self.body = usize::from(u16::from_be_bytes([*high, *low]));
                    out.append(&mut self.head);
                }
                [b'$', ..] => {}
                // Empty lines before a message.
                b"\r\n" => out.append(&mut self.head),
                [head @ .., b'\r', b'\n', b'\r', b'\n'] => {
                    self.body = rewrite(head, self.camera, self.pipe, out)?;
                    self.head.clear();
                }
                head if head.len() > HEAD_BYTES => return Err(Refused::HeadTooLarge),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes a head, given without its last two line ends, and tells the length of its body.
fn rewrite(head: &[u8], camera: IpAddr, pipe: SocketAddr, out: &mut Vec<u8>) -> Result<usize, Refused> {
    let (mut length, mut based) = (None, false);
    for (number, line) in lines(head).enumerate() {
        let colon = line.iter().position(|byte| *byte == b':').filter(|_| number > 0);
        let (name, value) = line.split_at(colon.map_or(0, |colon| colon + 1));
        let is = |known: &[u8]| name.strip_suffix(b":").is_some_and(|name| same(name, known));
        if is(b"content-length") {
            let stated = size(value)?;
            match length.replace(stated) {
                None => out.extend_from_slice(line),
                Some(before) if before == stated => continue,
                Some(_) => return Err(Refused::BodyTooLarge),
            }
        } else if is(b"transport") {
            out.extend_from_slice(name);
            out.push(b' ');
            transport(value, camera, out);
        } else if is(b"content-base") || is(b"content-location") {
            // The first one counts; several would be joined to one that nobody has looked at.
            let Some(base) = base(value, pipe).filter(|_| !based) else { continue };
            based = true;
            out.extend_from_slice(name);
            out.push(b' ');
            out.extend_from_slice(base.as_str().as_bytes());
        } else {
            out.extend_from_slice(line);
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(length.unwrap_or(0))
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A lone CR or LF ends no line, here as in retina, which then refuses the line.
    let mut rest = Some(head);
    core::iter::from_fn(move || {
        let text = rest?;
        let end = text.windows(2).position(|two| two == b"\r\n");
        rest = end.and_then(|end| text.get(end + 2..));
        text.get(..end.unwrap_or(text.len()))
    })
}

/// Whether a name, with space around it or not, is this one.
fn same(name: &[u8], known: &[u8]) -> bool {
    name.trim_ascii().eq_ignore_ascii_case(known)
}

fn size(value: &[u8]) -> Result<usize, Refused> {
    let value = value.trim_ascii();
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let size = core::str::from_utf8(value).ok().filter(|_| digits).and_then(|value| value.parse().ok());
    size.filter(|size| *size <= SDP_BYTES).ok_or(Refused::BodyTooLarge)
}

/// A Transport header's value with the camera as its only source, and no destination.
fn transport(value: &[u8], camera: IpAddr, out: &mut Vec<u8>) {
    for part in value.trim_ascii().split(|byte| *byte == b';') {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        if !same(name, b"source") && !same(name, b"destination") {
            out.extend_from_slice(part);
            out.push(b';');
        }
    }
    out.extend_from_slice(format!("source={camera}").as_bytes());
}

/// A base address on the pipe; `None` for what is no RTSP address.
fn base(value: &[u8], pipe: SocketAddr) -> Option<Url> {
    let text = core::str::from_utf8(value).ok()?.trim();
    // Some cameras leave out the scheme; retina reads theirs in this way, too.
    let mut url = Url::parse(text).or_else(|_| Url::parse(&format!("rtsp://{text}"))).ok()?;
    if url.scheme() != "rtsp" || !url.has_host() {
        return None;
    }
    let host = match pipe.ip() {
        IpAddr::V4(ip) => Host::Ipv4::<String>(ip),
        IpAddr::V6(ip) => Host::Ipv6(ip),
    };
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    url.set_host(Some(&host.to_string())).ok()?;
    url.set_port(Some(pipe.port())).ok()?;
    Some(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAMERA: &str = "192.0.2.64";
    const PIPE: &str = "192.0.2.5:40000";

    fn rewriter() -> Rewriter {
        Rewriter::new(CAMERA.parse().unwrap(), PIPE.parse().unwrap())
    }

    fn passed(text: &str) -> String {
        let mut out = Vec::new();
        rewriter().feed(text.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn refused(text: &str) -> Refused {
        rewriter().feed(text.as_bytes(), &mut Vec::new()).unwrap_err()
    }

    #[test]
    fn the_camera_is_the_only_sender() {
        let answer =
            |transport: &str| format!("RTSP/1.0 200 OK\r\nCSeq: 3\r\n{transport}\r\nSession: 1\r\n\r\n");
        for (said, passes) in [
            (
                "Transport: RTP/AVP;unicast;source=198.51.100.9;client_port=1-2;server_port=3-4",
                "Transport: RTP/AVP;unicast;client_port=1-2;server_port=3-4;source=192.0.2.64",
            ),
            ("Transport: RTP/AVP;server_port=3-4", "Transport: RTP/AVP;server_port=3-4;source=192.0.2.64"),
            ("TRANSPORT:RTP/AVP", "TRANSPORT: RTP/AVP;source=192.0.2.64"),
            ("transport : a; SOURCE = x ;b;Destination=y;source", "transport : a;b;source=192.0.2.64"),
            (
                "Transport: source=a,RTP/AVP;x\r\nTransport: y",
                "Transport: x;source=192.0.2.64\r\nTransport: y;source=192.0.2.64",
            ),
            ("X-Transport: RTP/AVP;source=a", "X-Transport: RTP/AVP;source=a"),
        ] {
            assert_eq!(passed(&answer(said)), answer(passes));
        }
    }

    #[test]
    fn no_connection_is_promised_elsewhere() {
        let answer = |base: &str| format!("RTSP/1.0 200 OK\r\n{base}Content-Length: 3\r\n\r\nv=0");
        for (said, passes) in [
            (
                "Content-Base: rtsp://198.51.100.9:554/a/b?c=d/\r\n",
                "Content-Base: rtsp://192.0.2.5:40000/a/b?c=d/\r\n",
            ),
            (
                "content-location:rtsp://u:p@[2001:db8::1]/x\r\n",
                "content-location: rtsp://192.0.2.5:40000/x\r\n",
            ),
            ("Content-Base: 198.51.100.9:554/x/\r\n", "Content-Base: rtsp://192.0.2.5:40000/x/\r\n"),
            (
                "Content-Base: rtsp://a/\r\nContent-Base: rtsp://b/\r\nContent-Location: rtsp://c/\r\n",
                "Content-Base: rtsp://192.0.2.5:40000/\r\n",
            ),
            ("Content-Base: http://a/\r\nContent-Base: rtsp:x\r\nContent-Base: rtsp:///x\r\n", ""),
        ] {
            assert_eq!(passed(&answer(said)), answer(passes));
        }
    }

    #[test]
    fn everything_else_passes() {
        for text in [
            "RTSP/1.0 200 OK\r\nContent-Length: 31\r\n\r\nTransport: source=198.51.100.9\r\n\r\nRTSP/1.0 404 No\r\n\r\n",
            "$\0\0\x08\r\n\r\nabcd$\x01\0\0\r\n\r\nOPTIONS rtsp://a/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            "RTSP/1.0 200 Transport: a;source=b\r\nbad line\r\nOne: \nTransport: c;source=d\r\n\r\n",
        ] {
            assert_eq!(passed(text), text);
        }
        assert_eq!(passed("RTSP/1.0 200 OK\r\nCSeq: 1\r\n"), "", "a head passes when it is whole");
        assert_eq!(
            passed("RTSP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nxy"),
            "RTSP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"
        );
    }

    #[test]
    fn endless_heads_and_doubtful_bodies_are_refused() {
        assert_eq!(
            refused(&format!("RTSP/1.0 200 OK\r\n{}", "x: y\r\n".repeat(3000))),
            Refused::HeadTooLarge
        );
        assert_eq!(refused(&"x".repeat(20_000)), Refused::HeadTooLarge);
        for length in ["65537", "-1", "+1", "", "1, 1", "99999999999999999999", "1\r\nContent-Length: 2"] {
            let text = format!("RTSP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(refused(&text), Refused::BodyTooLarge, "{length}");
        }
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let text = |text: &str| Just(text.as_bytes().to_vec());
        prop_oneof![
            text("RTSP/1.0 200 OK\r\n"),
            text("Transport: RTP/AVP;source=198.51.100.9;server_port=1-2\r\n"),
            text("Content-Base: rtsp://198.51.100.9/\r\n"),
            text("Content-Length: 5\r\n"),
            text("\r\n"),
            text("\r\n\r\n"),
            text("$\0\0\x03abc"),
            "[a-z:;= \r\n$]{0,20}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #[test]
        fn however_the_bytes_come_the_same_passes(
            pieces in prop::collection::vec(piece(), 0..20),
            cuts in prop::collection::vec(1..40usize, 1..20),
        ) {
            let bytes = pieces.concat();
            let (mut at_once, mut split) = (Vec::new(), Vec::new());
            let outcome = rewriter().feed(&bytes, &mut at_once);
            let (mut rewriter, mut rest, mut cuts) = (rewriter(), &bytes[..], cuts.iter().cycle());
            let mut in_parts = Ok(());
            while !rest.is_empty() && in_parts.is_ok() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                in_parts = rewriter.feed(now, &mut split);
                rest = later;
            }
            prop_assert_eq!(outcome, in_parts);
            prop_assert_eq!(at_once, split);
        }

        #[test]
        fn no_other_source_ever_passes(
            before in "[a-zA-Z/=,\"; \t]{0,20}", name in "[sS][oO][uU][rR][cC][eE]", after in "[a-z0-9=;,\" ]{0,20}",
        ) {
            let text = passed(&format!("RTSP/1.0 200 OK\r\nTransport: {before};{name}=198.51.100.9;{after}\r\n\r\n"));
            // As retina reads it: the last part that starts with the name.
            let value = text.lines().nth(1).unwrap().split_once(": ").unwrap().1;
            let source = value.split(';').filter_map(|part| part.strip_prefix("source=")).next_back();
            prop_assert_eq!(source, Some(CAMERA));
            let known = value.split(';').filter(|part| part.trim().to_ascii_lowercase().starts_with("source="));
            prop_assert_eq!(known.count(), 1);
        }
    }
}
