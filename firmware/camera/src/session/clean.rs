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
