//! What a box never goes below again. A [`Floors`] holds nothing that did not come with a signature: the versions and the
//! time are the publisher's, the security version is that of a committed release; what NTP said never gets in here.
//!
//! It only rises, with one exception that the offline keys alone can bring about: when root metadata rotates a key that signs
//! online, the floors which the old keys signed are void, because whoever stole them may have put them up to the sky (TUF
//! 1.0.34, section 5.3.11).

/// Bytes that [`Floors::encode`] gives.
pub const LENGTH: usize = 1 + 4 * 8 + 4 + 8 + 32;
/// Most bytes that [`Floors::decode`] looks at: what later versions append fits in.
const MOST: usize = 4096;
/// The layout. A later one only appends to it.
const LAYOUT: u8 = 1;

/// The least that a box takes. The default, all zero, is a new box: it takes anything that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floors {
    /// Version of root metadata.
    pub root: u64,
    /// Version of timestamp metadata.
    pub timestamp: u64,
    /// Version of snapshot metadata.
    pub snapshot: u64,
    /// Version of targets metadata.
    pub targets: u64,
    /// Security version of releases; rises when one is committed, and not before.
    pub security: u32,
    /// The latest time that a fresh assignment stated, in seconds since 1970.
    pub time: u64,
    /// Stands for the keys that signed the online roles when these floors were set; zero when none did yet.
    pub online: [u8; 32],
}

/// Bytes that are no floors. Whoever finds that takes the other copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are no version floors")]
pub struct NoFloors;

impl Floors {
    /// The bytes that are kept.
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        let (head, online) = out.split_at_mut(LENGTH - 32);
        online.copy_from_slice(&self.online);
        let numbers = [self.root, self.timestamp, self.snapshot, self.targets].map(u64::to_le_bytes);
        let bytes = [LAYOUT]
            .into_iter()
            .chain(numbers.into_iter().flatten())
            .chain(self.security.to_le_bytes())
            .chain(self.time.to_le_bytes());
        for (to, byte) in head.iter_mut().zip(bytes) {
            *to = byte;
        }
        out
    }

    /// Reads what was kept. Of a later layout, which an older version finds after a fall-back, it reads the part it knows.
    ///
    /// # Errors
    /// When that is nothing.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoFloors> {
        let [layout, rest @ ..] = bytes else { return Err(NoFloors) };
        let fits = match *layout {
            0 => false,
            LAYOUT => bytes.len() == LENGTH,
            _ => (LENGTH..=MOST).contains(&bytes.len()),
        };
        if !fits {
            return Err(NoFloors);
        }
        let mut rest = rest;
        let root = number(&mut rest)?;
        let timestamp = number(&mut rest)?;
        let snapshot = number(&mut rest)?;
        let targets = number(&mut rest)?;
        let (security, after) = rest.split_first_chunk().ok_or(NoFloors)?;
        rest = after;
        let time = number(&mut rest)?;
        let online = *rest.first_chunk().ok_or(NoFloors)?;
        Ok(Self { root, timestamp, snapshot, targets, security: u32::from_le_bytes(*security), time, online })
    }

    /// Takes over what is higher elsewhere: of two copies, of what a run of the verifier found, of a committed release.
    pub fn raise(&mut self, other: &Self) {
        if other.online == self.online {
            self.timestamp = self.timestamp.max(other.timestamp);
            self.snapshot = self.snapshot.max(other.snapshot);
            self.targets = self.targets.max(other.targets);
            self.time = self.time.max(other.time);
        } else if other.root > self.root {
            let (root, security) = (self.root, self.security);
            *self = Self { root, security, ..*other };
        }
        self.root = self.root.max(other.root);
        self.security = self.security.max(other.security);
    }

    /// Enters a root of at least this version, whose online keys `online` stands for. Rotated keys void what they signed.
    pub(crate) fn enter(&mut self, root: u64, online: [u8; 32]) {
        if root > self.root && online != self.online {
            *self = Self { security: self.security, online, ..Self::default() };
        }
        self.root = self.root.max(root);
    }
}

fn number(rest: &mut &[u8]) -> Result<u64, NoFloors> {
    let (number, after) = rest.split_first_chunk().ok_or(NoFloors)?;
    *rest = after;
    Ok(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_floors() -> impl Strategy<Value = Floors> {
        (any::<[u8; 4]>(), any::<u32>(), any::<u64>(), 0_u8..3).prop_map(
            |(versions, security, time, keys)| {
                let [root, timestamp, snapshot, targets] = versions.map(u64::from);
                Floors { root, timestamp, snapshot, targets, security, time, online: [keys; 32] }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_is_read(floors in any_floors(), tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = floors.encode();
            prop_assert_eq!(Floors::decode(&bytes), Ok(floors));
            let mut later = bytes.to_vec();
            later[0] = 2;
            later.extend(tail);
            prop_assert_eq!(Floors::decode(&later), Ok(floors));
        }

        #[test]
        fn any_bytes_are_floors_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(floors) = Floors::decode(&bytes) {
                prop_assert_eq!(&floors.encode()[1..], &bytes[1..LENGTH]);
            }
        }

        #[test]
        fn floors_only_rise_under_the_same_keys(mut floors in any_floors(), mut other in any_floors()) {
            other.online = floors.online;
            let before = floors;
            floors.raise(&other);
            for (low, high) in [(before, floors), (other, floors)] {
                prop_assert!(low.root <= high.root && low.timestamp <= high.timestamp);
                prop_assert!(low.snapshot <= high.snapshot && low.targets <= high.targets);
                prop_assert!(low.security <= high.security && low.time <= high.time);
            }
            let once = floors;
            floors.raise(&other);
            prop_assert_eq!(floors, once);
        }

        #[test]
        fn root_and_security_rise_under_any_keys(mut floors in any_floors(), other in any_floors()) {
            let before = floors;
            floors.raise(&other);
            prop_assert_eq!(floors.root, before.root.max(other.root));
            prop_assert_eq!(floors.security, before.security.max(other.security));
            // The versions of one set of keys are never mixed with another's.
            if before.online != other.online {
                let of = if other.root > before.root { other } else { before };
                prop_assert_eq!((floors.timestamp, floors.time, floors.online), (of.timestamp, of.time, of.online));
            }
        }
    }

    #[test]
    fn another_length_or_no_layout_is_refused() {
        let bytes = Floors { root: 3, ..Floors::default() }.encode();
        assert_eq!(Floors::decode(&bytes[..LENGTH - 1]), Err(NoFloors));
        assert_eq!(Floors::decode(&[bytes.as_slice(), &[0]].concat()), Err(NoFloors));
        assert_eq!(Floors::decode(&[0; LENGTH]), Err(NoFloors), "an erased partition is not a new box");
        assert_eq!(Floors::decode(&[0xff; 5000]), Err(NoFloors));
        assert_eq!(Floors::decode(&[]), Err(NoFloors));
    }
}
