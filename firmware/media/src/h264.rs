//! H.264: what the sequence parameter set and the first slice of a picture tell (ITU-T H.264 7.3.2.1, 7.3.3).

use core::num::NonZeroUsize;

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitRead, BitReaderError};

use crate::bits::Bits;
use crate::nal;
use crate::picture::{MAX_REORDER, ParameterSetError, PictureFacts, checked_size, plausible_fps};

/// NAL unit type of a slice of a non-IDR picture (table 7-1).
pub const SLICE: u8 = 1;
/// NAL unit type of slice data partition A.
pub const PARTITION_A: u8 = 2;
/// NAL unit type of a slice of an IDR picture.
pub const IDR: u8 = 5;
/// NAL unit type of supplemental enhancement information.
pub const SEI: u8 = 6;
/// NAL unit type of a sequence parameter set.
pub const SPS: u8 = 7;
/// NAL unit type of a picture parameter set.
pub const PPS: u8 = 8;
/// NAL unit type of an access unit delimiter.
pub const AUD: u8 = 9;

const HEADER: NonZeroUsize = NonZeroUsize::MIN;

/// The type of a NAL unit; 0 (unspecified) for an empty one.
pub fn unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

/// A sequence parameter set whose pictures the box passes on.
#[derive(Debug, Clone)]
pub struct Sps {
    inner: SeqParameterSet,
    size: (u32, u32),
}

/// Where the first slice of a picture stands in output order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceOrder {
    /// The picture is an IDR picture: order counts anew.
    pub idr: bool,
    /// Other pictures may refer to it (`nal_ref_idc` is not 0).
    pub reference: bool,
    /// It is one field of a frame.
    pub field: bool,
    /// `pic_order_cnt_lsb`.
    pub poc_lsb: u32,
}

impl Sps {
    /// Reads an SPS, NAL header included. A broken VUI is taken for absent.
    ///
    /// # Errors
    /// [`ParameterSetError`] when it is no readable SPS or its pictures are too large.
    pub fn parse(unit: &[u8]) -> Result<Self, ParameterSetError> {
        let broken = |detail: String| ParameterSetError::Broken { set: "H.264 SPS", detail };
        if unit_type(unit) != SPS {
            return Err(broken("it is another NAL unit".into()));
        }
        let inner = SeqParameterSet::from_bits(Bits::new(unit, HEADER))
            .or_else(|_| SeqParameterSet::from_bits(Bits::new(unit, HEADER).without_vui()))
            .map_err(|error| broken(format!("{error:?}")))?;
        let size = size(&inner)?;
        Ok(Self { inner, size })
    }

    /// Profile, constraint flags and level as in avcC (ISO/IEC 14496-15 5.3.3.1).
    pub fn profile_bytes(&self) -> [u8; 3] {
        [self.inner.profile_idc.into(), self.inner.constraint_flags.into(), self.inner.level_idc]
    }

    /// `chroma_format_idc` and the bit depths of luma and chroma, which avcC repeats for High profiles.
    pub fn chroma(&self) -> (u8, u8, u8) {
        let info = &self.inner.chroma_info;
        let format = match info.chroma_format {
            ChromaFormat::Monochrome => 0,
            ChromaFormat::YUV422 => 2,
            ChromaFormat::YUV444 => 3,
            ChromaFormat::YUV420 | ChromaFormat::Invalid(_) => 1,
        };
        (format, info.bit_depth_luma_minus8 + 8, info.bit_depth_chroma_minus8 + 8)
    }

    /// What it tells of the pictures.
    pub fn facts(&self) -> PictureFacts {
        let [profile, constraints, level] = self.profile_bytes();
        let timing = self.inner.vui_parameters.as_ref().and_then(|vui| vui.timing_info.as_ref());
        PictureFacts {
            width: self.size.0,
            height: self.size.1,
            // Two ticks make a frame (E.2.1, num_units_in_tick).
            fps: timing
                .and_then(|timing| plausible_fps(timing.time_scale, 2 * u64::from(timing.num_units_in_tick))),
            reorder: self.reorder(),
            codec: format!("avc1.{profile:02X}{constraints:02X}{level:02X}"),
        }
    }

    /// Pictures that may precede one in decoding order and follow it in output order; `None` where not said.
    pub fn reorder(&self) -> Option<usize> {
        let [profile, constraints, _] = self.profile_bytes();
        let restrictions =
            self.inner.vui_parameters.as_ref().and_then(|vui| vui.bitstream_restrictions.as_ref());
        // Output order is decoding order: type 2 by 8.2.1.3, Baseline has no B slices, and the intra profiles
        // (constraint_set3_flag) by E.2.1, max_num_reorder_frames.
        let intra_only = matches!(profile, 44 | 86 | 100 | 110 | 122 | 244) && constraints & 0x10 != 0;
        if profile == 66 || intra_only || matches!(self.inner.pic_order_cnt, PicOrderCntType::TypeTwo) {
            return Some(0);
        }
        restrictions.map(|restrictions| (restrictions.max_num_reorder_frames as usize).min(MAX_REORDER))
    }

    /// log2 of how far `pic_order_cnt_lsb` counts; `None` where pictures carry none (types 1 and 2).
    pub fn poc_lsb_bits(&self) -> Option<u32> {
        match self.inner.pic_order_cnt {
            PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } => {
                Some(u32::from(log2_max_pic_order_cnt_lsb_minus4) + 4)
            }
            PicOrderCntType::TypeOne { .. } | PicOrderCntType::TypeTwo => None,
        }
    }

    /// The order of an access unit (sample format) by its first slice; `None` where it has none that can be read.
    pub fn slice_order(&self, data: &[u8]) -> Option<SliceOrder> {
        let slice = nal::units(data).find(|unit| matches!(unit_type(unit), SLICE | PARTITION_A | IDR))?;
        self.read_slice(slice).ok().flatten()
    }

    fn read_slice(&self, slice: &[u8]) -> Result<Option<SliceOrder>, BitReaderError> {
        let Some(poc_bits) = self.poc_lsb_bits() else { return Ok(None) };
        let idr = unit_type(slice) == IDR;
        let reference = slice.first().is_some_and(|header| header & 0x60 != 0);
        let mut bits = Bits::new(slice, HEADER);
        bits.skip_ue(3, "first_mb_in_slice, slice_type, pic_parameter_set_id")?;
        if self.inner.chroma_info.separate_colour_plane_flag {
            bits.skip(2, "colour_plane_id")?;
        }
        bits.skip(u32::from(self.inner.log2_max_frame_num()), "frame_num")?;
        let fields = !matches!(self.inner.frame_mbs_flags, FrameMbsFlags::Frames);
        let field = fields && bits.read_bool("field_pic_flag")?;
        if field {
            bits.skip(1, "bottom_field_flag")?;
        }
        if idr {
            bits.read_ue("idr_pic_id")?;
        }
        let poc_lsb = bits.read(poc_bits, "pic_order_cnt_lsb")?;
        Ok(Some(SliceOrder { idr, reference, field, poc_lsb }))
    }
}

/// The cropped picture (7.4.2.1.1, equations 7-19 to 7-22), in wide integers because any value may stand there.
fn size(sps: &SeqParameterSet) -> Result<(u32, u32), ParameterSetError> {
    let fields = if matches!(sps.frame_mbs_flags, FrameMbsFlags::Frames) { 1 } else { 2 };
    let (across, down) = match sps.chroma_info.chroma_format {
        ChromaFormat::YUV420 => (2, 2),
        ChromaFormat::YUV422 => (2, 1),
        ChromaFormat::Monochrome | ChromaFormat::YUV444 | ChromaFormat::Invalid(_) => (1, 1),
    };
    let width = (u64::from(sps.pic_width_in_mbs_minus1) + 1) * 16;
    let height = (u64::from(sps.pic_height_in_map_units_minus1) + 1) * 16 * fields;
    let away = sps.frame_cropping.as_ref().map_or((0, 0), |crop| {
        (
            (u64::from(crop.left_offset) + u64::from(crop.right_offset)) * across,
            (u64::from(crop.top_offset) + u64::from(crop.bottom_offset)) * down * fields,
        )
    });
    checked_size("H.264 SPS", (width, height), away)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{bytes, hex, sample, ue};

    // Written by x264 from 320x180 at 25 fps, and from 1920x1080 with interlaced coding.
    const BASELINE: &str = "6742c00cda05067e7c0440000003004000000c83c50aa8";
    const MAIN: &str = "674d400cda05067e7c0440000003004000000c83c50aa8";
    const HIGH_PYRAMID: &str = "6764000cacd941419f9f011000000300100000030320f1429960";
    const INTERLACED: &str = "674d4028eca03c0227ef011000000300100000030321f162d960";

    #[test]
    fn parameter_sets_tell_what_ffprobe_tells() {
        for (sps, size, reorder, codec) in [
            (BASELINE, (320, 180), Some(0), "avc1.42C00C"),
            (MAIN, (320, 180), Some(0), "avc1.4D400C"),
            (HIGH_PYRAMID, (320, 180), Some(2), "avc1.64000C"),
            (INTERLACED, (1920, 1080), Some(2), "avc1.4D4028"),
        ] {
            let facts = Sps::parse(&hex(sps)).unwrap().facts();
            let (width, height) = size;
            let expected = PictureFacts { width, height, fps: Some(25.0), reorder, codec: codec.into() };
            assert_eq!(facts, expected);
        }
        assert_eq!(Sps::parse(&hex(HIGH_PYRAMID)).unwrap().chroma(), (1, 8, 8));
    }

    #[test]
    fn slices_tell_their_order() {
        // The first three pictures of a clip with a B pyramid: shown first, fifth, third.
        let sps = Sps::parse(&hex(HIGH_PYRAMID)).unwrap();
        let orders: Vec<SliceOrder> =
            ["6588840047dae3985bd7", "419a24188affbeef5be9", "419e424212fffeead889"]
                .iter()
                .map(|slice| sps.slice_order(&sample(&[&hex("0605ff"), &hex(slice)])).unwrap())
                .collect();
        assert_eq!(orders.iter().map(|order| order.poc_lsb).collect::<Vec<_>>(), [0, 8, 4]);
        assert_eq!(orders.iter().map(|order| order.idr).collect::<Vec<_>>(), [true, false, false]);
        assert!(orders.iter().all(|order| order.reference && !order.field));
        // Without B-frames x264 leaves the order out (type 2).
        assert_eq!(
            Sps::parse(&hex(MAIN)).unwrap().slice_order(&sample(&[&hex("65888411ff9e1beb0f26")])),
            None
        );
    }

    #[test]
    fn bytes_after_the_sps_and_a_broken_vui_are_survived() {
        let mut appended = hex(HIGH_PYRAMID);
        appended.extend_from_slice(&[0xaa, 0x55]);
        assert_eq!(Sps::parse(&appended).unwrap().facts().fps, Some(25.0));
        let cut = hex(HIGH_PYRAMID)[..13].to_vec();
        let facts = Sps::parse(&cut).unwrap().facts();
        assert_eq!((facts.width, facts.height, facts.fps, facts.reorder), (320, 180, None, None));
    }

    #[test]
    fn an_sps_of_65535_macroblocks_is_unsupported() {
        // Baseline, level 4, id 0, frame_num 4 bits, POC type 2, one reference, 65,535 x 65,535 macroblocks.
        let bits = "010000101100000000101000".to_owned()
            + "1" // seq_parameter_set_id
            + "1" // log2_max_frame_num_minus4
            + "011" // pic_order_cnt_type 2
            + "010" // max_num_ref_frames 1
            + "0"
            + &ue(65_534)
            + &ue(65_534)
            + "11" // frame_mbs_only_flag, direct_8x8_inference_flag
            + "00"; // no cropping, no VUI
        let mut unit = vec![0x67];
        unit.extend(bytes(&(bits + "1")));
        assert_eq!(
            Sps::parse(&unit).unwrap_err(),
            ParameterSetError::UnsupportedSize { width: 1_048_560, height: 1_048_560 }
        );
    }

    proptest! {
        #[test]
        fn no_sps_and_no_slice_panics(
            at in 0_usize..26, with in any::<u8>(), slice in proptest::collection::vec(any::<u8>(), 0..40),
            noise in proptest::collection::vec(any::<u8>(), 0..60))
        {
            let mut sps = hex(HIGH_PYRAMID);
            sps[at] = with;
            for unit in [sps, [vec![0x67], noise].concat()] {
                if let Ok(sps) = Sps::parse(&unit) {
                    let facts = sps.facts();
                    prop_assert!(facts.width <= 8192 && facts.height <= 8192 && facts.reorder.unwrap_or(0) <= 16);
                    let _ = sps.slice_order(&sample(&[&[vec![0x41], slice.clone()].concat()]));
                    let _ = sps.slice_order(&slice);
                }
            }
        }
    }
}
