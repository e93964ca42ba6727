//! A clip: pictures of an Annex B file in decoding order, frames of an ADTS file.
//!
//! Invariant: a [`Clip`] has at least one picture and its first picture is a keyframe with parameter sets in front,
//! so that it can be played in a loop; decoding order is display order (no B pictures), so that a picture's stamp
//! follows from its number.

use std::{ops::Range, path::Path};

use thiserror::Error;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum ClipError {
    /// The file cannot be read.
    #[error("reading {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The name tells no codec.
    #[error("{0}: name a clip .h264, .264, .h265, .265 or .hevc")]
    Name(String),
    /// The stream does not start with a keyframe.
    #[error("{0}: no keyframe with its parameter sets at the start: encode with repeated headers")]
    Start(String),
    /// Pictures are not in display order.
    #[error("{0}: it has B pictures, whose display times a raw clip does not tell: encode with -bf 0")]
    Reordered(String),
    /// Not ADTS, or nothing in it.
    #[error("{0}: not an ADTS AAC file")]
    Adts(String),
}

/// A video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

/// One picture: its NAL units in the clip's bytes, without start codes.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Its NAL units.
    pub nals: Vec<Range<usize>>,
    /// Whether decoding can start here.
    pub key: bool,
}

/// A video clip.
#[derive(Debug)]
pub struct Clip {
    /// Its codec.
    pub codec: Codec,
    /// The file.
    pub bytes: Vec<u8>,
    /// Its pictures in decoding order.
    pub pictures: Vec<Picture>,
    /// Parameter sets of the first picture in stream order: H.265 VPS, SPS, PPS; H.264 SPS, PPS.
    pub sets: Vec<Vec<u8>>,
}

impl Clip {
    /// Reads an Annex B file; the codec is told by the name.
    ///
    /// # Errors
    /// [`ClipError`].
    pub fn read(path: &Path) -> Result<Self, ClipError> {
        let name = path.display().to_string();
        let codec = match path.extension().and_then(|extension| extension.to_str()) {
            Some("h264" | "264") => Codec::H264,
            Some("h265" | "265" | "hevc") => Codec::H265,
            _ => return Err(ClipError::Name(name)),
        };
        let bytes = std::fs::read(path).map_err(|error| ClipError::Read { path: name.clone(), error })?;
        Self::parse(codec, bytes, &name)
    }

    /// Splits Annex B bytes; `name` is for errors.
    ///
    /// # Errors
    /// [`ClipError::Start`], [`ClipError::Reordered`].
    pub fn parse(codec: Codec, bytes: Vec<u8>, name: &str) -> Result<Self, ClipError> {
        let mut pictures: Vec<Picture> = Vec::new();
        let mut open = Picture { nals: Vec::new(), key: false };
        let mut has_slice = false;
        let mut sets: Vec<Vec<u8>> = Vec::new();
        for range in nals(&bytes) {
            let nal = &bytes[range.clone()];
            let kind = Kind::of(codec, nal);
            if has_slice && kind.starts_picture() {
                pictures.push(std::mem::replace(&mut open, Picture { nals: Vec::new(), key: false }));
                has_slice = false;
            }
            match kind {
                Kind::Slice { key, bidirectional, .. } => {
                    if bidirectional {
                        return Err(ClipError::Reordered(name.into()));
                    }
                    has_slice = true;
                    open.key |= key;
                }
                Kind::ParameterSet if pictures.is_empty() => sets.push(nal.to_vec()),
                Kind::ParameterSet | Kind::Other => {}
            }
            open.nals.push(range);
        }
        if has_slice {
            pictures.push(open);
        }
        let wanted = if codec == Codec::H264 { 2 } else { 3 };
        if sets.len() < wanted || !pictures.first().is_some_and(|picture| picture.key) {
            return Err(ClipError::Start(name.into()));
        }
        Ok(Self { codec, bytes, pictures, sets })
    }

    /// The NAL units of a picture.
    pub fn nals<'a>(&'a self, picture: &'a Picture) -> impl Iterator<Item = &'a [u8]> {
        picture.nals.iter().map(|range| &self.bytes[range.clone()])
    }
}

enum Kind {
    Slice { first: bool, key: bool, bidirectional: bool },
    ParameterSet,
    Other,
}

impl Kind {
    fn of(codec: Codec, nal: &[u8]) -> Self {
        let byte = |at: usize| nal.get(at).copied().unwrap_or(0);
        match codec {
            // ITU-T H.264 table 7-1; a slice header starts with first_mb_in_slice and slice_type as ue(v)
            Codec::H264 => match byte(0) & 0x1f {
                kind @ (1 | 5) => Self::Slice {
                    first: byte(1) & 0x80 != 0,
                    key: kind == 5,
                    bidirectional: slice_type(nal.get(1..).unwrap_or_default()) % 5 == 1,
                },
                7 | 8 => Self::ParameterSet,
                _ => Self::Other,
            },
            // ITU-T H.265 table 7-1: 0..=31 are slices, 16..=21 random access
            Codec::H265 => match byte(0) >> 1 & 0x3f {
                kind @ 0..=31 => Self::Slice {
                    first: byte(2) & 0x80 != 0,
                    key: (16..=21).contains(&kind),
                    bidirectional: false,
                },
                32..=34 => Self::ParameterSet,
                _ => Self::Other,
            },
        }
    }

    /// Whether it cannot follow a slice of the same picture. Suffix SEI and filler can, but clips have none.
    fn starts_picture(&self) -> bool {
        !matches!(self, Self::Slice { first: false, .. })
    }
}

/// slice_type of a slice header without its NAL header (ITU-T H.264 7.3.3).
fn slice_type(header: &[u8]) -> u32 {
    let mut at = 0;
    let mut bit = || {
        let bit = header.get(at / 8).map_or(1, |byte| byte >> (7 - at % 8) & 1);
        at += 1;
        u32::from(bit)
    };
    let mut ue = || {
        let mut zeros = 0;
        while bit() == 0 && zeros < 31 {
            zeros += 1;
        }
        (0..zeros).fold(1_u32, |value, _| value << 1 | bit()) - 1
    };
    ue();
    ue()
}

/// NAL units of an Annex B stream, without start codes and trailing zeros.
fn nals(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(window) = bytes.get(at..at + 3) {
        if window == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([bytes.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| {
            let zeros = bytes[start..end].iter().rev().take_while(|&&byte| byte == 0).count();
            start..end - zeros
        })
        .filter(|range| !range.is_empty())
        .collect()
}

/// A sound clip: AAC frames without ADTS headers.
#[derive(Debug)]
pub struct Aac {
    /// Samples per second.
    pub rate: u32,
    /// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
    pub config: [u8; 2],
    /// Frames of 1024 samples.
    pub frames: Vec<Vec<u8>>,
}

impl Aac {
    /// Reads an ADTS file (ISO/IEC 14496-3, 1.A.2).
    ///
    /// # Errors
    /// [`ClipError`].
    pub fn read(path: &Path) -> Result<Self, ClipError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| ClipError::Read { path: name.clone(), error })?;
        Self::parse(&bytes).ok_or(ClipError::Adts(name))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        const RATES: [u32; 13] = [
            96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
            7_350,
        ];
        let mut rest = bytes;
        let mut aac: Option<Self> = None;
        while let Some(header) = rest.get(..7) {
            if header[0] != 0xff || header[1] & 0xf0 != 0xf0 {
                return None;
            }
            let object = (header[2] >> 6) + 1;
            let rate = header[2] >> 2 & 15;
            let channels = (header[2] & 1) << 2 | header[3] >> 6;
            let length =
                usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
            let data = if header[1] & 1 == 1 { 7 } else { 9 };
            let frame = rest.get(data..length)?;
            let aac = aac.get_or_insert(Self {
                rate: *RATES.get(usize::from(rate))?,
                config: [object << 3 | rate >> 1, rate << 7 | channels << 3],
                frames: Vec::new(),
            });
            aac.frames.push(frame.to_vec());
            rest = rest.get(length..)?;
        }
        aac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_apart_by_their_first_slice() {
        let stream = [
            &[0, 0, 0, 1, 0x67, 1, 2][..],
            &[0, 0, 0, 1, 0x68, 3],
            &[0, 0, 1, 0x65, 0b1011_0000, 9], // first_mb 0, slice_type 2 (I)
            &[0, 0, 1, 0x65, 0b0101_1000, 9], // first_mb 1: second slice
            &[0, 0, 1, 0x41, 0b1100_0000, 9, 0], // first_mb 0, slice_type 0 (P)
        ]
        .concat();
        let clip = Clip::parse(Codec::H264, stream, "x").unwrap();
        let shape: Vec<_> = clip.pictures.iter().map(|picture| (picture.nals.len(), picture.key)).collect();
        assert_eq!(shape, [(4, true), (1, false)]);
        assert_eq!(clip.sets, [vec![0x67, 1, 2], vec![0x68, 3]]);
    }

    #[test]
    fn b_pictures_and_headless_clips_are_refused() {
        let b = [0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x01, 0b1010_0000, 9].to_vec(); // slice_type 1
        assert!(matches!(Clip::parse(Codec::H264, b, "x"), Err(ClipError::Reordered(_))));
        let headless = [0, 0, 1, 0x65, 0b1011_0000, 9].to_vec();
        assert!(matches!(Clip::parse(Codec::H264, headless, "x"), Err(ClipError::Start(_))));
        assert!(matches!(Clip::parse(Codec::H265, Vec::new(), "x"), Err(ClipError::Start(_))));
    }

    #[test]
    fn adts_tells_rate_and_config() {
        // AAC-LC, 48 kHz, stereo, 7 + 3 bytes, no CRC
        let frame = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x5f, 0xfc, 7, 8, 9];
        let aac = Aac::parse(&[frame, frame].concat()).unwrap();
        assert_eq!((aac.rate, aac.config), (48_000, [0x11, 0x90]));
        assert_eq!(aac.frames, [vec![7, 8, 9], vec![7, 8, 9]]);
        assert!(Aac::parse(b"not adts").is_none());
    }
}
