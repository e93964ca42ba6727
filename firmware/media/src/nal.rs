//! NAL units in ISO/IEC 14496-15 sample format (each after its length in four big-endian bytes) and in the byte
//! stream format of H.264/H.265 Annex B. Bytes that make no whole unit end the walk; nothing here can panic.

/// Bytes of the length before each NAL unit.
const LENGTH_BYTES: usize = 4;

/// The start code that [`write_annex_b`] puts before each NAL unit (Annex B).
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Walks the NAL units of an access unit in sample format. Empty units are passed over.
#[derive(Debug, Clone)]
pub struct Units<'a>(&'a [u8]);

/// The NAL units of an access unit in sample format.
pub fn units(data: &[u8]) -> Units<'_> {
    Units(data)
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (length, rest) = self.0.split_first_chunk::<LENGTH_BYTES>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let Some((unit, rest)) = rest.split_at_checked(length) else {
                self.0 = &[];
                return None;
            };
            self.0 = rest;
            if !unit.is_empty() {
                return Some(unit);
            }
        }
    }
}

/// Appends an access unit in sample format to `out` as a byte stream.
pub fn write_annex_b(data: &[u8], out: &mut Vec<u8>) {
    for unit in units(data) {
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(unit);
    }
}

/// Bytes that [`write_annex_b`] appends.
pub fn annex_b_len(data: &[u8]) -> usize {
    units(data).map(|unit| START_CODE.len() + unit.len()).sum()
}

/// Appends one NAL unit in sample format to `out`.
pub fn write_unit(unit: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u32::try_from(unit.len()) {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(unit);
    }
}

/// The NAL units of a byte stream (Annex B), without start codes and the zeros around them.
pub fn annex_b_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Three bytes start a unit; a fourth, leading zero is taken for a trailing zero of the unit before.
    let mut rest = after_start_code(stream);
    core::iter::from_fn(move || {
        let current = rest?;
        let end = start_code(current);
        rest = end.and_then(|end| current.get(end + 3..));
        Some(current.get(..end.unwrap_or(current.len())).unwrap_or_default())
    })
    .map(|unit| {
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        unit.get(..unit.len() - zeros).unwrap_or_default()
    })
    .filter(|unit| !unit.is_empty())
}

/// Where the next three-byte start code begins.
fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

/// What follows the first start code.
fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    start_code(bytes).and_then(|at| bytes.get(at + 3..))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(units: &[Vec<u8>]) -> Vec<u8> {
        let mut data = Vec::new();
        for unit in units {
            write_unit(unit, &mut data);
        }
        data
    }

    #[test]
    fn a_length_beyond_the_end_ends_the_walk() {
        let mut data = sample(&[vec![0x65, 1, 2], vec![], vec![0x41]]);
        data.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x41, 0x42]);
        let walked: Vec<&[u8]> = units(&data).collect();
        assert_eq!(walked, [&[0x65, 1, 2][..], &[0x41]]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_within_their_bounds(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let walked: usize = units(&data).map(|unit| unit.len() + LENGTH_BYTES).sum();
            prop_assert!(walked <= data.len());
            let mut out = Vec::new();
            write_annex_b(&data, &mut out);
            prop_assert_eq!(out.len(), annex_b_len(&data));
            prop_assert!(annex_b_units(&data).map(<[u8]>::len).sum::<usize>() <= data.len());
        }

        // A NAL unit has no start code inside and no zero at its end (emulation prevention, 7.4.1).
        #[test]
        fn both_formats_hold_the_same_units(all in proptest::collection::vec(
            proptest::collection::vec(1_u8.., 1..20), 0..6))
        {
            let data = sample(&all);
            let mut stream = Vec::new();
            write_annex_b(&data, &mut stream);
            prop_assert_eq!(annex_b_units(&stream).collect::<Vec<_>>(), all.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    }
}
