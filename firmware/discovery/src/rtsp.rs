//! Is it RTSP? One OPTIONS request and the head of its answer (RFC 2326 sections 10.1 and 7.1). No credential is
//! ever sent: a 401 is as good a proof as a 200.

use std::net::{IpAddr, SocketAddr};

use model::Source;

use crate::{Answer, Error, maker, place};

/// TCP ports that are tried, the most common first.
pub const PORTS: [u16; 2] = [554, 8554];

/// Longest answer head that is read, in bytes.
pub const MAX_HEAD: usize = 4096;

/// The request. It names the server, not a stream.
pub fn options(to: SocketAddr) -> Vec<u8> {
    let target = place::rtsp(to.ip(), to.port(), "");
    format!("OPTIONS {target} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: streambox\r\n\r\n").into_bytes()
}

/// Whether the bytes so far need no more: the head is whole, at its limit, or cannot be RTSP.
pub fn is_enough(bytes: &[u8]) -> bool {
    let start = b"RTSP/";
    let other = bytes.iter().zip(start).any(|(got, want)| got != want);
    other || bytes.len() >= MAX_HEAD || bytes.windows(4).any(|four| four == b"\r\n\r\n")
}

/// Reads an answer that `from` gave on `port`.
///
/// # Errors
/// [`Error::Not`] when it is not RTSP.
pub fn read(bytes: &[u8], from: IpAddr, port: u16) -> Result<Answer, Error> {
    const NOT_RTSP: Error = Error::Not("RTSP");
    let head = bytes.get(..bytes.len().min(MAX_HEAD)).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut status = lines.next().ok_or(NOT_RTSP)?.split_ascii_whitespace();
    let version = status.next().and_then(|word| word.strip_prefix("RTSP/")).ok_or(NOT_RTSP)?;
    let code = status.next().filter(|code| code.len() == 3).and_then(|code| code.parse::<u16>().ok());
    if !version.starts_with(|c: char| c.is_ascii_digit())
        || !code.is_some_and(|code| (100..600).contains(&code))
    {
        return Err(NOT_RTSP);
    }
    let mut answer = Answer::new(Source::RtspSweep);
    answer.rtsp.push(place::rtsp(from, port, ""));
    for line in lines.take_while(|line| !line.is_empty()).take(64) {
        let Some((name, value)) = line.split_once(':') else { continue };
        // The realm names the maker on cameras without a Server header.
        if ["server", "www-authenticate"].iter().any(|wanted| name.trim().eq_ignore_ascii_case(wanted)) {
            answer.maker = answer.maker.or_else(|| maker::named_in(value));
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn the_request_names_the_server_and_nobody() {
        let text = String::from_utf8(options(SocketAddr::new(FROM, 8554))).unwrap();
        assert_eq!(
            text,
            "OPTIONS rtsp://192.0.2.7:8554/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: streambox\r\n\r\n"
        );
    }

    #[test]
    fn any_status_proves_rtsp() {
        for head in [
            "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n",
            "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n\r\n",
            "RTSP/1.0 404 Not Found\r\n\r\n",
            "RTSP/1.0 454",
        ] {
            let answer = read(head.as_bytes(), FROM, 8554).unwrap();
            assert_eq!(answer.rtsp, ["rtsp://192.0.2.7:8554/"]);
            assert_eq!(answer.source, Source::RtspSweep);
        }
        for other in
            ["HTTP/1.1 400 Bad Request\r\n\r\n", "RTSP/1.0\r\n", "RTSP/x 200", "RTSP/1.0 20", "", "SSH-2.0-x"]
        {
            assert!(read(other.as_bytes(), FROM, 554).is_err(), "{other}");
        }
    }

    #[test]
    fn the_maker_is_named_by_server_or_realm() {
        let maker = |line: &str| {
            read(format!("RTSP/1.0 401 U\r\n{line}\r\n\r\n").as_bytes(), FROM, 554).unwrap().maker
        };
        assert_eq!(maker("Server: HikvisionRtspServer/1.0").as_deref(), Some("Hikvision"));
        assert_eq!(maker("server: Dahua Rtsp Server").as_deref(), Some("Dahua"));
        assert_eq!(maker("WWW-Authenticate: Digest realm=\"AXIS_ACCC8E000000\"").as_deref(), Some("Axis"));
        assert_eq!(maker("X: Dahua"), None);
    }

    #[test]
    fn reading_stops_as_soon_as_it_can() {
        assert!(!is_enough(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n"));
        assert!(is_enough(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"));
        assert!(is_enough(b"HT"));
        assert!(!is_enough(b"RT"));
        assert!(is_enough(&b"RTSP/1.0 ".repeat(500)));
    }
}
