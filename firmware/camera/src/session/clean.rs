//! Access units as the rest of the box wants them: length-prefixed NAL units, only those that a decoder needs
//! beside the parameter sets of the format. Pure.

use model::CodecKind;

/// What an access unit turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleaned {
    /// It has a coded slice of a picture; without one there is nothing to show.
    pub picture: bool,
    /// Decoding may start here: every slice is of an IDR, BLA or CRA picture.
    pub random_access: bool,
}

enum Nal {
    /// A slice; whether decoding may start with its picture.
    Slice(bool),
    /// Parameter set, delimiter or filler.
    Dropped,
    /// Anything else, SEI for instance.
    Kept,
}

/// Removes parameter sets, access unit delimiters, end-of-sequence marks and filler from `data`, in place, and says
/// what is left. NAL units stand behind four bytes of length; what is cut short at the end is dropped.
pub fn clean(codec: CodecKind, data: &mut Vec<u8>) -> Cleaned {
    let mut found = Cleaned { picture: false, random_access: true };
    let (mut read, mut written) = (0_usize, 0_usize);
    while let Some(&[a, b, c, d]) = data.get(read..).and_then(<[u8]>::first_chunk) {
        let end = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_add(read + 4);
        let Some(&header) = data.get(read + 4).filter(|_| end <= data.len() && end > read + 4) else {
            if end == read + 4 {
                read = end; // an empty NAL unit
                continue;
            }
            break;
        };
        let kept = match kind(codec, header) {
            Nal::Slice(random_access) => {
                found.picture = true;
                found.random_access &= random_access;
                true
            }
            Nal::Kept => true,
            Nal::Dropped => false,
        };
        if kept {
            if written != read {
                data.copy_within(read..end, written);
            }
            written += end - read;
        }
        read = end;
    }
    data.truncate(written);
    found.random_access &= found.picture;
    found
}

/// ITU-T H.264, table 7-1; ITU-T H.265, table 7-1.
fn kind(codec: CodecKind, header: u8) -> Nal {
    match codec {
        CodecKind::H265 => match (header >> 1) & 0x3f {
            number @ 0..=31 => Nal::Slice((16..=21).contains(&number)),
            32..=38 => Nal::Dropped,
            _ => Nal::Kept,
        },
        CodecKind::H264 | CodecKind::Aac => match header & 0x1f {
            number @ 1..=5 => Nal::Slice(number == 5),
            7..=13 | 15 => Nal::Dropped,
            _ => Nal::Kept,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter()
            .flat_map(|nal| (nal.len() as u32).to_be_bytes().into_iter().chain(nal.iter().copied()))
            .collect()
    }

    #[test]
    fn only_what_a_decoder_needs_is_left() {
        let mut data = unit(&[
            &[9, 0xf0],
            &[0x67, 1],
            &[0x68, 2],
            &[6, 5, 0x80],
            &[0x65, 1, 2],
            &[12, 0xff, 0x80],
            &[0x65, 3],
        ]);
        let found = clean(CodecKind::H264, &mut data);
        assert_eq!(data, unit(&[&[6, 5, 0x80], &[0x65, 1, 2], &[0x65, 3]]));
        assert_eq!(found, Cleaned { picture: true, random_access: true });
        let mut data =
            unit(&[&[35 << 1, 1, 0x50], &[32 << 1, 1], &[39 << 1, 1], &[19 << 1, 1, 7], &[38 << 1, 1]]);
        let found = clean(CodecKind::H265, &mut data);
        assert_eq!(data, unit(&[&[39 << 1, 1], &[19 << 1, 1, 7]]));
        assert_eq!(found, Cleaned { picture: true, random_access: true });
    }

    #[test]
    fn a_unit_without_a_slice_is_no_key_frame() {
        let mut data = unit(&[&[9, 0xf0], &[6, 1]]);
        assert_eq!(clean(CodecKind::H264, &mut data), Cleaned { picture: false, random_access: false });
        let mut data = unit(&[&[0x41, 1], &[0x65, 1]]);
        assert_eq!(clean(CodecKind::H264, &mut data), Cleaned { picture: true, random_access: false });
    }

    #[test]
    fn what_is_cut_short_is_dropped() {
        let mut data = unit(&[&[0x41, 1]]);
        data.extend_from_slice(&[0, 0, 0, 9, 0x41]);
        assert!(clean(CodecKind::H264, &mut data).picture);
        assert_eq!(data, unit(&[&[0x41, 1]]));
    }

    proptest! {
        #[test]
        fn cleaning_is_safe_and_done_once(mut data: Vec<u8>, nals: Vec<Vec<u8>>, h265: bool) {
            let codec = if h265 { CodecKind::H265 } else { CodecKind::H264 };
            clean(codec, &mut data);
            let nals: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let mut data = unit(&nals);
            let first = clean(codec, &mut data);
            let once = data.clone();
            prop_assert_eq!(clean(codec, &mut data), first);
            prop_assert_eq!(data, once);
        }
    }
}
