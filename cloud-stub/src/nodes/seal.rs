//! What one cloud says to another carries a seal that only holders of the common key can make, and that soon is worth
//! nothing: HMAC-SHA256 over method, path and time.

use ring::hmac;

use crate::hex::hex;

/// The header that carries it: `TIME.HEX`, milliseconds since 1970 and the seal.
pub const HEADER: &str = "x-streambox-seal";
/// A seal is good for this long, milliseconds, on either side of its time: clocks differ.
pub const LIFE_MS: u64 = 10_000;
/// Longest header that is looked at, bytes: a time and 64 digits.
const LONGEST: usize = 90;

/// Makes seals and checks them.
#[derive(Clone)]
pub struct Seal(hmac::Key);

impl Seal {
    /// With the clouds' common key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The header of a request; `path` with its query.
    pub fn sign(&self, method: &str, path: &str, now_ms: u64) -> String {
        let tag = hmac::sign(&self.0, words(method, path, now_ms).as_bytes());
        format!("{now_ms}.{}", hex(tag.as_ref()))
    }

    /// Whether this header was made for this request, and lately.
    pub fn fits(&self, header: &str, method: &str, path: &str, now_ms: u64) -> bool {
        let read = || {
            let (time, digits) = header.get(..header.len().min(LONGEST))?.split_once('.')?;
            let time: u64 = time.parse().ok()?;
            let pairs = digits.as_bytes().chunks(2);
            let tag: Option<Vec<u8>> =
                pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
            let fresh = now_ms.abs_diff(time) <= LIFE_MS;
            Some(fresh && hmac::verify(&self.0, words(method, path, time).as_bytes(), &tag?).is_ok())
        };
        read().unwrap_or(false)
    }
}

fn words(method: &str, path: &str, time: u64) -> String {
    format!("streambox cloud to cloud\n{method}\n{path}\n{time}")
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn a_seal_fits_its_request_for_a_moment_and_no_other() {
        let seal = Seal::new(&[7; 32]);
        let header = seal.sign("GET", "/a/live.m3u8?_HLS_msn=7", NOW);
        let fits = |header: &str, method, path, now| seal.fits(header, method, path, now);
        assert!(fits(&header, "GET", "/a/live.m3u8?_HLS_msn=7", NOW + LIFE_MS));
        assert!(fits(&header, "GET", "/a/live.m3u8?_HLS_msn=7", NOW - LIFE_MS));
        assert!(!fits(&header, "GET", "/a/live.m3u8?_HLS_msn=7", NOW + LIFE_MS + 1), "too old");
        assert!(!fits(&header, "GET", "/a/live.m3u8?_HLS_msn=8", NOW), "another path");
        assert!(!fits(&header, "POST", "/a/live.m3u8?_HLS_msn=7", NOW), "another method");
        let later = header.replacen("1800000000000", "1800000000001", 1);
        assert!(!fits(&later, "GET", "/a/live.m3u8?_HLS_msn=7", NOW), "another time");
        let other = Seal::new(&[8; 32]).sign("GET", "/a", NOW);
        assert!(!fits(&other, "GET", "/a", NOW), "another key");
        assert!(!fits(&format!("{header}ff"), "GET", "/a/live.m3u8?_HLS_msn=7", NOW), "something hung on");
    }

    proptest! {
        #[test]
        fn any_header_is_judged(header: String) {
            prop_assert!(!Seal::new(&[7; 32]).fits(&header, "GET", "/a", NOW));
        }
    }
}
