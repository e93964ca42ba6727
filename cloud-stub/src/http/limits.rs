//! What a stranger may cost beyond a connection: the length and the time of a body, and how often an address may ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::reply;

/// Most bytes of a request's body.
pub const BODY_BYTES: usize = 64 << 10;
/// A request's body must be there after this.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Most addresses that a [`Bucket`] remembers.
const ADDRESSES: usize = 10_000;

/// Reads a JSON body.
///
/// # Errors
/// The answer to a body that is no JSON, too long or too slow.
pub async fn json<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Box<Response<Body>>> {
    let refuse = |status, words| Err(Box::new(reply::sentence(status, words)));
    let (parts, body) = request.into_parts();
    if !super::is_json(&parts) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This address takes application/json.");
    }
    let body = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_BYTES).collect()).await;
    match body {
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "The body took too long."),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Box::new(reply::too_large())),
        Ok(Err(_)) => refuse(StatusCode::BAD_REQUEST, "The body broke off."),
        Ok(Ok(body)) => match serde_json::from_slice(&body.to_bytes()) {
            Ok(value) => Ok(value),
            Err(_) => refuse(StatusCode::BAD_REQUEST, "The body is not the JSON that is expected."),
        },
    }
}

/// How often each address may do something: a bucket of tokens that fills with time.
#[derive(Debug)]
pub struct Bucket {
    size: f64,
    per_second: f64,
    addresses: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

/// An address has asked too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch {
    /// Seconds until it may ask again.
    pub retry_after_s: u64,
}

impl Bucket {
    /// So many at once, and so many in a minute for ever.
    pub fn new(at_once: u32, per_minute: u32) -> Self {
        let per_second = f64::from(per_minute) / 60.0;
        Self { size: f64::from(at_once), per_second, addresses: Mutex::default() }
    }

    /// Takes one token of an address (IPv4) or of its network of 64 bits (IPv6).
    ///
    /// # Errors
    /// When it has none left.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), TooMuch> {
        let address = counted(address);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = |left, since| self.filled(left, since, now);
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&address) {
            addresses.retain(|_, (left, since)| filled(*left, *since) < self.size);
            if addresses.len() >= ADDRESSES {
                return Err(TooMuch { retry_after_s: 60 });
            }
        }
        let entry = addresses.entry(address).or_insert((self.size, now));
        let left = filled(entry.0, entry.1);
        if left < 1.0 {
            *entry = (left, now);
            let retry_after_s = ((1.0 - left) / self.per_second).ceil() as u64;
            return Err(TooMuch { retry_after_s: retry_after_s.max(1) });
        }
        *entry = (left - 1.0, now);
        Ok(())
    }

    /// Whether an address has no token left. Takes none.
    pub fn is_spent(&self, address: IpAddr, now: Instant) -> bool {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = addresses.get(&counted(address));
        entry.is_some_and(|(left, since)| self.filled(*left, *since, now) < 1.0)
    }

    /// Gives a token back: what it was taken for was no misuse.
    pub fn give_back(&self, address: IpAddr) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((left, _)) = addresses.get_mut(&counted(address)) {
            *left = (*left + 1.0).min(self.size);
        }
    }

    fn filled(&self, left: f64, since: Instant, now: Instant) -> f64 {
        (left + now.saturating_duration_since(since).as_secs_f64() * self.per_second).min(self.size)
    }
}

/// What is counted as one: an address (IPv4), or a network of 64 bits (IPv6).
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_asks_too_often_waits_and_others_do_not() {
        let bucket = Bucket::new(3, 60);
        let start = Instant::now();
        let (greedy, other): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let neighbour = "2001:db8::2".parse().unwrap();
        assert_eq!((0..10).filter(|_| bucket.take(greedy, start).is_ok()).count(), 3);
        assert_eq!(bucket.take(neighbour, start), Err(TooMuch { retry_after_s: 1 }));
        assert!(bucket.is_spent(neighbour, start) && !bucket.is_spent(other, start));
        assert!(!bucket.is_spent(greedy, start + Duration::from_secs(1)));
        assert_eq!(bucket.take(other, start), Ok(()));
        assert_eq!(bucket.take(greedy, start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn ten_thousand_addresses_are_remembered_and_no_more() {
        let bucket = Bucket::new(2, 1);
        let start = Instant::now();
        let refused = (0..20_000u32).filter(|i| bucket.take(IpAddr::from(i.to_be_bytes()), start).is_err());
        assert_eq!(refused.count(), 10_000);
        // Once they are full again they are forgotten.
        let later = start + Duration::from_secs(120);
        assert_eq!(bucket.take("203.0.113.1".parse().unwrap(), later), Ok(()));
    }
}
