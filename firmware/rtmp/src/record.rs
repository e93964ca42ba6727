//! Decoder configuration records: parameter sets, and how many bytes stand before each NAL unit (ISO/IEC 14496-15, 5.3.3.1 and
//! 8.3.3.1). Of several sets of a kind the first counts, as everywhere in this house.

use bytes::Bytes;
use media::VideoFormat;
use model::CodecKind;

/// One parameter set of each kind, as far as they have come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sets {
    pub(crate) vps: Option<Bytes>,
    pub(crate) sps: Option<Bytes>,
    pub(crate) pps: Option<Bytes>,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Bytes of the length before each NAL unit: 1 to 4.
    pub(crate) length_bytes: usize,
    pub(crate) sets: Sets,
}

/// A kind of parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vps,
    Sps,
    Pps,
}

impl Sets {
    /// Keeps the set if it is the first of its kind.
    pub(crate) fn put(&mut self, kind: Kind, set: &[u8]) {
        let place = match kind {
            Kind::Vps => &mut self.vps,
            Kind::Sps => &mut self.sps,
            Kind::Pps => &mut self.pps,
        };
        if place.is_none() && !set.is_empty() {
            *place = Some(Bytes::copy_from_slice(set));
        }
    }

    /// These over those of before; true when that changed something.
    pub(crate) fn renew(&mut self, newer: Self) -> bool {
        let before = self.clone();
        for (own, newer) in
            [(&mut self.vps, newer.vps), (&mut self.sps, newer.sps), (&mut self.pps, newer.pps)]
        {
            *own = newer.or(own.take());
        }
        *self != before
    }

    /// The format that they make; `None` while one is missing.
    pub(crate) fn format(&self, codec: CodecKind) -> Option<VideoFormat> {
        let (sps, pps) = (self.sps.clone()?, self.pps.clone()?);
        match codec {
            CodecKind::H264 => Some(VideoFormat::H264 { sps, pps }),
            CodecKind::H265 => Some(VideoFormat::H265 { vps: self.vps.clone()?, sps, pps }),
            CodecKind::Aac => None,
        }
    }
}

/// Reads the record of a video codec; `None` where it ends early or is none.
pub(crate) fn read(codec: CodecKind, data: &[u8]) -> Option<Record> {
    let (version, mut rest) = data.split_first()?;
    let mut sets = Sets::default();
    if *version != 1 {
        return None;
    }
    let length = match codec {
        CodecKind::H264 => {
            let length = *take(&mut rest, 4)?.last()?;
            for kind in [Kind::Sps, Kind::Pps] {
                let count = byte(&mut rest)? & if kind == Kind::Sps { 0x1f } else { 0xff };
                for _ in 0..count {
                    sets.put(kind, set(&mut rest)?);
                }
            }
            length
        }
        CodecKind::H265 => {
            let length = *take(&mut rest, 21)?.last()?;
            for _ in 0..byte(&mut rest)? {
                let kind = h265(byte(&mut rest)? & 0x3f);
                for _ in 0..number(&mut rest)? {
                    let set = set(&mut rest)?;
                    if let Some(kind) = kind {
                        sets.put(kind, set);
                    }
                }
            }
            length
        }
        CodecKind::Aac => return None,
    };
    Some(Record { length_bytes: usize::from(length & 3) + 1, sets })
}

/// Parameter sets by NAL unit type (ITU-T H.265, table 7-1).
pub(crate) fn h265(number: u8) -> Option<Kind> {
    match number {
        32 => Some(Kind::Vps),
        33 => Some(Kind::Sps),
        34 => Some(Kind::Pps),
        _ => None,
    }
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(taken)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    take(rest, 1)?.first().copied()
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    take(rest, 2)?.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
}

fn set<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    take(rest, length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_records_give_the_first_of_each_kind() {
        let avc = [&[1, 0x64, 0, 0x1f, 0xff, 0xe2][..], &[0, 2, 0x67, 1], &[0, 1, 0x67], &[1, 0, 2, 0x68, 2]];
        let record = read(CodecKind::H264, &avc.concat()).unwrap();
        assert_eq!(record.length_bytes, 4);
        let format = record.sets.format(CodecKind::H264).unwrap();
        assert_eq!(
            format,
            VideoFormat::H264 { sps: Bytes::from_static(&[0x67, 1]), pps: Bytes::from_static(&[0x68, 2]) }
        );
        let mut hevc = vec![1];
        hevc.extend([0; 20]);
        hevc.extend([0xfd, 4]); // lengths of two bytes, four arrays
        for kind in [32, 33, 39, 34] {
            hevc.extend([0x80 | kind, 0, 1, 0, 2, kind << 1, 1]);
        }
        let record = read(CodecKind::H265, &hevc).unwrap();
        assert_eq!(record.length_bytes, 2);
        assert_eq!(record.sets.vps.as_deref(), Some(&[64, 1][..]));
        assert!(record.sets.format(CodecKind::H265).is_some());
        assert_eq!(read(CodecKind::H265, &hevc[..hevc.len() - 1]), None);
        assert_eq!(read(CodecKind::H264, &[0, 0, 0, 1, 0x67]), None, "Annex B is no record");
    }

    #[test]
    fn newer_sets_replace_their_own_kind_only() {
        let set = |byte: u8| Some(Bytes::from(vec![byte]));
        let mut sets = Sets { vps: None, sps: set(1), pps: set(2) };
        assert!(!sets.renew(Sets { pps: set(2), ..Sets::default() }));
        assert!(sets.renew(Sets { pps: set(3), ..Sets::default() }));
        assert_eq!(sets, Sets { vps: None, sps: set(1), pps: set(3) });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(data in proptest::collection::vec(any::<u8>(), 0..80)) {
            for codec in [CodecKind::H264, CodecKind::H265, CodecKind::Aac] {
                let _ = read(codec, &data);
                let _ = read(codec, &[&[1], data.as_slice()].concat());
            }
        }
    }
}
