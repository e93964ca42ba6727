//! The handshake (RTMP 1.0, 5.2): 1,537 bytes each way, then 1,536 as an echo. Only the plain version is spoken; clients
//! that know Adobe's signed one fall back to it, for our version field is zero.

use crate::session::Fault;

/// Bytes of C1, C2, S1 and S2.
const LENGTH: usize = 1536;
/// The one version (5.2.2).
const VERSION: u8 = 3;

/// How far it has come.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// The peer's version is due.
    Version,
    /// C1, as far as it has come: our echo.
    First(Vec<u8>),
    /// So many bytes of C2 are still due. What they say does not matter.
    Second(usize),
    /// Chunks follow.
    Done,
}

impl Handshake {
    /// Takes what belongs to it off the front of `input` and appends the answer to `out`; true once it is done.
    ///
    /// # Errors
    /// [`Fault::NotRtmp`].
    pub(crate) fn take(&mut self, input: &mut &[u8], out: &mut Vec<u8>, seed: u64) -> Result<bool, Fault> {
        loop {
            match self {
                Self::Version => {
                    let Some((version, rest)) = input.split_first() else { return Ok(false) };
                    if *version != VERSION {
                        return Err(Fault::NotRtmp);
                    }
                    *input = rest;
                    *self = Self::First(Vec::with_capacity(LENGTH));
                }
                Self::First(echo) => {
                    echo.extend_from_slice(split(input, LENGTH - echo.len()));
                    if echo.len() < LENGTH {
                        return Ok(false);
                    }
                    out.reserve_exact(1 + 2 * LENGTH);
                    out.push(VERSION);
                    out.extend_from_slice(&[0; 8]); // our time and version
                    out.extend(noise(seed).take(LENGTH - 8));
                    out.append(echo);
                    *self = Self::Second(LENGTH);
                }
                Self::Second(due) => {
                    *due -= split(input, *due).len();
                    if *due > 0 {
                        return Ok(false);
                    }
                    *self = Self::Done;
                }
                Self::Done => return Ok(true),
            }
        }
    }

    /// Bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        if let Self::First(echo) = self { echo.capacity() } else { 0 }
    }
}

/// Takes up to `most` bytes off the front.
pub(crate) fn split<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

/// Bytes that differ from one connection to the next, which is all that they are for (5.2.3). xorshift64.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed | 1;
    core::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C0 and C1 of a peer.
    fn hello() -> Vec<u8> {
        let mut hello = vec![VERSION];
        hello.extend((0..LENGTH).map(|place| place as u8));
        hello
    }

    #[test]
    fn the_peer_gets_its_own_bytes_back_whatever_the_pieces() {
        for piece in [1, 7, 1536, 1537, 4000] {
            let mut sent = hello();
            sent.extend([9; LENGTH]);
            sent.extend(b"chunks");
            let (mut handshake, mut out, mut rest) = (Handshake::Version, Vec::new(), Vec::new());
            for mut bytes in sent.chunks(piece) {
                if handshake.take(&mut bytes, &mut out, 5).unwrap() {
                    rest.extend_from_slice(bytes);
                }
            }
            assert_eq!(rest, b"chunks");
            assert_eq!((out.len(), out[0]), (1 + 2 * LENGTH, 3));
            assert_eq!(out[1 + LENGTH..], hello()[1..]);
            assert_eq!(out[5..9], [0; 4], "the plain version");
        }
    }

    #[test]
    fn whoever_speaks_something_else_is_known_by_the_first_byte() {
        for text in [&b"GET / HTTP/1.1\r\n"[..], &[0x16, 3, 1], &[6], &[0]] {
            let mut out = Vec::new();
            assert_eq!(Handshake::Version.take(&mut &*text, &mut out, 5), Err(Fault::NotRtmp));
            assert!(out.is_empty());
        }
    }
}
