//! How often somebody may guess: by the address that they come from and by the name that they guess at. Who guesses right
//! gets the try back.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use crate::http::{Bucket, TooMuch};

/// Names are counted in this many heaps, by a secret hash: a flood of made-up names fills no memory, and nobody can aim
/// at another name's heap.
const HEAPS: u64 = 8192;

/// Counts tries by address and by name.
#[derive(Debug)]
pub struct Turnstile {
    addresses: Bucket,
    names: Bucket,
    hash: RandomState,
}

impl Turnstile {
    /// Tries of an address and tries at a name: so many at once, and so many in a minute for ever.
    pub fn new(address: (u32, u32), name: (u32, u32)) -> Self {
        Self {
            addresses: Bucket::new(address.0, address.1),
            names: Bucket::new(name.0, name.1),
            hash: RandomState::new(),
        }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// When the address or the name has none left.
    pub fn take(&self, address: IpAddr, name: &str, now: Instant) -> Result<(), TooMuch> {
        self.addresses.take(address, now)?;
        self.names.take(self.heap(name), now)
    }

    /// Gives a try back.
    pub fn give_back(&self, address: IpAddr, name: &str) {
        self.addresses.give_back(address);
        self.names.give_back(self.heap(name));
    }

    fn heap(&self, name: &str) -> IpAddr {
        let heap = self.hash.hash_one(name) % HEAPS;
        IpAddr::V4(Ipv4Addr::from(heap as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_guesses_at_one_name_is_stopped_and_others_are_not() {
        let turnstile = Turnstile::new((20, 20), (10, 6));
        let now = Instant::now();
        let heard = (0..200u8)
            .flat_map(|host| (0..50).map(move |_| IpAddr::from([203, 0, 113, host])))
            .filter(|address| turnstile.take(*address, "aida@example.org", now).is_ok());
        assert_eq!(heard.count(), 10, "ten thousand tries from two hundred addresses");
        let others = (0..100).filter(|number| {
            let address = IpAddr::from([198, 51, 100, *number]);
            turnstile.take(address, &format!("{number}@example.org"), now).is_ok()
        });
        assert!(others.count() >= 98, "one in eight thousand shares a heap");
    }

    #[test]
    fn who_is_right_loses_nothing() {
        let turnstile = Turnstile::new((3, 1), (2, 1));
        let (address, now) = (IpAddr::from([203, 0, 113, 1]), Instant::now());
        for _ in 0..50 {
            assert_eq!(turnstile.take(address, "a", now), Ok(()));
            turnstile.give_back(address, "a");
        }
        assert_eq!((0..50).filter(|_| turnstile.take(address, "a", now).is_ok()).count(), 2);
    }
}
