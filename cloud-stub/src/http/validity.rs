//! From when to when a certificate is good: the two times in its DER (RFC 5280 section 4.1), and nothing else of it.

use std::time::Duration;

/// A certificate's life, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub from_s: u64,
    /// `notAfter`.
    pub until_s: u64,
}

impl Validity {
    /// Reads it from a certificate, DER.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(SEQUENCE, certificate)?;
        let (mut fields, _) = element(SEQUENCE, certificate)?;
        if let Some((_, rest)) = element(VERSION, fields) {
            fields = rest;
        }
        // serial number, signature's algorithm, issuer
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, fields) = element(tag, fields)?;
        }
        let (times, _) = element(SEQUENCE, fields)?;
        let (from_s, times) = time(times)?;
        let (until_s, _) = time(times)?;
        Some(Self { from_s, until_s })
    }

    /// When two thirds of its life are over, seconds since 1970: time to renew it.
    pub fn renewal_s(&self) -> u64 {
        self.from_s + self.until_s.saturating_sub(self.from_s) / 3 * 2
    }

    /// How long it is until renewal.
    pub fn renewal_in(&self, now_ms: u64) -> Duration {
        Duration::from_millis((self.renewal_s() * 1000).saturating_sub(now_ms))
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The content of the element that `bytes` begin with, and what follows it (X.690 section 8.1).
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A time and what follows it (RFC 5280 section 4.1.2.5): `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (text, rest, four) = match (element(UTC_TIME, bytes), element(GENERALIZED_TIME, bytes)) {
        (Some((text, rest)), _) => (text, rest, false),
        (_, Some((text, rest))) => (text, rest, true),
        _ => return None,
    };
    let digits = text.strip_suffix(b"Z")?;
    if digits.len() != if four { 14 } else { 12 } || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut pairs =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')));
    let mut pair = || pairs.next();
    let year = match (four, pair()?) {
        (true, century) => century * 100 + pair()?,
        (false, year @ 50..) => 1900 + year,
        (false, year) => 2000 + year,
    };
    let (month, day, hour, minute, second) = (pair()?, pair()?, pair()?, pair()?, pair()?);
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    Some((days(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second, rest))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, years beginning in March so that leap days come last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    (before + (month * 153 + 2) / 5 + day - 1).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by rcgen, which has its own calendar.
    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["video.example.org".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_life_of_a_certificate_is_read() {
        // By `date -u -d 2024-02-29 +%s` and so on.
        for (from, until, expected) in [
            ((2024, 2, 29), (2024, 5, 29), (1_709_164_800, 1_716_940_800)),
            ((1970, 1, 1), (2049, 12, 31), (0, 2_524_521_600)),
            ((2000, 3, 1), (2050, 1, 1), (951_868_800, 2_524_608_000)),
            ((2026, 11, 21), (9999, 12, 31), (1_795_219_200, 253_402_214_400)),
        ] {
            let life = Validity::of(&certificate(from, until)).unwrap();
            assert_eq!((life.from_s, life.until_s), expected);
        }
    }

    #[test]
    fn it_is_renewed_after_two_thirds_of_its_life() {
        let life = Validity { from_s: 1000, until_s: 1000 + 90 };
        assert_eq!(life.renewal_in(1_000_000), Duration::from_secs(60));
        assert_eq!(life.renewal_in(1_061_000), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at in 0..700usize, by: u8) {
            let _ = Validity::of(&bytes);
            let mut certificate = certificate((2024, 2, 29), (2024, 5, 29));
            let at = at % certificate.len();
            certificate[at] = by;
            let _ = Validity::of(&certificate);
            certificate.truncate(at);
            let _ = Validity::of(&certificate);
        }
    }
}
