//! A picture as it came, NAL units behind lengths of one to four bytes, as the rest of the house wants it: lengths of four
//! bytes, only what a decoder needs beside the format, one buffer of the exact size.

use bytes::Bytes;
use model::CodecKind;

use crate::record::{Kind, Sets, h265};

/// What a message's NAL units turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Without parameter sets, delimiters and filler; empty where no slice of a picture is in it.
    pub(crate) data: Bytes,
    /// Decoding may start here: every slice is of an IDR, BLA or CRA picture.
    pub(crate) random_access: bool,
    /// The parameter sets that came along.
    pub(crate) sets: Sets,
}

/// Why there is no picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// A length leads beyond the end.
    Torn,
    /// It has more bytes than allowed.
    TooLarge,
}

enum Nal {
    /// A slice; whether decoding may start with its picture.
    Slice(bool),
    Set(Kind),
    /// Delimiter, filler, end of sequence.
    Dropped,
    /// Anything else, SEI for instance.
    Kept,
}

/// Reads a picture.
///
/// # Errors
/// [`Unusable`].
pub(crate) fn picture(
    codec: CodecKind,
    length_bytes: usize,
    data: &[u8],
    most: usize,
) -> Result<Picture, Unusable> {
    let (mut size, mut seen, mut random_access) = (0_usize, false, true);
    let mut sets = Sets::default();
    for unit in (Units { rest: data, length_bytes }) {
        let unit = unit.ok_or(Unusable::Torn)?;
        match kind(codec, unit) {
            Nal::Slice(starts) => {
                seen = true;
                random_access &= starts;
                size += 4 + unit.len();
            }
            Nal::Kept => size += 4 + unit.len(),
            Nal::Set(kind) => sets.put(kind, unit),
            Nal::Dropped => {}
        }
    }
    if size > most {
        return Err(Unusable::TooLarge);
    }
    let mut out = Vec::with_capacity(if seen { size } else { 0 });
    if seen {
        for unit in (Units { rest: data, length_bytes }).flatten() {
            if matches!(kind(codec, unit), Nal::Slice(_) | Nal::Kept) {
                media::nal::write_unit(unit, &mut out);
            }
        }
    }
    Ok(Picture { data: out.into(), random_access: seen && random_access, sets })
}

/// Walks NAL units, empty ones left out; `None` where a length leads beyond the end, and then no more.
struct Units<'a> {
    rest: &'a [u8],
    length_bytes: usize,
}

impl<'a> Iterator for Units<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        while !self.rest.is_empty() {
            let split = self.rest.split_at_checked(self.length_bytes).and_then(|(length, rest)| {
                rest.split_at_checked(length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
            });
            let Some((unit, rest)) = split else {
                self.rest = &[];
                return Some(None);
            };
            self.rest = rest;
            if !unit.is_empty() {
                return Some(Some(unit));
            }
        }
        None
    }
}

/// ITU-T H.264, table 7-1; ITU-T H.265, table 7-1.
fn kind(codec: CodecKind, unit: &[u8]) -> Nal {
    let header = unit.first().copied().unwrap_or_default();
    match codec {
        CodecKind::H265 => match header >> 1 & 0x3f {
            number @ 0..=31 => Nal::Slice((16..=21).contains(&number)),
            number @ 32..=38 => h265(number).map_or(Nal::Dropped, Nal::Set),
            _ => Nal::Kept,
        },
        CodecKind::H264 | CodecKind::Aac => match header & 0x1f {
            number @ 1..=5 => Nal::Slice(number == 5),
            7 => Nal::Set(Kind::Sps),
            8 => Nal::Set(Kind::Pps),
            9..=13 | 15 => Nal::Dropped,
            _ => Nal::Kept,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// NAL units behind lengths of so many bytes.
    fn sample(length_bytes: usize, units: &[&[u8]]) -> Vec<u8> {
        let mut data = Vec::new();
        for unit in units {
            data.extend(&(unit.len() as u32).to_be_bytes()[4 - length_bytes..]);
            data.extend(*unit);
        }
        data
    }

    #[test]
    fn what_a_decoder_needs_stays_in_one_exact_buffer() {
        for length_bytes in 1..=4 {
            let units: &[&[u8]] =
                &[&[9, 0xf0], &[0x67, 1], &[0x68, 2], &[], &[6, 5], &[0x65, 7, 7], &[12, 255]];
            let read = picture(CodecKind::H264, length_bytes, &sample(length_bytes, units), 100).unwrap();
            assert_eq!(read.data, sample(4, &[&[6, 5], &[0x65, 7, 7]]));
            assert_eq!(Vec::from(read.data).capacity(), 13, "exact");
            assert!(read.random_access);
            assert_eq!(read.sets.sps.as_deref(), Some(&[0x67, 1][..]));
        }
    }

    #[test]
    fn only_whole_random_access_pictures_start_decoding() {
        let starts =
            |codec, units: &[&[u8]]| picture(codec, 4, &sample(4, units), 100).unwrap().random_access;
        assert!(!starts(CodecKind::H264, &[&[0x65, 1], &[0x41, 1]]));
        assert!(!starts(CodecKind::H264, &[&[6, 1]]));
        assert!(starts(CodecKind::H265, &[&[21 << 1, 1], &[21 << 1, 1]]), "CRA");
        assert!(!starts(CodecKind::H265, &[&[1 << 1, 1]]));
    }

    #[test]
    fn torn_and_oversized_pictures_are_none() {
        let mut data = sample(4, &[&[0x65, 1, 2]]);
        data.pop();
        assert_eq!(picture(CodecKind::H264, 4, &data, 100), Err(Unusable::Torn));
        // Lengths of one byte grow to four.
        let small = sample(1, &[&[0x41_u8][..]; 50]);
        assert_eq!(picture(CodecKind::H264, 1, &small, 249), Err(Unusable::TooLarge));
        assert!(picture(CodecKind::H264, 1, &small, 250).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_their_bounds(
            data in proptest::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..200),
            length_bytes in 1_usize..=4,
        ) {
            for codec in [CodecKind::H264, CodecKind::H265] {
                if let Ok(read) = picture(codec, length_bytes, &data, 300) {
                    prop_assert!(read.data.len() <= 300);
                    prop_assert_eq!(media::nal::units(&read.data).map(|unit| unit.len() + 4).sum::<usize>(), read.data.len());
                }
            }
        }
    }
}
